"""Real targets: our own games, children that misbehave, faults that are no holes, the learner, the command line."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import audit_graders
from audit_graders import CITIES, SUMS
from gamekeeper.audit import FOOLED, RESISTED, Report, Settings, audit
from gamekeeper.audit.clock import Clock
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.target import Limits, Spec
from gamekeeper.audit.targets import open_target
from gamekeeper.cli import app

GRADERS = Path(audit_graders.__file__)
ROWS = as_examples(SUMS)


def played(game: str, patches: str, **settings: Any) -> Report:
    params = {"patches": patches}
    return audit(
        f"game:{game}",
        settings=Settings(**{"params": params, "search": 60, "most_examples": 8, "seconds": 300, **settings}),
    )


# Our own games: the positive controls

FLAWS = {
    "selfgrade": "incentive/under-audited",
    "compliance": "context/conditional-pay",
    "summary": "proxy/copy",
    "tamper": "state/edit",
}


def causes(report: Report) -> set[str]:
    """Of the findings and of their variants: one reply may be an echo of the prompt and a copy of its source."""
    return {name.partition(":")[0] for f in report.findings for name in (f.id, *f.variants)}


@pytest.mark.parametrize(
    "game",
    [
        "selfgrade",
        pytest.param("compliance", marks=pytest.mark.slow),
        pytest.param("summary", marks=pytest.mark.slow),
        pytest.param("tamper", marks=pytest.mark.slow),
    ],
)
def test_every_flawed_game_is_flagged_with_its_flaw_and_no_secure_one(game: str) -> None:
    flawed = played(game, "flawed")
    assert flawed.outcome == FOOLED
    assert FLAWS[game] in causes(flawed), flawed.findings
    assert flawed.exit_code() == 1
    secure = played(game, "secure")
    assert secure.outcome == RESISTED, secure.findings
    assert secure.exit_code("low") == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("game", "folder"), [("selfgrade", "self_grading"), ("summary", "proxy_gaming"), ("tamper", "reward_tampering")]
)
def test_so_are_they_on_the_papers_data(game: str, folder: str, shared: Path) -> None:
    """Compliance is left out: on such data its replies are judged by a model."""
    data = str(shared / "paper_data" / folder / "test.parquet")
    found = {
        patches: played(game, patches, params={"patches": patches, "data": data}, most_examples=4, search=30)
        for patches in ("flawed", "secure")
    }
    assert FLAWS[game] in causes(found["flawed"]), found["flawed"].findings
    assert found["secure"].outcome == RESISTED, found["secure"].findings


def test_the_control_has_no_finding() -> None:
    report = played("arithmetic", "flawed")
    assert (report.outcome, report.faults) == (RESISTED, ())


def test_a_context_is_named_by_the_column_that_tells_it() -> None:
    report = played("compliance", "flawed", only=("context", "plain"))
    [finding] = [f for f in report.findings if f.family == "context"]
    assert "style is user there, audit elsewhere" in finding.what


# Children


def opened(grader: Callable[..., Any], **limits: Any) -> Any:
    target = open_target(grader, Spec("", folder="."), Limits(**limits))
    target.use(ROWS)
    return target


def hostile(completion: str, answer: str) -> float:
    import builtins
    import os

    if completion == "exit":
        os._exit(0)
    if completion == "hang":
        time.sleep(60)
    if completion == "eat":
        return float(len(bytearray(1 << 33)))
    if completion == "patch":
        builtins.float = lambda *_: 7.0  # type: ignore[misc, assignment]
        json.dumps = lambda *_, **__: "forged"  # type: ignore[assignment]
    return float(completion == answer)


def test_what_a_reply_breaks_stays_in_its_own_process() -> None:
    with opened(hostile, wall_s=1.0, memory_mb=1024) as target:
        calls = [(0, (t,)) for t in ("42", "exit", "42", "hang", "eat", "no")]
        found = target.grade(calls)
        assert [(p.reward, p.end) for p in found] == [
            (1.0, ""),
            (None, "died"),
            (1.0, ""),
            (None, "timeout"),
            (None, ""),
            (0.0, ""),
        ]
        assert "MemoryError" in found[4].error
        patched = target.grade([(0, ("patch",)), (0, ("42",))], alone=True)
        assert patched[1].reward == 1.0


def test_grading_costs_alike_in_one_batch_and_in_many() -> None:
    target = opened(audit_graders.same_word)
    try:
        one = target.grade([(0, ("42",))] * 3)
        assert [p.reward for p in one] == [1.0] * 3
        assert [p.reward for p in target.grade([(0, ("42",))] * 1300)] == [1.0] * 1300
    finally:
        target.close()


# Faults

_count = itertools.count()


def with_memory(completion: str, answer: str) -> float:
    seen = with_memory.__dict__.setdefault("seen", [])
    seen.append(completion)
    return 1.0 if completion == answer and len(seen) % 2 else 0.6 if completion == answer else 0.0


def with_chance(completion: str, answer: str) -> float:
    return (1.0 if completion == answer else 0.0) * random.SystemRandom().choice((0.7, 1.0))


def raises(completion: str, answer: str) -> float:
    return float(int(completion) == int(answer))


def exits(completion: str, answer: str) -> float:
    if "(" in completion:
        raise SystemExit(0)
    return float(completion == answer)


def strict(completion: str, answer: str) -> float:
    return float(completion == answer)


@pytest.mark.parametrize(
    ("grader", "fault", "severity"),
    [
        pytest.param(with_chance, "fault/chance", "low", marks=pytest.mark.slow),
        pytest.param(raises, "fault/exception", "low", marks=pytest.mark.slow),
        pytest.param(exits, "fault/exits", "medium", marks=pytest.mark.slow),
        (strict, "fault/strict", "low"),
    ],
)
def test_faults_that_are_no_holes(grader: Any, fault: str, severity: str) -> None:
    report = audit(grader, SUMS, Settings(only=("fault", "breaker")))
    assert report.outcome == RESISTED, report.findings
    # Chance shows between calls too, so it may first be taken for memory.
    names = {f.id: f.severity for f in report.faults}
    wanted = {fault, "fault/order", "fault/batch"} if fault == "fault/chance" else {fault}
    assert wanted & set(names), names
    assert names.get(fault, severity) == severity


def test_memory_between_calls_shows() -> None:
    report = audit(with_memory, SUMS, Settings(only=("fault",)))
    assert {"fault/order", "fault/batch"} & {f.id for f in report.faults}, report.faults


# Search and learner


def only_search_finds(completion: str, answer: str) -> float:
    """Three things at once that no single attack has: a marker, a tag and five lines."""
    if completion == answer:
        return 1.0
    score = 0.4 * ("ZEBRA" in completion) + 0.3 * ("<plan>" in completion) + 0.3 * (completion.count("\n") >= 5)
    return score if "ZEBRA" in completion else 0.0


@pytest.mark.slow
def test_search_puts_pieces_together_and_the_seed_decides_how() -> None:
    found = audit(only_search_finds, SUMS, Settings(search=1500, only=("search",)))
    best = max(found.findings, key=lambda f: f.gain)
    assert (best.family, best.gain) == ("search", 1.0), found.findings
    assert "ZEBRA" in best.reply
    assert "<plan>" in best.reply
    assert len(best.reply) < 40
    again = audit(only_search_finds, SUMS, Settings(search=1500, only=("search",)))
    assert [f.replies for f in again.findings] == [f.replies for f in found.findings]


@pytest.mark.slow
def test_the_learner_finds_what_pays() -> None:
    from gamekeeper.audit.learner import budget, learned
    from gamekeeper.audit.mining import Mined
    from gamekeeper.audit.range import Range
    from gamekeeper.audit.reach import survey
    from tiny import tiny_policy

    target = opened(vowels)
    try:
        found = survey(target, ROWS, Mined(), 0)
        shots = learned(
            Range(target, found.scenes, Clock()), found.scenes, budget(12, learning_rate=1e-2), 0, policy=tiny_policy()
        )
    finally:
        target.close()
    assert shots
    assert sum(s.gain for s in shots) / len(shots) > 0.5


def nines(completion: str, answer: str) -> float:
    """Full marks for the answer, and most of them for a digit that says nothing, said often."""
    return 1.0 if completion.strip() == answer else 0.9 * min(1.0, completion.count("9") / 6)


def exact(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_shipped_model_learns_a_hole_and_finds_none_where_there_is_none() -> None:
    """What `--learn` does, from the base that comes with the package to the finding."""
    rows = [{"prompt": f"What is {n} plus {n + 1}?", "answer": str(2 * n + 1)} for n in range(3, 15)]
    settings = Settings(search=0, learn=30, only=("learner",), seconds=600)
    found = audit(nines, rows, settings)
    [finding] = [f for f in found.findings if f.cause == "learner/learnt"]
    assert finding.gain >= 0.7
    assert finding.share >= 0.5
    none = audit(exact, rows, settings)
    assert none.outcome == RESISTED, none.findings


def vowels(completion: str, answer: str) -> float:
    return 1.0 if completion == answer else sum(c in "aeiou" for c in completion) / max(4, len(completion))


# The command line


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["audit", *arguments])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "e.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in CITIES))
    return path


def test_the_verb_from_finding_to_repair(rows: Path, tmp_path: Path) -> None:
    grader = tmp_path / "mine.py"
    grader.write_text("def reward(completion, answer):\n    return float(answer in completion)\n")
    files = [tmp_path / n for n in ("a.sarif", "a.xml", "a.html")]
    common = [f"{grader}:reward", "--examples", str(rows), "--search", "0"]
    found = run(*common, "--json", "--sarif", str(files[0]), "--junit", str(files[1]), "--html", str(files[2]))
    assert found.exit_code == 1, found.output
    report = json.loads(found.stdout.splitlines()[0])
    assert report["outcome"] == FOOLED
    assert all(f.stat().st_size > 300 for f in files)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.sarif", "a.xml", "e.jsonl", "mine.py"]

    old = tmp_path / "old.json"
    old.write_text(found.stdout.splitlines()[0])
    refused = run(*common, "--verify-fix", str(old), "--html", str(tmp_path / "b.html"))
    assert (refused.exit_code, (tmp_path / "b.html").exists()) == (2, False)
    still = run(*common, "--verify-fix", str(old))
    assert (still.exit_code, "STILL PAID" in still.stdout) == (1, True)
    grader.write_text("def reward(completion, answer):\n    return float(completion.strip() == answer)\n")
    closed = run(*common, "--verify-fix", str(old))
    assert (closed.exit_code, "STILL PAID" in closed.stdout) == (0, False), closed.output
    grader.write_text("def reward(completion, answer):\n    return 0.0\n")
    assert run(*common, "--verify-fix", str(old)).exit_code == 3
    assert run(*common).exit_code == 3


def test_wrong_calls_say_what_is_right(rows: Path, tmp_path: Path) -> None:
    target = f"{GRADERS}:same_word"
    for arguments, words in (
        ((target, "--examples", str(tmp_path / "none.jsonl")), "cannot be read"),
        ((target, "--examples", str(rows), "--fail-on", "dreadful"), "critical"),
        ((target, "--examples", str(rows), "--only", "answr"), "Did you mean 'answer'"),
        ((target, "--examples", str(rows), "--bind", "nonsense"), "KEY=VALUE"),
        ((target, "--examples", str(rows), "--bind", "answer=a,answer=b"), "twice"),
        (("game:tampr",), "Did you mean 'tamper'"),
        (("game:arithmetic", "--examples", str(rows)), "Leave --examples out"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert words in " ".join(result.output.split()), result.output
