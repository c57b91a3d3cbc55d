"""Old findings against the grader of now: what counts as closed, and what cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gamekeeper.audit import FOOLED, Finding, Reach, Report, Settings, verify_fix
from gamekeeper.audit.targets.function import name_of

ROWS = [{"prompt": f"print {n}", "answer": n, "good": f"print({n})"} for n in ("42", "17")]
FINDING = Finding(
    "answer/enumerate:lines", "answer", "high", "listing is paid", "Demand one.", 0, ("print(42)",), 1.0, 1.0,
    0.0, 1.0, 1.0,
)  # fmt: skip


def old(target: str, *findings: Finding, **changes: Any) -> Report:
    return Report(target, "function", FOOLED, Reach(True, ""), findings or (FINDING,), **changes)


def runs_replies(completion: str, answer: str) -> float:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", completion], capture_output=True, text=True)
    return float(answer in done.stdout)


def test_no_reply_of_a_report_is_run_below_the_isolation_that_an_audit_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gamekeeper.audit.isolation.level_of", lambda *_: "limits")
    mark = tmp_path / "mark"
    attack = Finding(
        "program/x:y",
        "program",
        "high",
        "w",
        "f",
        0,
        (f"open({str(mark)!r}, 'w'); print(42)",),
        1.0,
        1.0,
        0.0,
        1.0,
        1.0,
    )
    reach, replays = verify_fix(runs_replies, old(name_of(runs_replies), attack), ROWS, Settings(isolation="full"))
    assert (reach.reached, replays, mark.exists()) == (False, [], False)
    assert "below the required 'full'" in reach.why
    assert "--require-isolation limits" in reach.needs
