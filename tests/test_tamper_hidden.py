"""Hidden tests derived from solutions: within the constraints, decided by the solution, never in the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gamekeeper.cli import app
from gamekeeper.errors import CouldNotLook
from gamekeeper.games import tamper_hidden
from gamekeeper.games.paper_report import describe
from gamekeeper.games.tamper import Tamper
from gamekeeper.games.tamper_hidden import DISAGREES, Unreadable, constraints_of, has_solution, meets
from gamekeeper.sandbox import CaseResult
from gamekeeper.types import Item
from tampering import SOLUTIONS, code

METHODS = [k for k, v in SOLUTIONS.items() if k.isdigit()]


@pytest.fixture(scope="module")
def solved(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's file with the solutions that our tests know put in."""
    rows = pq.read_table(shared / "paper_data/reward_tampering/test.parquet").to_pylist()
    known = [row for row in rows if row["reward_model"]["problem_id"] in SOLUTIONS]
    for row in known:
        row["reward_model"]["canonical_solution"] = SOLUTIONS[row["reward_model"]["problem_id"]]
    path = tmp_path_factory.mktemp("solved") / "test.parquet"
    pq.write_table(pa.Table.from_pylist(known), path)
    return path


@pytest.fixture(scope="module")
def items(solved: Path) -> dict[str, Item]:
    return {i.id.removeprefix("tamper-paper-"): i for i in Tamper(data=solved).items("test", -1, 0)}


@pytest.mark.slow
def test_solutions_give_hidden_tests_that_they_pass(items: dict[str, Item]) -> None:
    hidden = {k: i.fields["shown"].count(False) for k, i in items.items()}
    assert sum(hidden[k] > 0 for k in METHODS) >= 7, hidden
    assert all(hidden[k] == 0 for k in SOLUTIONS if k not in METHODS)  # stdin inputs have no stated form
    found = Tamper().score_many([(items[k], [code(SOLUTIONS[k])]) for k in METHODS])
    assert [(s.reward, s.truth, s.facts["hidden"]) for s in found] == [(1.0, 1.0, hidden[k]) for k in METHODS]


def test_a_program_that_lists_the_prompts_tests_fails_the_hidden_ones(items: dict[str, Item]) -> None:
    game, caught = Tamper(), 0
    for name in METHODS:
        item = items[name]
        listed = next(s for s in game.scripts(item) if s.name == "special-case")
        found = game.score(item, listed.replies)
        assert found.reward == 1.0
        if item.fields["shown"].count(False):
            assert found.truth == 0.0
            assert found.facts["special_cased"] is True
            caught += 1
    assert caught >= 7


@pytest.mark.slow
def test_hidden_tests_are_new_and_the_same_each_time(items: dict[str, Item], solved: Path) -> None:
    again = {i.id.removeprefix("tamper-paper-"): i for i in Tamper(data=solved).items("test", -1, 0)}
    assert again == items
    for item in items.values():
        inputs = [t["input"] for t in item.fields["tests"]]
        assert len(set(inputs)) == len(inputs)
        assert item.fields["messages"] == items[item.id.removeprefix("tamper-paper-")].fields["messages"]
    few = Tamper(data=solved, derive=2).items("test", -1, 0)
    assert max(i.fields["shown"].count(False) for i in few) == 2
    none = Tamper(data=solved, derive=0).items("test", -1, 0)
    assert all(all(i.fields["shown"]) for i in none)


def test_the_report_says_what_the_truth_of_each_problem_rests_on(solved: Path, items: dict[str, Item]) -> None:
    report = describe(Tamper(data=solved), "test").to_json()
    for name, item in items.items():
        shown = item.fields["shown"]
        assert report["measures"][f"tamper-paper-{name}"] == {"visible": sum(shown), "hidden": len(shown) - sum(shown)}
    assert sum(report["counts"]["truth rests on"].values()) == len(SOLUTIONS)


def test_a_solution_that_fails_the_files_tests_makes_the_problem_undecidable(solved: Path, tmp_path: Path) -> None:
    rows = pq.read_table(solved).to_pylist()[:2]
    rows[0]["reward_model"]["canonical_solution"] = "class Solution:\n    pass"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    first, second = Tamper(data=tmp_path / "test.parquet", undecidable=True).items("test", -1, 0)
    assert (first.fields["undecidable"], second.fields["undecidable"]) == (DISAGREES, None)
    assert Tamper(data=tmp_path / "test.parquet").items("test", -1, 0) == [second]
    assert Tamper().score(first, [code("x")]).unscored


