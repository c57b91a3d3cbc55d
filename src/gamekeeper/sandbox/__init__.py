"""Untrusted code, run case by case in processes of its own.

    run_cases(Program("def f(x): return x + 7", Entry("function", "f")), [Case(args=(2,))])
    -> [CaseResult(status="finished", value=9, ...)]

The caller compares (`judge_value`, `judge_output`): what is expected never enters the process that runs the program.

What is promised at every level: a program cannot say "passed", each case has a process and an empty folder of its own,
and limits. What else is closed, files, the network, other processes, depends on the level of isolation that the system
grants: `gamekeeper.sandbox.layers`. Below the required one nothing runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamekeeper.deferred import deferred, homes_of

if TYPE_CHECKING:
    from gamekeeper.sandbox.forkserver import ServerLost
    from gamekeeper.sandbox.layers import LAYERS, LEVELS, IsolationTooLow, level_of
    from gamekeeper.sandbox.pool import Sandbox, require_isolation, run_cases, run_many
    from gamekeeper.sandbox.records import (
        FINISHED,
        STDIN,
        VERDICTS,
        Case,
        CaseResult,
        Entry,
        Limits,
        Opaque,
        Program,
        judge_output,
        judge_value,
        output_lines,
        same_lines,
        same_value,
    )

_HOMES = homes_of(
    __name__,
    {
        "forkserver": "ServerLost",
        "layers": "LAYERS LEVELS IsolationTooLow level_of",
        "pool": "Sandbox require_isolation run_cases run_many",
        "records": "FINISHED STDIN VERDICTS Case CaseResult Entry Limits Opaque Program judge_output judge_value "
        "output_lines same_lines same_value",
    },
)
__getattr__ = deferred(__name__, _HOMES)
__all__ = [
    "FINISHED",
    "LAYERS",
    "LEVELS",
    "STDIN",
    "VERDICTS",
    "Case",
    "CaseResult",
    "Entry",
    "IsolationTooLow",
    "Limits",
    "Opaque",
    "Program",
    "Sandbox",
    "ServerLost",
    "judge_output",
    "judge_value",
    "level_of",
    "output_lines",
    "require_isolation",
    "run_cases",
    "run_many",
    "same_lines",
    "same_value",
]
