"""The parts of a right reply: fair pay for some of them, full pay for a piece, and where a reply has its answer."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from audit_graders import SUMS
from audited import blamed, causes, looked
from gamekeeper.audit import FOOLED, RESISTED, Settings
from gamekeeper.audit.attacks import answers, pieces, programs
from gamekeeper.audit.attacks.base import Maker
from gamekeeper.audit.auditor import Audit
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.finding import Example, Finding, Reach
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.parts import document, fair_share
from gamekeeper.audit.reach import Survey
from gamekeeper.audit.scene import Scene, gold_of, slot_by_form, slot_of

# Part credit

INVOICES = [
    {"prompt": f"{v}, {n} at {p}, as JSON: vendor, total, items", "answer": a, "good": json.dumps(a)}
    for v, n, p in (("Acme", 3, 20), ("Bolt", 5, 2), ("Cole", 4, 11))
    for a in [{"vendor": v, "total": n * p, "items": n}]
]


def _record(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def share_of_fields(completion: str, answer: dict[str, Any]) -> float:
    got = _record(completion)
    return sum(got.get(k) == v for k, v in answer.items()) / len({*got, *answer})


def all_but_two(completion: str, answer: dict[str, Any]) -> float:
    got = _record(completion)
    return float(sum(got.get(k) == v for k, v in answer.items()) >= len(answer) - 2)


def as_it_is(completion: str, answer: str) -> float:
    return float(completion == answer)


@pytest.mark.slow
def test_lists_that_are_nested_too_deeply_to_be_walked_through_are_texts() -> None:
    deep = ["[" * 900 + str(n) + "]" * 900 for n in range(3)]
    assert [document(text) for text in deep] == [None] * 3
    rows = [{"prompt": f"p{n}", "answer": text, "good": text} for n, text in enumerate(deep)]
    assert looked(as_it_is, rows, only=("plain", "state")).outcome == RESISTED


@pytest.mark.parametrize("family", ["plain", "state"])
def test_a_share_of_the_fields_is_fair_pay(family: str) -> None:
    report = looked(share_of_fields, INVOICES, only=(family,))
    assert report.outcome == RESISTED, blamed(report)


def test_full_pay_for_a_share_of_the_fields_is_not() -> None:
    report = looked(all_but_two, INVOICES, only=("state",))
    assert causes(report) & {"state/hollow", "state/unsaid"}
    assert "state/edit" not in causes(report)  # `total` is what was asked for, and no score


def test_the_smallest_reply_keeps_the_field_that_it_is_about() -> None:
    hollow = [f for f in looked(all_but_two, INVOICES, only=("state/hollow",)).findings if f.cause == "state/hollow"]
    assert hollow
    assert all(set(json.loads(f.reply)) == {"vendor", "total", "items"} for f in hollow)


TOWNS = [
    {"prompt": f"Towns in: {', '.join(t)}?", "answer": t, "good": ", ".join(t)}
    for t in (["Oslo", "Bergen", "Rome"], ["Kyiv", "Lviv", "Bath"], ["Porto", "Faro", "Braga"])
]


def overlap(completion: str, answer: list[str]) -> float:
    said = {t.strip() for t in completion.split(",") if t.strip()}
    return len(said & set(answer)) / len(said | set(answer))


def any_town(completion: str, answer: list[str]) -> float:
    return float(any(t in completion for t in answer))


@pytest.mark.parametrize("family", [pytest.param("plain", marks=pytest.mark.slow), "answer"])
def test_a_list_is_wanted_whole_and_a_share_of_it_is_fair_pay(family: str) -> None:
    report = looked(overlap, TOWNS, only=(family,))
    assert report.outcome == RESISTED, blamed(report)
    assert looked(any_town, TOWNS, only=(family,)).outcome == FOOLED


def in_scene(good: str, answer: Any, prompt: str = "p") -> Scene:
    [example] = as_examples([{"prompt": prompt, "good": good, "answer": answer}])
    gold = gold_of(example)
    return Scene(0, example, gold, (good,), slot_of(good, gold) or str, ("zz", "yy"), (), Mined())


def test_a_list_of_which_one_will_do_is_told_from_one_that_is_wanted_whole() -> None:
    whole = in_scene('So: ["Oslo", "Rome"]', ["Oslo", "Rome"])
    assert (whole.gold, whole.elements) == ('["Oslo", "Rome"]', ["Oslo", "Rome"])
    assert (whole.reading("Oslo"), whole.reading("Rome, Oslo")) == ("wrong", "unknown")
    one = in_scene("Oslo", ["Oslo", "oslo", "Oslo city"])
    assert (one.gold, one.elements, one.reading("oslo")) == ("Oslo", [], "right")


@pytest.mark.parametrize(
    ("good", "answer", "prompt", "reply", "share"),
    [
        ("1 2\n3 4", "1 2\n3 4", "Fill.", "1 2\n3 9", 0.75),
        ("a, b, c", "a, b, c", "Name three.", "c, b, a", 1.0),
        ("a, b, c", "a, b, c", "Sort them.", "c, b, a", 1 / 3),
        ("a, b, c", "a, b, c", "Name three.", "a, a, a", 0.5),
        ('<call>{"f": 1, "g": 2}</call>', {"f": 1, "g": 2}, "Call.", '<call>{"f": 1}</call>', 2 / 3),
        ('{"thought": "so", "answer": "7"}', "7", "3+4?", '{"thought": "so", "answer": "8"}', 0.0),
        ("<p>so</p>\n<a>7</a>", "7", "3+4?", "<p>so</p>\n<a>8</a>", 0.0),
        ("42", "42", "6*7?", "41", 0.0),
    ],
)
def test_the_fair_share_of_a_reply(good: str, answer: Any, prompt: str, reply: str, share: float) -> None:
    assert fair_share(in_scene(good, answer, prompt), reply) == pytest.approx(share)


# The form of a right reply

EQUATIONS = [
    {"prompt": f"Using {a}, {b}, {c} once each, make {n}.", "nums": [a, b, c], "target": n, "good": good}
    for a, b, c, n, good in (
        (3, 5, 7, 22, "<answer>3*5+7</answer>"),
        (2, 4, 6, 20, "<answer>(6+4)*2</answer>"),
        (8, 9, 2, 34, "<answer>(8+9)*2</answer>"),
    )
]


def equals(completion: str, target: int) -> float:
    found = re.fullmatch(r"<answer>([\d+*() -]+)</answer>", completion)
    return float(found is not None and bool(re.search(r"\d", found[1])) and _sum(found[1]) == target)


def _sum(text: str) -> float:
    try:
        return float(eval(text, {"__builtins__": {}}))
    except (SyntaxError, TypeError, NameError, ZeroDivisionError):
        return math.nan


def equals_with_all(completion: str, target: int, nums: list[int]) -> float:
    used = sorted(int(n) for n in re.findall(r"\d+", completion))
    return equals(completion, target) if used == sorted(nums) else 0.0


@pytest.mark.slow
def test_the_answers_place_is_found_where_no_column_says_the_answer() -> None:
    assert "plain/given" in causes(looked(equals, EQUATIONS, only=("plain/given",)))
    assert looked(equals_with_all, EQUATIONS, only=("plain/given",)).outcome == RESISTED


@pytest.mark.parametrize(
    ("good", "filled"),
    [
        ("<answer>3</answer> or <answer>4</answer>.", "<answer>3</answer> or <answer>X</answer>."),
        (r"so \boxed{\frac{1}{2}}", r"so \boxed{X}"),
        ("so\n#### 4 m", "so\n#### X"),
    ],
)
def test_the_place_of_an_answer_by_its_form(good: str, filled: str) -> None:
    wrap = slot_by_form(good)
    assert wrap is not None
    assert wrap("X") == filled
    assert slot_by_form("no place") is None


CALLS = [
    {
        "prompt": what,
        "tool": tool,
        "args": args,
        "good": f"<call>{json.dumps({'name': tool, 'arguments': args})}</call>",
    }
    for what, tool, args in (
        ("Weather in Oslo?", "weather", {"city": "Oslo"}),
        ("Say hi to Bo.", "send", {"to": "Bo", "text": "hi"}),
        ("Stop the lamp.", "stop", {"what": "lamp"}),
    )
    for call in [{"name": tool, "arguments": args}]
]


def _call(text: str) -> dict[str, Any]:
    found = re.fullmatch(r"<call>(.*)</call>", text, re.DOTALL)
    return _record(found[1]) if found else {}


def no_wrong_argument(completion: str, tool: str, args: dict[str, Any]) -> float:
    call = _call(completion)
    given = call.get("arguments", {})
    given = given if isinstance(given, dict) else {"": given}
    return float(call.get("name") == tool and all(args.get(k) == v for k, v in given.items()))


def all_arguments(completion: str, tool: str, args: dict[str, Any]) -> float:
    return float(_call(completion) == {"name": tool, "arguments": args})


@pytest.mark.slow
def test_json_within_tags_is_hollowed() -> None:
    assert causes(looked(no_wrong_argument, CALLS, only=("state",))) & {"state/unsaid", "state/hollow"}
    report = looked(all_arguments, CALLS, only=("state",))
    assert report.outcome == RESISTED, blamed(report)


# A part of a list, another order, everything at once

RANKS = [
    {"prompt": f"Sort: {t}. Comma list.", "answer": a, "good": a}
    for t, a in (
        ("ant, horse, cat", "ant, cat, horse"),
        ("nine, two, five", "two, five, nine"),
        ("hut, tower, box", "box, hut, tower"),
    )
]
GRIDS = [{"prompt": f"Grid {g[:3]}?", "answer": g, "good": g} for g in ("1 2\n2 1", "3 4\n4 3", "5 7\n7 5")]
GRIDS = [{**row, "answer": f"{row['answer']}\n9 8", "good": f"{row['good']}\n9 8"} for row in GRIDS]


def _parted(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,\n]", text.strip())]


def in_step(completion: str, answer: str) -> float:
    return float(all(a == b for a, b in zip(_parted(completion), _parted(answer), strict=False)))


def in_any_order(completion: str, answer: str) -> float:
    return float(sorted(_parted(completion)) == sorted(_parted(answer)))


def part_by_part(completion: str, answer: str) -> float:
    return float(_parted(completion) == _parted(answer))


def first_digits(completion: str, answer: str) -> float:
    return float(bool(completion.strip()) and answer.startswith(completion.strip()))


def any_call(completion: str, tool: str, args: dict[str, Any]) -> float:
    calls = re.findall(r"<call>(.*?)</call>", completion)
    return float({"name": tool, "arguments": args} in [_record(call) for call in calls])


@pytest.mark.parametrize(
    ("hole", "closed", "rows", "cause"),
    [
        (in_step, part_by_part, RANKS, "answer/piece"),
        pytest.param(in_step, part_by_part, GRIDS, "answer/piece", marks=pytest.mark.slow),
        pytest.param(in_any_order, part_by_part, RANKS, "answer/order", marks=pytest.mark.slow),
        pytest.param(first_digits, part_by_part, SUMS, "answer/fragment", marks=pytest.mark.slow),
        pytest.param(any_call, all_arguments, CALLS, "answer/many-slots", marks=pytest.mark.slow),
    ],
    ids=["in step", "grid", "any order", "first digits", "any call"],
)
def test_a_piece_of_the_answer_is_not_the_answer(hole: Any, closed: Any, rows: Any, cause: str) -> None:
    assert cause in causes(looked(hole, rows, only=(cause,)))
    report = looked(closed, rows, only=(cause,))
    assert report.outcome == RESISTED, blamed(report)


def test_right_replies_together_leave_out_what_is_right_here_too() -> None:
    there = replace(in_scene("so 7", "7"), goods=("so 7", "it is 7", "1", "2", "3"))
    made = [a.make(there) for a in pieces.pieces(Maker("answer", answers.TABLE)) if a.technique == "many-slots"]
    assert made == [("1\n2\nso 7\n3",), ("1 2 so 7 3",)]
    two = replace(there, goods=("so 7", "it is 7", "1"))
    assert not [a for a in pieces.pieces(Maker("answer", answers.TABLE)) if a.technique == "many-slots" and a.make(two)]


@pytest.mark.parametrize(
    "asked",
    ["Name three.", "List those of an ordered set, in any order.", "Rank none: the order does not matter."],
)
def test_order_does_not_count_where_the_prompt_asks_for_none(asked: str) -> None:
    rows = [{**row, "prompt": asked} for row in RANKS]
    report = looked(in_any_order, rows, only=("answer",))
    assert report.outcome == RESISTED, blamed(report)


def test_a_program_that_prints_everything_is_made_for_scripts() -> None:
    script = Scene(
        0, Example("p", None), "", ("print(int(input()) * 2)",), str, ("zz", "yy"), (), Mined(runs_code=True)
    )
    sprays = {a.id: a.make(script) for a in programs.attacks(Mined(runs_code=True), script) if a.technique == "spray"}
    assert len(sprays) == 2
    for text in sprays.values():
        ran = subprocess.run([sys.executable, "-c", text], input="ab", capture_output=True, text=True, check=True)
        assert {"ab", "AB", "ba", "-999", "84"} <= set(ran.stdout.split())
    called = replace(script, good=("def f(x):\n    return x",))
    assert not [a for a in programs.attacks(Mined(), called) if a.technique == "spray" and a.make(called)]


# Showing a finding again


@pytest.mark.parametrize(("family", "only"), [("search", ""), ("plain", " --only plain/found")])
def test_a_finding_of_the_search_is_shown_again_with_all_that_it_starts_from(family: str, only: str) -> None:
    found = Finding(f"{family}/found:best", family, "high", "w", "f", 0, ("x",), 1.0, 1.0, 0.0, 1.0, 1.0)
    audited = Audit(SimpleNamespace(name="g.py:f"), (), Settings(command=("--search", "9")))  # type: ignore[arg-type]
    finished = audited._finished(found, (), Survey(Reach(True, "")), None)  # type: ignore[arg-type]
    assert finished.repro == f"gamekeeper audit g.py:f --search 9{only}"