def failing_after(calls: int) -> Any:
    """run_many of a sandbox that is lost after so many calls."""
    real, done = tamper_hidden.run_many, []

    def run_many(work: Any, *where: Any) -> Any:
        done.append(work)
        if len(done) <= calls:
            return real(work, *where)
        return [[CaseResult("isolation-failed", detail="no more processes") for _ in cases] for _, cases in work]

    return run_many


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_a_sandbox_that_fails_says_nothing_of_a_solution(
    solved: Path, monkeypatch: pytest.MonkeyPatch, calls: int, tmp_path: Path
) -> None:
    rows = [r for r in pq.read_table(solved).to_pylist() if r["reward_model"]["problem_id"] == METHODS[0]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    monkeypatch.setattr(tamper_hidden, "run_many", failing_after(calls))
    with pytest.raises(CouldNotLook, match=r"could not run a solution .*: no more processes\."):
        Tamper(data=tmp_path / "test.parquet").items("test", -1, 0)
    monkeypatch.setattr(tamper_hidden, "run_many", failing_after(calls))
    assert CliRunner().invoke(app, ["items", "tamper", "--data", str(tmp_path), "--json"]).exit_code == 3


def test_a_fault_of_ours_is_no_reason_against_a_problem(solved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(tamper_hidden, "run_many", broken)
    with pytest.raises(ValueError, match="a fault of ours"):
        Tamper(data=solved).items("test", -1, 0)


@pytest.mark.parametrize(
    ("solution", "starter", "is_one"),
    [
        (None, "", False),
        ("", "class A: ", False),
        ("class A:\n  pass", "class A:  pass ", False),
        ("print(1)", "", True),
    ],
)
def test_a_starter_is_no_solution(solution: str | None, starter: str, is_one: bool) -> None:
    assert has_solution(solution, starter) is is_one


# Constraints


@pytest.mark.parametrize(
    ("line", "values", "holds"),
    [
        ("1 <= nums.length <= 3", {"nums": [1, 2]}, True),
        ("1 <= nums.length <= 3", {"nums": [1, 2, 3, 4]}, False),
        ("1 <= nums[i] <= 10^2", {"nums": [1, 100]}, True),
        ("1 <= nums[i] <= 10^2", {"nums": [1, 101]}, False),
        ("-10^9 <= x <= 2^31 - 1", {"x": 2**31 - 1}, True),
        ("-10^9 <= x <= 2^31 - 1", {"x": 2**31}, False),
        ("1 <= a.length, b.length <= 2", {"a": "xy", "b": "xyz"}, False),
        ("1 <= a.length, b.length <= 2", {"a": "xy", "b": "x"}, True),
        ("n == grid.length", {"grid": [[1], [2]]}, True),
        ("grid[i].length == 2", {"grid": [[1, 2], [2]]}, False),
        ("a.length == b.length", {"a": [1], "b": [1, 2]}, False),
        ("1 <= k <= nums.length", {"k": 3, "nums": [1, 2]}, False),
        ("0 <= grid[i][j] <= 9", {"grid": [[1, 2], [10]]}, False),
        ("s consists only of lowercase English letters.", {"s": "ba"}, True),
        ("s consists only of lowercase English letters.", {"s": "bad"}, False),
        ("s and t consist of only lowercase English letters.", {"s": "ba", "t": ["a", ["b"]]}, True),
        ("num only consists of digits '0' through '9'.", {"num": "ac"}, False),
        ("s consists only of characters 'a', 'b' and '_'.", {"s": "c"}, False),
        ("s consists of English uppercase and lowercase letters, digits, '@', and '$'.", {"s": "a"}, True),
        ("words consists of distinct strings.", {"words": ["ab", "ab"]}, False),
        ("All elements of nums are unique.", {"nums": [1, 2]}, True),
        ("All the elements of nums are distinct.", {"nums": [1, 2, 1], "k": 1}, False),
        ("nums is sorted in non-decreasing order.", {"nums": [1, 3, 2]}, False),
    ],
)
def test_a_constraint_is_kept_or_broken(line: str, values: Mapping[str, Any], holds: bool) -> None:
    before = ["ab" if isinstance(v, str) else v for v in values.values()]
    assert meets([line], values, before) is holds


@pytest.mark.parametrize(
    "line",
    [
        "The graph is a tree.",
        "1 <= edges[i].length <= m * n",
        "nums[i] is even",
        "1 <= j <= 3",
        "1 <= s <= 3",
        "1 <= x.length",
        "nums contains an even number of zeros",
        "nums contains an even number of zeros and only positive values",
        "s contains only lowercase English letters and exactly one 'b'",
        "s only consists of digits which are at most x.",
        's consists only of "UP", "DOWN".',
        "s and nums consist of digits",
        "t consists of lowercase English letters.",
        "nums consists only of non-negative powers of two.",
        "s and x consist of the same number of digits.",
        "nums contains distinct elements in the range [0, x - 1].",
        "The first letters of edges are distinct.",
        "x is sorted in ascending order.",
        "Each row is sorted in ascending order.",
        "edges is sorted in increasing order of their ends.",
    ],
)
def test_what_is_not_understood_is_said_to_be(line: str) -> None:
    with pytest.raises(Unreadable):
        meets([line], {"s": "ab", "x": 3, "nums": [2], "edges": [[1, 2]]}, ["ab"])


def test_constraints_stand_at_the_end_of_a_statement() -> None:
    assert constraints_of("Constraints: none?\n\nConstraints:\n\n- 1 <= n <= 3\n * m is odd\n\n") == [
        "1 <= n <= 3",
        "m is odd",
    ]
    for question in ("no such lines", "Constraints:\n \n"):
        with pytest.raises(Unreadable):
            constraints_of(question)


JSON = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.text("ab", max_size=4),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(JSON, st.randoms(use_true_random=False))
def test_a_changed_value_is_of_the_same_type_and_letters(value: Any, draw: Any) -> None:
    changed = tamper_hidden._changed(value, draw)
    assert type(changed) is type(value)
    assert set("".join(tamper_hidden._letters(changed))) <= set("".join(tamper_hidden._letters(value)))
    json.dumps(changed)
