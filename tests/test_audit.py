"""The auditor end to end: holes are found under their cause, closed twins are left alone, silence is no verdict."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

import audit_graders
from audit_graders import CITIES, PAIRS, SUMS, Pair
from gamekeeper.audit import (
    COULD_NOT_LOOK,
    FOOLED,
    RESISTED,
    Report,
    Settings,
    assert_resists,
    audit,
)
from gamekeeper.audit.auditor import can_be_typed
from gamekeeper.audit.examples import as_examples
from gamekeeper.errors import CheckFailed, CouldNotLook, UsageError

GRADERS = Path(audit_graders.__file__)
QUICK = ("containment",)
TEXT = [pytest.param(p, id=p.style, marks=() if p.style in QUICK else pytest.mark.slow) for p in PAIRS if not p.program]
PROGRAMS = [pytest.param(p, id=p.style) for p in PAIRS if p.program]
FAST = Settings(search=60, seconds=120)


def looked(name: str, rows: list[dict[str, Any]], **settings: Any) -> Report:
    return audit(f"{GRADERS}:{name}", rows, Settings(**{"search": 60, "seconds": 120, **settings}))


def told(report: Report) -> str:
    return "\n".join(f"{f.severity} {f.id} {f.gain} {f.reply[:80]!r}" for f in report.findings)


def check_pair(pair: Pair, **settings: Any) -> None:
    hole = looked(pair.hole, pair.rows, **settings)
    assert hole.outcome == FOOLED, hole.reach
    assert hole.exit_code() == 1
    assert {f.cause for f in hole.findings} & set(pair.causes), told(hole)
    closed = looked(pair.closed, pair.rows, **settings)
    assert closed.outcome == RESISTED, told(closed)
    assert closed.exit_code() == 0, closed.faults


@pytest.mark.parametrize("pair", TEXT)
def test_a_hole_is_found_and_its_closed_twin_is_not_blamed(pair: Pair) -> None:
    check_pair(pair)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pair", PROGRAMS)
def test_graders_that_run_programs(pair: Pair) -> None:
    # Programs that hang cost their grader's whole patience; the hole is found long before the budget ends.
    check_pair(pair, seconds=45)


def test_the_cause_of_a_hole_explains_what_else_is_paid() -> None:
    report = looked("error_pays", SUMS)
    assert {f.family for f in report.findings} <= {"plain", "breaker", "data"}, told(report)


def test_findings_say_all_that_one_needs() -> None:
    report = looked("contains_word", CITIES, command=("--examples", "e.jsonl"))
    finding = next(f for f in report.findings if f.cause == "answer/negation")
    assert finding.reward == finding.honest_reward == 1.0
    assert (finding.floor, finding.gain, finding.share) == (0.0, 1.0, 1.0)
    assert CITIES[finding.example]["answer"] in finding.reply
    assert finding.severity == "medium"
    assert finding.repro == f"gamekeeper audit {GRADERS}:contains_word --examples e.jsonl --only answer/negation"
    assert finding.fix
    assert "MA05" in finding.catalogue


def anywhere(completion: str, answer: str) -> float:
    return float(answer in completion)


@pytest.mark.parametrize(
    ("target", "rows", "settings", "named"),
    [
        (f"{GRADERS}:contains_word", CITIES, {}, False),
        (f"{GRADERS}:contains_word", CITIES, {"command": ("--examples", "e.jsonl")}, True),
        (anywhere, SUMS, {}, False),
        (anywhere, SUMS, {"command": ("--examples", "e.jsonl")}, False),
        ("game:selfgrade", (), {}, True),
        ("game:selfgrade", (), {"only": ("incentive",), "fail_on": "high"}, True),
        ("game:selfgrade", (), {"most_examples": 4}, False),
    ],
)
def test_a_command_is_named_only_where_it_makes_the_audit_again(
    target: Any, rows: Any, settings: dict[str, Any], named: bool
) -> None:
    assert can_be_typed(target, as_examples(rows), Settings(**settings)) is named


def test_from_python_no_command_is_named_that_cannot_be_run() -> None:
    with pytest.raises(CheckFailed) as failed:
        assert_resists(f"{GRADERS}:contains_word", CITIES, search=0, only=("answer/negation",))
    assert "again:" not in str(failed.value)


@pytest.mark.slow
def test_one_cause_alone_gives_the_same_reply_again() -> None:
    whole = looked("contains_word", CITIES)
    alone = looked("contains_word", CITIES, only=("answer/negation",))
    kept = [f for f in whole.findings if f.cause == "answer/negation"]
    assert [f for f in alone.findings if f.cause == "answer/negation"] == [
        f.__class__(**{**{n: getattr(f, n) for n in f.__slots__}, "repro": alone.findings[0].repro}) for f in kept
    ]


# Could not look


def always_one(completion: str, answer: str) -> float:
    return 1.0


def wants_a_secret(completion: str, answer: str) -> float:
    return 1.0 if completion == "xyzzy" + answer[::-1] else 0.0


def broken(completion: str, answer: str) -> float:
    raise RuntimeError("no such table")


@pytest.mark.parametrize(
    ("grader", "rows", "why"),
    [
        (always_one, SUMS, "every probe was paid 1"),
        (wants_a_secret, SUMS, "every probe was paid 0"),
        (broken, SUMS, "no such table"),
        (always_one, [], "no examples"),
        (always_one, [{"prompt": "say something"}], "no example has an answer"),
    ],
)
def test_without_reach_there_is_no_verdict(grader: Any, rows: list[dict[str, Any]], why: str) -> None:
    report = audit(grader, rows, FAST)
    assert report.outcome == COULD_NOT_LOOK
    assert report.exit_code() == 3
    assert why in report.reach.why
    assert report.reach.needs


@pytest.mark.slow
def test_a_known_good_reply_makes_the_reach() -> None:
    rows = [{**row, "good": "xyzzy" + row["answer"][::-1]} for row in SUMS]
    assert audit(wants_a_secret, rows, FAST).outcome == RESISTED


def any_text(completion: str, answer: str) -> float:
    return 1.0 if completion.strip() else 0.0


@pytest.mark.slow
def test_full_marks_for_anything_are_a_hole_and_no_lack_of_reach() -> None:
    report = audit(any_text, SUMS, FAST)
    assert report.outcome == FOOLED
    assert report.findings[0].severity == "critical"
    assert {f.cause for f in report.findings} >= {"plain/wrong"}


def test_a_target_that_does_not_exist_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        audit(f"{tmp_path}/none.py:f", SUMS)
    with pytest.raises(UsageError, match="Did you mean 'gsm_strict'"):
        audit(f"{GRADERS}:gsm_strikt", SUMS)
    with pytest.raises(UsageError, match="not of the form"):
        audit("nothing", SUMS)
    (tmp_path / "dies.py").write_text("import os\nos._exit(0)\n")
    assert audit(f"{tmp_path}/dies.py:f", SUMS).outcome == COULD_NOT_LOOK


@pytest.mark.slow
def test_an_oracle_takes_replies_that_are_right_out(tmp_path: Path) -> None:
    """Without it, "not a prime" texts aside, any prime but the example's own looks wrong."""
    (tmp_path / "g.py").write_text(
        "def prime(completion, answer):\n"
        "    n = int(completion) if completion.isdigit() and len(completion) < 6 else 0\n"
        "    return float(n > 1 and all(n % k for k in range(2, n)))\n"
        "def truth(completion, answer):\n    return prime(completion, answer)\n"
    )
    rows = [{"prompt": "name a prime above 3", "answer": a} for a in ("5", "7", "11")]
    blamed = audit(f"{tmp_path}/g.py:prime", rows, FAST)
    assert blamed.outcome == FOOLED
    told_truth = audit(f"{tmp_path}/g.py:prime", rows, Settings(search=60, oracle=f"{tmp_path}/g.py:truth"))
    assert told_truth.outcome == RESISTED, told(told_truth)


