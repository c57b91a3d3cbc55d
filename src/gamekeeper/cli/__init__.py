"""The command line: `gamekeeper VERB`. A module for each group of verbs; nothing heavy is imported before one runs.

application  the verbs together, and what becomes of an error   console   how text reaches the two streams
options      what several verbs share                           progress  the bar of a long job
playing      list, play, items      checking  check             scoring   score (replies: reading its file)
training     run, eval, pretrain    reporting report            creating  new-game
auditing     audit                  studying  study
"""

from __future__ import annotations

from gamekeeper.cli.application import app, main

__all__ = ["app", "main"]
