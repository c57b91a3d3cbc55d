"""One way to audit a small grader of a test, and to say what was found."""

from __future__ import annotations

from typing import Any

from gamekeeper.audit import Settings, audit


def looked(grader: Any, rows: Any, **settings: Any) -> Any:
    return audit(grader, rows, Settings(**{"search": 0, "seconds": 120, **settings}))


def causes(report: Any) -> set[str]:
    return {f.cause for f in report.findings}


def blamed(report: Any) -> Any:
    return [(f.id, f.reply, f.gain, f.share) for f in report.findings] or report.reach