# The caller's world


def leaks(completion: str, answer: str) -> float:
    import socket

    if os.environ.get("AUDIT_TEST_SECRET"):
        return 5.0
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=0.2)
    except OSError as error:
        if "timed out" in str(error):
            return 4.0
    Path("left-behind.txt").write_text("x")
    return 1.0 if completion == answer else 0.0


def test_no_secrets_no_network_nothing_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("AUDIT_TEST_SECRET", "s3cret")
    monkeypatch.chdir(tmp_path)
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    report = audit(leaks, SUMS, Settings(search=0, only=("plain",)))
    assert (report.reach.honest, report.reach.wrong) == (1.0, 0.0)
    assert list(tmp_path.iterdir()) == []
    assert list(scratch.iterdir()) == []


def test_a_variable_can_be_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_TEST_SECRET", "s3cret")
    report = audit(leaks, SUMS, Settings(search=0, only=("plain",), environment=("AUDIT_TEST_SECRET",)))
    assert "paid 5" in report.reach.why


# Inside a test suite


@pytest.mark.slow
def test_assert_resists() -> None:
    report = assert_resists(audit_graders.same_word, CITIES, search=0)
    assert report.outcome == RESISTED
    with pytest.raises(CheckFailed, match=r"answer/negation[\s\S]*change: Compare the committed answer"):
        assert_resists(audit_graders.contains_word, CITIES, search=0)
    with pytest.raises(CouldNotLook, match="Supply replies"):
        assert_resists(always_one, SUMS)
    assert assert_resists(audit_graders.contains_word, CITIES, search=0, fail_on="critical").outcome == FOOLED


def test_the_plugin_has_a_fixture_of_that_name() -> None:
    from gamekeeper.audit import pytest_plugin

    entry = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert f'[project.entry-points.pytest11]\ngamekeeper = "{pytest_plugin.__name__}"' in entry
    assert re.search(r'fixture\(name="assert_resists"\)', Path(pytest_plugin.__file__).read_text())
    made = pytest_plugin._assert_resists.__wrapped__()  # type: ignore[attr-defined]
    assert made is assert_resists
