"""Every label of the corpus (tests/audit_corpus) is proven by execution, and the corpus is what it says it is.

    hole      pays the exploiting reply and every right reply, and no wrong one; the rewards are those recorded
    closed    pays every right reply, and neither the exploiting reply nor a wrong one
    sound     pays every right reply and no wrong one
"Pays" means at least the case's bar. Graders that run what they are told to are called in throw-away processes.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))  # bench/ is no package
try:
    import corpus
    from corpus import CLOSED, HOLE, KINDS, SOUND, UNLOOKABLE, Case
finally:
    sys.path.remove(str(BENCH))

CASES = corpus.load()
CATALOGUE_GROUPS = {"CE", "TT", "KP", "MA", "LJ", "FR", "PX", "SE", "AG", "OV", "RW"}


def marked(*kinds: str) -> list[Any]:
    """The cases of some kinds as parameters; those that start many processes are slow."""
    chosen = [case for case in CASES if case.kind in kinds]
    return [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.about.get("slow") else []) for c in chosen]


def paid(case: Case, replies: list[str], rows: list[dict[str, Any]]) -> list[float]:
    rewards = case.rewards(list(zip(rows, replies, strict=True)))
    assert isinstance(rewards, list), f"{case.name} gave no rewards: {rewards}"
    return rewards


@pytest.mark.parametrize("case", marked(HOLE, CLOSED, SOUND))
def test_right_replies_are_paid_and_wrong_ones_are_not(case: Case) -> None:
    about, rows = case.about, case.rows()
    rewards = paid(case, about["correct"] + about["wrong"], rows + rows)
    right, wrong = rewards[: len(rows)], rewards[len(rows) :]
    assert min(right) >= about["bar"] > max(wrong), (right, wrong)
    if case.kind != SOUND:
        assert right == pytest.approx(about["correct_rewards"][case.kind])


@pytest.mark.parametrize("case", marked(HOLE, CLOSED))
def test_the_exploiting_reply_is_paid_by_the_hole_and_not_by_its_twin(case: Case) -> None:
    exploit = case.about["exploit"]
    reward = paid(case, [exploit["reply"]], [case.rows()[exploit["example"]]])[0]
    assert (reward >= case.about["bar"]) == (case.kind == HOLE)
    assert reward == pytest.approx(exploit[case.kind])


@pytest.mark.parametrize("case", marked(UNLOOKABLE))
def test_a_grader_that_cannot_be_looked_at_says_nothing_of_right_and_wrong(case: Case) -> None:
    """No rewards at all, or the same for the answer and for nonsense, or what is no reward."""
    row = case.rows()[0]
    rewards = case.rewards(
        [(row, row["answer"]), (row, "no idea")], seconds=2 if case.id == "hangs" else 30, apart=True
    )
    if isinstance(rewards, list):
        assert rewards[0] == rewards[1] or not isinstance(rewards[0], float), rewards
    else:
        assert rewards


def test_twins_differ_in_little() -> None:
    """Fewer than half of the lines, and never in what they are called."""
    for hole in (case for case in CASES if case.kind == HOLE):
        texts = [(hole.file.parent / f"{kind}.py").read_text().splitlines() for kind in (HOLE, CLOSED)]
        changed = [line for line in difflib.unified_diff(*texts, n=0, lineterm="") if line[0] in "+-"][2:]
        assert 0 < len(changed) < len(texts[0]) + len(texts[1]), hole.id
        assert texts[0][0] == texts[1][0], f"{hole.id}: the first line tells the twins apart"


def test_graders_do_not_tell_what_they_are() -> None:
    for case in CASES:
        told = case.file.read_text().lower()
        for word in ("loophole", "exploit", "vulnerab", "hackable", "cheat", "held_out", "held-out"):
            assert word not in told, f"{case.name} says {word!r}"


def test_the_corpus_is_as_large_and_as_mixed_as_promised() -> None:
    kinds = Counter(case.kind for case in CASES)
    holes = [case for case in CASES if case.kind == HOLE]
    held = [case for case in holes if case.held_out]
    assert set(kinds) == set(KINDS)
    assert kinds[HOLE] == kinds[CLOSED] >= 70
    assert kinds[SOUND] >= 12
    assert kinds[UNLOOKABLE] >= 8
    assert len({case.family for case in holes}) == 16
    assert min(Counter(case.family for case in holes).values()) >= 4
    assert 0.35 <= len(held) / len(holes) <= 0.45


def test_whole_families_and_whole_styles_are_held_out() -> None:
    holes = [case for case in CASES if case.kind == HOLE]
    families = {f for f in {c.family for c in holes} if all(c.held_out for c in holes if c.family == f)}
    styles = {s for s in {c.style for c in holes} if all(c.held_out for c in holes if c.style == s)}
    assert len(families) >= 5
    assert len(styles) >= 4
    for case in holes:
        assert case.held_out == (case.family in families or case.style in styles), case.id


def test_every_pair_names_techniques_of_the_catalogue(shared: Path) -> None:
    known = {entry["id"] for entry in json.loads((shared / "exploits" / "exploit_catalogue.json").read_text())}
    for case in (case for case in CASES if case.kind == HOLE):
        assert case.about["techniques"], case.id
        assert set(case.about["techniques"]) <= known, case.id
        assert case.about["hole"], case.id


def test_examples_and_labels_belong_together() -> None:
    for case in CASES:
        rows = case.rows()
        assert len(rows) >= 2, case.name
        assert all("prompt" in row for row in rows), case.name
        if case.kind != UNLOOKABLE:
            assert len(case.about["correct"]) == len(case.about["wrong"]) == len(rows), case.name


def test_an_auditor_is_handed_no_labels(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.kind == HOLE)
    with corpus.handed_over(case, replies="right_reply") as handed:
        assert sorted(path.name for path in handed.file.parent.iterdir()) == ["examples.jsonl", "grader.py"]
        assert "hole" not in str(handed.file)
        assert [row["right_reply"] for row in handed.rows()] == case.about["correct"]
    assert not handed.file.exists()


@pytest.fixture(scope="module")
def stick() -> ModuleType:
    sys.path.insert(0, str(BENCH))
    try:
        import audit_corpus
    finally:
        sys.path.remove(str(BENCH))
    return audit_corpus


TOYS = Path(__file__).resolve().parent / "toy_auditors.py"


def toy(stick: ModuleType, name: str, seconds: float = 30) -> Any:
    return stick.by_command(f"{sys.executable} {TOYS} {name} {{file}} {{examples}}", seconds)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("resisted", "resisted"), ("fooled", "fooled"), ("lost", "could not look"), ("crash", "could not look")],
)
def test_a_command_is_judged_by_its_exit_code(stick: ModuleType, name: str, outcome: str) -> None:
    rows = stick.evaluate(toy(stick, name), CASES[:1], "", lambda line: None)
    assert rows[0]["outcome"] == outcome
    assert ("a bug in the auditor" in rows[0]["note"]) == (name == "crash")


def test_a_command_without_end_could_not_look(stick: ModuleType) -> None:
    rows = stick.evaluate(toy(stick, "hang", 0.5), CASES[:1], "", lambda line: None)
    assert (rows[0]["outcome"], rows[0]["note"]) == ("could not look", "exit 124: no verdict after 0 s")


def test_wilson_by_hand(stick: ModuleType) -> None:
    # 8 of 10 at 95%: centre (0.8 + 0.19207) / 1.38415, half-width 1.95996 * sqrt(0.016 + 0.0096036) / 1.38415
    assert stick.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert stick.wilson(0, 10)[0] == 0.0
    assert stick.wilson(10, 10)[1] == pytest.approx(1.0)
    assert stick.wilson(0, 0) == (0.0, 1.0)


def row(id_: str, kind: str, outcome: str, held_out: bool = False, runs_code: bool = False) -> dict[str, Any]:
    return {
        "id": id_,
        "kind": kind,
        "outcome": outcome,
        "held_out": held_out,
        "runs_code": runs_code,
        "family": "f",
        "style": "s",
        "seconds": 1.0,
    }


def test_what_is_counted(stick: ModuleType) -> None:
    rows = [
        row("a", HOLE, "fooled"),
        row("a", CLOSED, "resisted"),
        row("b", HOLE, "fooled", held_out=True),
        row("b", CLOSED, "fooled", held_out=True),
        row("c", HOLE, "could not look", runs_code=True),
        row("c", CLOSED, "resisted", runs_code=True),
        row("d", SOUND, "resisted"),
        row("e", UNLOOKABLE, "resisted"),
        row("f", UNLOOKABLE, "could not look"),
    ]
    parts = stick.splits(rows)
    counts = {name: (part["hits"], part["of"]) for name, part in parts["all"].items()}
    assert counts == {
        "recall": (2, 3),
        "false alarms": (1, 4),
        "told apart": (1, 3),
        "could not look, and could have": (1, 7),
        "could not look, rightly": (1, 2),
        "false clean": (1, 2),
    }
    assert parts["seen"]["recall"]["hits"] == parts["held out"]["recall"]["hits"] == 1
    assert (parts["runs programs"]["recall"]["of"], parts["reads replies"]["recall"]["of"]) == (1, 2)
    assert "told apart" in stick.table(stick.record_of("toy", rows, {}))


def test_a_run_is_recorded_and_can_be_shown_again(
    stick: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "toy.json"
    words = ["--only", "prefix_of_the_answer,echo_is_the_task,missing_dependency", "--out", str(out)]
    assert stick.main(["--auditor", f"{TOYS}:null_reply", *words]) == 0
    printed = capsys.readouterr().out
    record = json.loads(out.read_text())
    assert {r["case"]: r["outcome"] for r in record["rows"]} == {
        "prefix_of_the_answer:hole": "fooled",
        "prefix_of_the_answer:closed": "resisted",
        "echo_is_the_task:sound": "resisted",
        "missing_dependency:unlookable": "could not look",
    }
    assert stick.main(["--show", str(out)]) == 0
    assert capsys.readouterr().out == printed
