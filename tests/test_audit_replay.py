"""Old findings against the grader of now: what counts as closed, and what cannot be said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.audit import COULD_NOT_LOOK, FOOLED, Finding, Reach, Report, Settings, audit, verify_fix
from gamekeeper.audit.replay import same_target
from gamekeeper.audit.targets.function import name_of
from gamekeeper.cli import app
from gamekeeper.errors import UsageError

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


# What counts as closed


def contains(completion: str, answer: str) -> float:
    return float(answer in completion)


def exact(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


SUMS = [{"prompt": f"What is {n} + 4?", "answer": str(n + 4)} for n in (20, 43, 81)]
QUICK = Settings(search=0, only=("answer",))


@pytest.fixture(scope="module")
def report() -> Report:
    """What an audit of a grader that looks for the answer anywhere says."""
    made = audit(contains, SUMS, QUICK)
    assert len(made.findings) > 3
    return made


def states(grader: Any, old: Report, rows: Any = SUMS, **changes: Any) -> tuple[set[bool], set[str]]:
    """Whether the findings are closed and why nothing can be said, with the report taken for one of this grader."""
    renamed = old if isinstance(grader, str) else replace(old, target=name_of(grader))
    reach, replays = verify_fix(grader, renamed, () if isinstance(grader, str) else rows, Settings(**changes))
    assert reach.reached, reach
    assert len(replays) == len(old.findings)
    return {r.closed for r in replays}, {r.error for r in replays}


def test_a_repaired_grader_closes_its_findings_and_another_does_not(report: Report) -> None:
    assert states(contains, report) == ({False}, {""})
    assert states(exact, report) == ({True}, {""})


@pytest.mark.parametrize("rows", [SUMS[::-1], [*SUMS[1:], SUMS[0]], [{"prompt": "1+1?", "answer": "2"}, *SUMS]])
@pytest.mark.slow
def test_a_finding_is_replayed_on_its_own_example_wherever_that_stands(rows: Any, report: Report) -> None:
    assert states(contains, report, rows) == ({False}, {""})
    assert states(contains, report, rows, most_examples=1) == ({False}, {""})


def test_a_finding_without_its_example_is_not_closed(report: Report) -> None:
    [closed], [error] = states(
        exact, report, [r for r in SUMS if r["answer"] != SUMS[report.findings[0].example]["answer"]]
    )
    assert (closed, "not among those given" in error) == (False, True)
    older = replace(report, findings=tuple(replace(f, example_key="") for f in report.findings))
    [closed], [error] = states(exact, older)
    assert (closed, "run the audit again with --json" in error) == (False, True)


def hangs(completion: str, answer: str) -> float:
    import time

    time.sleep(60 if completion == "zebra" else 0)
    return float(answer in completion)


def raises(completion: str, answer: str) -> float:
    if completion == "zebra":
        raise RuntimeError("the judge is down")
    return float(answer in completion)


def ends(completion: str, answer: str) -> float:
    import os

    if completion == "zebra":
        os._exit(0)
    return float(answer in completion)


@pytest.mark.parametrize(
    ("grader", "said"),
    [
        (hangs, "does not answer in time"),
        (raises, "RuntimeError: the judge is down"),
        (ends, "ends the grader's process"),
    ],
)
def test_a_grader_that_fails_on_the_reply_was_not_repaired(grader: Any, said: str, report: Report) -> None:
    old = replace(report, findings=(replace(report.findings[0], replies=("zebra",)),))
    [closed], [error] = states(grader, old, wall_s=0.3)
    assert (closed, said in error) == (False, True)


def declines(completion: str, answer: str) -> float | None:
    return 1.0 if completion.strip() == answer else 0.0 if answer not in completion else None


def test_a_reply_that_is_not_the_graders_case_is_not_paid(report: Report) -> None:
    assert states(declines, report) == ({True}, {""})


def by_length(completion: str, answer: str) -> float:
    return 1.0 if completion.strip() == answer else 0.8 - min(0.8, len(completion) / 500)


def test_nothing_is_what_it_was_in_the_audit() -> None:
    """Three short bad replies are paid nearly as much as the one of the finding; the whole battery was not."""
    made = audit(by_length, SUMS, Settings(search=0, only=("plain",)))
    assert made.findings
    assert states(by_length, made) == ({False}, {""})


def padded(completion: str, answer: str) -> float:
    return float(answer in completion) * (1.0 + float(len(completion) > 1000))


def capped(completion: str, answer: str) -> float:
    return float(answer in completion)


@pytest.mark.slow
def test_padding_is_closed_when_it_adds_nothing() -> None:
    made = audit(padded, SUMS, Settings(search=0, only=("plain/padding",)))
    made = replace(made, findings=tuple(f for f in made.findings if f.bonus))
    assert made.findings
    assert states(padded, made) == ({False}, {""})
    assert states(capped, made) == ({True}, {""})


# Which report fits


def test_a_report_of_another_target_or_seed_is_refused(report: Report) -> None:
    with pytest.raises(UsageError, match=r"contains.*, not of .*exact"):
        verify_fix(exact, report, SUMS)
    with pytest.raises(UsageError, match="made with seed 0, and seed 3"):
        verify_fix(contains, report, SUMS, Settings(seed=3))
    third = replace(report, seed=3)
    with pytest.raises(UsageError, match="made with seed 3, and seed 0"):
        verify_fix(contains, third, SUMS, Settings(command=("--seed", "0")))
    assert verify_fix(contains, third, SUMS)[0].reached
    with pytest.raises(UsageError, match="no verdict"):
        verify_fix(contains, replace(report, outcome=COULD_NOT_LOOK), SUMS)
    with pytest.raises(UsageError, match="no replies to replay"):
        verify_fix("pay:x.json", report)


def test_the_reports_seed_makes_the_items_again() -> None:
    made = audit("game:selfgrade", settings=Settings(search=0, seed=3, most_examples=4, only=("report", "state")))
    replies = [f for f in made.findings if f.family != "incentive"]
    assert replies
    assert states("game:selfgrade", replace(made, findings=tuple(replies))) == ({False}, {""})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("g.py:f", "g.py:f", True),
        ("g.py:f", "g.py:h", False),
        ("g.py:f", "/somewhere/else/g.py:f", True),
        ("../src/g.py:f", "/somewhere/src/g.py:f", True),
        ("a/g.py:f", "b/g.py:f", False),
        ("pkg.g:f", "src/pkg/g.py:f", True),
        ("trl:g.py:f", "g.py:f", False),
        ("trl:g.py:f", "trl:./g.py:f", True),
        ("game:tamper", "game:summary", False),
        ("reasoning_gym:gcd", "reasoning_gym:gcd", True),
    ],
)
def test_one_file_may_be_named_by_several_paths(one: str, other: str, same: bool) -> None:
    assert same_target(one, other) is same


def test_two_files_of_one_name_are_two_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path, tmp_path / "copy"):
        folder.mkdir(exist_ok=True)
        (folder / "g.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert same_target("g.py:f", f"{tmp_path}/g.py:f")
    assert not same_target("g.py:f", "copy/g.py:f")


# The command line


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["audit", *arguments])


@pytest.fixture
def standing(tmp_path: Path) -> tuple[str, ...]:
    """A target with its examples and its report in files, as arguments."""
    grader, rows, found = tmp_path / "g.py", tmp_path / "e.jsonl", tmp_path / "old.json"
    grader.write_text("def reward(completion, answer):\n    return float(answer in completion)\n")
    rows.write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    common = (f"{grader}:reward", "--examples", str(rows))
    found.write_text(run(*common, "--search", "0", "--only", "answer", "--json").stdout.splitlines()[0])
    return (*common, "--verify-fix", str(found))


def test_an_output_that_a_replay_does_not_write_is_refused(standing: tuple[str, ...], tmp_path: Path) -> None:
    for option in ("--sarif", "--junit", "--html"):
        refused = run(*standing, option, str(tmp_path / "out"))
        assert (refused.exit_code, f"writes no {option}" in refused.output) == (2, True), refused.output
    assert not (tmp_path / "out").exists()


def test_a_replay_of_a_part_is_refused(standing: tuple[str, ...]) -> None:
    refused = run(*standing, "--only", "plain")
    assert (refused.exit_code, "replays all findings" in refused.output) == (2, True), refused.output


@pytest.mark.slow
def test_what_cannot_be_told_is_said_and_is_no_pass(standing: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SUMS[::-1]))
    still = run(*standing)
    assert (still.exit_code, "STILL PAID" in still.output, "closed" in still.output) == (1, True, False)
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SUMS[1:]))
    (tmp_path / "g.py").write_text("def reward(completion, answer):\n    return float(completion == answer)\n")
    untold = run(*standing)
    assert (untold.exit_code, "cannot tell" in untold.output, "closed" in untold.output) == (3, True, False)
    other = run(*(word.replace(":reward", ":exact") for word in standing))
    assert (other.exit_code, "The report is of" in other.output) == (2, True)
    seeded = run(*standing, "--seed", "3")
    assert (seeded.exit_code, "seed 3" in seeded.output) == (2, True)
