"""What an audit is given and gives at its edges: budgets, rows that no JSON can hold, batches, advice, oracles."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.audit import FOOLED, RESISTED, Settings, audit
from gamekeeper.audit.incentives import PayTable, under_audited
from gamekeeper.cli import app
from gamekeeper.errors import DataError

SUMS = [{"prompt": f"6*{n}?", "answer": 6 * n} for n in (7, 8, 9)]
COLOURS = [{"prompt": f"p{n}", "answer": a} for n, a in enumerate(("red", "blue", "green"))]


def a_number_in_json(completion: str, answer: int) -> float:
    try:
        said = json.loads(completion)["answer"]
    except (ValueError, TypeError, KeyError):
        return 0.0
    return float(isinstance(said, int) and said == int(answer))


def test_a_number_in_json_is_written_without_quotes() -> None:
    report = audit(a_number_in_json, SUMS, Settings(search=0, only=("plain",)))
    assert report.outcome == RESISTED, report.reach


def exact(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


@pytest.mark.slow
def test_a_search_makes_no_more_calls_than_it_may() -> None:
    without = audit(exact, COLOURS, Settings(search=0, only=("plain",))).calls
    for budget in (3, 60, 150):
        calls = audit(exact, COLOURS, Settings(search=budget, only=("plain", "search"))).calls
        # The best candidate is played once more on each example, whatever the budget is.
        assert calls - without <= budget + len(COLOURS)
    assert calls > without


def a_row_that_holds_itself() -> list[Any]:
    row: list[Any] = []
    row.append(row)
    return row


@pytest.mark.parametrize("make", [lambda: {(1, 2): 3}, a_row_that_holds_itself])
def test_a_row_that_no_json_can_hold_is_named(make: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match="example 1 cannot be written as JSON"):
        audit(exact, [COLOURS[0], {"prompt": "p", "answer": "1", "more": make()}])


def one_for_all(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    return [float(answer[0] == completions[0])]


def test_fewer_rewards_than_replies_are_a_fault() -> None:
    report = audit(one_for_all, COLOURS, Settings(search=0, only=("plain", "fault")))
    assert report.outcome == RESISTED
    [found] = [f for f in report.faults if f.id == "fault/batch"]
    assert found.severity == "medium"
    assert "1 rewards for" in found.what


def table(pay: Callable[[bool, bool, bool], float], audits: float) -> PayTable:
    cases = [(a, c, r) for a in (True, False) for c in (True, False) for r in (True, False)]
    return PayTable({case: pay(*case) for case in cases}, audits)


def test_more_audits_are_no_advice_where_an_audit_pays_the_claim() -> None:
    paid_when_audited = under_audited(table(lambda audited, claims, right: float(audited and claims), 0.5))
    paid_otherwise = under_audited(
        table(lambda audited, claims, right: 0.0 if not claims else 1.0 if right or not audited else -1.0, 0.1)
    )
    assert paid_when_audited is not None
    assert paid_otherwise is not None
    assert paid_when_audited.fix.startswith("Fine a false claim more where it is audited")
    assert paid_otherwise.fix.startswith("Audit more often")


@pytest.mark.slow
def test_an_oracle_has_the_variables_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADING_KEY", "k")
    oracle = tmp_path / "oracle.py"
    oracle.write_text(
        "import os\nKEY = os.environ['GRADING_KEY']\n"
        "def worth(completion, answer):\n    return float(completion.strip() == answer)\n"
    )
    settings = {"search": 0, "only": ("plain",), "oracle": f"{oracle}:worth"}
    assert audit(exact, COLOURS, Settings(**settings, environment=("GRADING_KEY",))).outcome == RESISTED
    assert "GRADING_KEY" in os.environ


@pytest.mark.slow
def test_a_replay_that_reaches_nothing_says_so_as_json_too(tmp_path: Path) -> None:
    grader, rows, report = tmp_path / "g.py", tmp_path / "rows.jsonl", tmp_path / "r.json"
    rows.write_text("\n".join(map(json.dumps, COLOURS)))
    grader.write_text("def reward(completion, answer):\n    return float(answer in completion)\n")
    command = ["audit", f"{grader}:reward", "--examples", str(rows), "--json"]
    found = CliRunner().invoke(app, [*command, "--search", "0"])
    assert json.loads(found.stdout)["outcome"] == FOOLED
    report.write_text(found.stdout)
    grader.write_text("def reward(completion, answer):\n    return 0.0\n")
    again = CliRunner().invoke(app, [*command, "--verify-fix", str(report)])
    assert again.exit_code == 3
    assert json.loads(again.stdout)["reached"] is False
