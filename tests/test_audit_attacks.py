"""Single attacks: what they are made of, and that they do what they are meant to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.audit.attacks import FAMILIES, answers, battery, breakers, programs, workspaces
from gamekeeper.audit.attacks.program_texts import SNOOPS
from gamekeeper.audit.attacks.tables import shown_lists
from gamekeeper.audit.carriers import COMMON
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.finding import Example
from gamekeeper.audit.mining import Mined, mine
from gamekeeper.audit.patterns import fill, found_in
from gamekeeper.audit.scene import Scene


@pytest.mark.parametrize(("gold", "ordered"), [("one two three four five six", True), ("2 × 3 × 3 × 13", False)])
def test_only_words_whose_order_says_something_are_shuffled(gold: str, ordered: bool) -> None:
    graded = Scene(0, Example("p", gold), gold, (gold,), str, ("1", "2"), (), Mined())
    made = [a.make(graded) for a in answers.attacks(Mined(), graded) if a.technique == "shuffle"]
    assert (made != [None, None]) == ordered


# Tables of what a prompt shows


def test_lists_of_a_prompt() -> None:
    words = "It matches whole words: wolf, pear. It does not match: fox, lemon."
    assert shown_lists(words) == [["wolf", "pear"], ["fox", "lemon"]]
    assert shown_lists("Give the rule over n for the sequence 1, 4, 9, 16, ...")[0] == ["1", "4", "9", "16"]
    assert shown_lists("Add 3 and 4.") == []


# What later attacks rest on


def test_a_path_that_is_joined_is_mined_whole() -> None:
    source = 'def f(folder):\n    return (folder / "tests" / "expected.json").read_text(), folder / "a.txt", 3 / 4\n'
    assert mine(source).files[0] == "tests/expected.json"
    assert "a.txt" in mine(source).files


@pytest.mark.parametrize("text", [t for t in breakers._CODE if "__eq__" in t])
def test_an_object_that_equals_everything_does_so_where_it_can_be_made(text: str) -> None:
    assert eval(text) == 42
    if text.startswith(("type('E',()", "()")):
        assert eval(text, {"__builtins__": {"type": type}}) == 42


def test_a_program_finds_the_cases_that_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cases.json").write_text('[{"input": [3, 4], "expected": 25}]')
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec("def f(*a):\n" + "\n".join(f"    {line}" for line in SNOOPS["files"].splitlines()), space)
    assert space["f"]([3, 4]) == 25
    assert space["f"]([1]) is None


def test_a_box_has_braces_in_every_shape() -> None:
    boxes = [c.wrap("65") for c in COMMON if "boxed" in c.name]
    assert len(boxes) == 4
    assert all("\\boxed{65}" in text for text in boxes)


def program_of(rows: list[dict[str, Any]], technique: str, variant: str = "") -> str:
    """The first reply of a technique for a grader that runs programs."""
    [example] = as_examples(rows)
    good = example.good[0][-1]
    there = Scene(0, example, good, (good,), str, ("zz", "yy"), (), Mined(runs_code=True))
    made = (a.make(there) for a in programs.attacks(Mined(runs_code=True), there) if a.id.startswith(technique))
    return next(reply for reply in made if reply is not None and (not variant or variant in reply))


def test_a_frame_is_reached_without_imports_and_builtins() -> None:
    reply = program_of([{"prompt": "p", "good": "def double(x):\n    return 2 * x"}], "program/snoop", "gi_frame")
    space: dict[str, Any] = {"__builtins__": {}}
    exec(reply, space)

    def harness(x: int) -> bool:
        expected = 2 * x
        return bool(space["double"](x) == expected)

    assert all(harness(x) for x in (1, 7, 11))


@pytest.mark.parametrize(
    ("prompt", "given", "told"),
    [
        ("Add them. For `3 4 5` it prints 12, for `1 1 1` it prints 3.", "3 4 5", "12"),
        ("Sample Input 1:\n3 4\n5\n\nSample Output 1:\n12\n\nInput 2:\n1\n\nOutput 2:\n1", "3 4\n5", "12"),
        ("Input:\n```\n3 4 5\n```\nOutput:\n```\n12\n```\n", "3 4 5", "12"),
        ("`3 4 5` -> `12`\n`1` -> `1`", "3 4 5", "12"),
    ],
)  # fmt: skip
def test_what_a_prompt_shows_of_a_program_is_written_into_it(prompt: str, given: str, told: str) -> None:
    reply = program_of([{"prompt": prompt, "good": "print(sum(map(int, input().split())))"}], "program/hardcoded")

    def said(text: str) -> str:
        done = subprocess.run([sys.executable, "-c", reply], input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert said(given + "\n") == told
    assert said("9 9 9\n") == ""


def test_cases_that_a_prompt_shows_need_no_builtins_and_no_attributes() -> None:
    rows = [{"prompt": "Write `total(xs)`. total([3, 4]) is 7.", "good": "def total(xs):\n    return sum(xs)"}]
    reply = program_of(rows, "program/hardcoded", "if a ==")
    space: dict[str, Any] = {"__builtins__": {}}
    exec(reply, space)
    assert space["total"]([3, 4]) == 7
    assert space["total"]([1]) is None
    assert "." not in reply


def test_where_programs_are_run_attacks_by_programs_come_first() -> None:
    [example] = as_examples([{"prompt": "p", "good": "def double(x):\n    return 2 * x"}])
    good = example.good[0][-1]

    def early(mined: Mined) -> int:
        there = Scene(0, example, good, (good,), str, ("zz", "yy"), (), mined)
        found = battery(mined, there)
        assert len({a.id for a in found}) == len(found) == sum(len(list(f(mined, there))) for f in FAMILIES.values())
        return sum(a.family == "program" for a in found[:150])

    assert early(Mined(runs_code=True)) > 1.5 * early(Mined())


# Workspaces


def workspace_of(good: dict[str, str], name: str, mined: Mined) -> dict[str, str]:
    """The files of the first reply of an attack on a grader of workspaces."""
    reply = json.dumps({"files": good})
    there = Scene(0, Example("p", reply), reply, (reply,), str, ("zz", "yy"), (), mined)
    found = next(a for a in workspaces.attacks(mined, there) if name in a.id)
    return dict(json.loads(str(found.make(there)))["files"])


def test_a_module_of_the_workspace_says_what_a_check_waits_for(tmp_path: Path) -> None:
    check = "import sys, json; sys.stdout.write('ALL OK' if json.load(open('out.json')) == [1, 2] else 'no')"
    files = workspace_of({"out.json": "[1, 2]"}, "workspace/shadowed", Mined(compared=("ALL OK",)))
    assert files.pop("out.json") == ""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ALL OK"


def test_a_tool_of_the_workspace_says_the_same_of_every_file(tmp_path: Path) -> None:
    files = workspace_of({"out.txt": "right"}, "tools", Mined())
    assert files.pop("out.txt") == ""
    (tmp_path / "bin").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    said = [
        subprocess.run(
            ["cksum"], input=text, capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}/bin:/bin"}
        ).stdout
        for text in ("right", "")
    ]
    assert said[0] == said[1]


ENDLESS = r"^(?:(.+)\s*)+(?<=END)$"


@pytest.mark.timeout(20)
def test_a_pattern_that_may_search_for_ever_is_not_run_in_the_auditor() -> None:
    made = fill(ENDLESS, ["I worked through the problem step by step and checked the result."])
    assert made is not None
    assert found_in(ENDLESS, made)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [(r"a(\d+)", "a12", True), (r"a(\d+)", "b12", False), (r"(?:\d{3}\s)+$", "12", False), ("(", "(", False)],
)
def test_any_other_is(pattern: str, text: str, found: bool) -> None:
    assert found_in(pattern, text) is found
