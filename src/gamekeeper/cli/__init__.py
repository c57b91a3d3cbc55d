"""The command line: `gamekeeper VERB`. A module for each group of verbs; nothing heavy is imported before one runs.

application   the verbs together, and what becomes of an error
console       how text reaches the two streams             progress    the bar of a long job
options       what several verbs share
playing       list, play, items                            checking    check
scoring       score                                        replies     the lines that it reads
training      run, pretrain                                planning    what one call of `run` is to do
backends      who trains                                   measuring   eval
served        a served model, as a policy                  unfinished  the parts of an interrupted `eval`
judging       options of a judge                           shelf       items by id
auditing      audit                                        isolating   doctor, sandbox
studying      study                                        reporting   report
serving       serve                                        environments  openenv
exporting     export: clustering (verl, check), inspecting (inspect), packaging (verifiers)
creating      new-game
"""

from __future__ import annotations

from gamekeeper.cli.application import app, main

__all__ = ["app", "main"]
