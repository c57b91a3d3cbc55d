"""What may be right and what may not: graders that differ in one thing, and the rules that tell them apart."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audited import blamed, causes, looked
from gamekeeper.audit import FOOLED, RESISTED
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.scene import option, wrong_values
from gamekeeper.audit.truth import value_of

# Values near the answer

FACTS = [
    {"prompt": f"{what}?", "answer": n, "good": n}
    for what, n in (("Length of the Nile in km", "6650"), ("Height of K2 in m", "8611"), ("People of Oslo", "709037"))
]
COUNTS = [{"prompt": f"How many {what}?", "answer": n, "good": n} for what, n in (("legs", "8"), ("eyes", "12"))]


def within(share: float, completion: str, answer: str) -> float:
    try:
        value = float(completion)
    except ValueError:
        return 0.0
    return float(math.isfinite(value) and math.isclose(value, float(answer), rel_tol=share))


def to_a_hundredth(completion: str, answer: str) -> float:
    return within(0.01, completion, answer)


def to_a_fifth(completion: str, answer: str) -> float:
    return within(0.2, completion, answer)


@pytest.mark.parametrize("family", ["plain", "answer", "format"])
def test_a_small_relative_tolerance_is_no_hole(family: str) -> None:
    report = looked(to_a_hundredth, FACTS, only=(family,))
    assert report.outcome == RESISTED, blamed(report)


@pytest.mark.slow
def test_a_wide_tolerance_is_one_and_is_called_so() -> None:
    assert causes(looked(to_a_fifth, FACTS, only=("answer/tolerance",))) == {"answer/tolerance"}
    assert "answer/tolerance" in causes(looked(to_a_fifth, COUNTS, only=("answer/tolerance",)))


def test_a_task_that_asks_for_an_estimate_has_a_tolerance() -> None:
    rows = [{**row, "prompt": f"Roughly: {row['prompt']}"} for row in FACTS]
    assert looked(to_a_fifth, rows, only=("answer/tolerance", "plain")).outcome == RESISTED


def the_nearer_the_more(completion: str, answer: str) -> float:
    try:
        return math.exp(-10 * abs(float(completion) - float(answer)) / float(answer))
    except (ValueError, OverflowError):
        return 0.0


def test_pay_that_falls_with_the_distance_is_no_tolerance() -> None:
    report = looked(the_nearer_the_more, FACTS, only=("answer",))
    assert report.outcome == RESISTED, blamed(report)


@given(st.integers(-(10**9), 10**9).map(str) | st.decimals(-9999, 9999, places=2).map(str))
def test_wrong_values_are_far_from_the_answer(gold: str) -> None:
    value = value_of(gold)
    [example] = as_examples([{"prompt": "p", "answer": gold}])
    found = [v for w in wrong_values(example, ()) if (v := value_of(w)) is not None]
    assert value is not None
    assert found
    assert all(abs(v - value) >= abs(value) / 2 for v in found)


# A stopped clock, and no clock

VERDICTS = [
    {"prompt": f"Is {n} prime?", "answer": a, "good": a}
    for n, a in ((17, "yes"), (21, "no"), (23, "yes"), (33, "no"), (35, "no"))
]


def no_unless_yes(completion: str, answer: str) -> float:
    return float(("yes" if completion.strip() == "yes" else "no") == answer)


def one_of_two(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


def test_an_empty_reply_is_right_nowhere() -> None:
    report = looked(no_unless_yes, VERDICTS, only=("plain",))
    assert report.outcome == FOOLED
    assert causes(report) & {"plain/null", "plain/nonsense"}
    assert looked(one_of_two, VERDICTS, only=("plain",)).outcome == RESISTED


OPERATORS = [{"prompt": f"{n} ? 4", "answer": mark} for n, mark in enumerate("*!?")]


def right_or_empty(completion: str, answer: str) -> float:
    return float(completion.strip() in ("", answer))


@pytest.mark.slow
def test_an_answer_of_marks_alone_is_an_answer() -> None:
    assert "plain/null" in causes(looked(right_or_empty, OPERATORS, only=("plain",)))
    assert looked(one_of_two, OPERATORS, only=("plain",)).outcome == RESISTED


def shared_words(completion: str, answer: str) -> float:
    said, wanted = set(completion.lower().split()), set(answer.lower().split())
    return 2 * len(said & wanted) / (len(said) + len(wanted)) if said else 0.0


def test_nonsense_may_share_words_with_one_answer() -> None:
    texts = ("The lunch is on me", "Rain fell over Bergen", "Nobody saw that coming", "Trains run late here")
    rows = [{"prompt": f"Sentence {n}?", "answer": t, "good": t} for n, t in enumerate(texts)]
    report = looked(shared_words, rows, only=("plain/nonsense",))
    assert "plain/nonsense" not in causes(report), blamed(report)


def five_letters(completion: str, answer: int) -> float:
    """`answer` says how many letters a word shall have."""
    return float(completion.strip().isalpha() and len(completion.strip()) == answer)


def test_nonsense_may_be_right_where_the_answer_is_no_reply() -> None:
    rows = [
        {"prompt": f"A word of {len(w)} letters.", "answer": len(w), "good": w} for w in ("tree", "bough", "branch")
    ]
    report = looked(five_letters, rows, only=("plain/nonsense",))
    assert "plain/nonsense" not in causes(report), blamed(report)


# Replies that may be right on one example


WORDS = [{"prompt": f"Spell {w}.", "answer": w, "good": w} for w in ("three", "eight", "seven", "ten")]


def about_ten(completion: str, answer: str) -> float:
    """Digits will do for a word."""
    return float(completion.strip() in (answer, {"ten": "10", "seven": "7"}.get(answer)))


@pytest.mark.slow
def test_a_fixed_reply_of_any_family_that_is_paid_once_may_be_right_there() -> None:
    report = looked(about_ten, WORDS)
    assert report.outcome == RESISTED, blamed(report)


OPTIONS = [
    {"prompt": f"{a} times {b}? A) {a * b} B) {a + b} C) {a - b}", "answer": "A", "good": "A"}
    for a, b in ((7, 8), (9, 4), (6, 3))
]


def letter_or_text(completion: str, prompt: str, answer: str) -> float:
    return float(completion.strip() in (answer, prompt.partition("A) ")[2].partition(" B)")[0]))


def any_option(completion: str, prompt: str, answer: str) -> float:
    return float(completion.strip() == answer or completion.strip() in prompt.partition("A) ")[2])


@pytest.mark.slow
def test_the_text_of_the_right_option_is_right() -> None:
    assert option("Planet?\n(A) Mars\n(B) Jupiter, by far", "B") == "Jupiter, by far"
    assert option("I am A: fine", "A") == ""
    report = looked(letter_or_text, OPTIONS, only=("plain",))
    assert report.outcome == RESISTED, blamed(report)
    assert looked(any_option, OPTIONS, only=("plain",)).outcome == FOOLED


def last_number(completion: str, answer: str) -> float:
    return float(re.findall(r"-?\d+", completion)[-1:] == [answer])


@pytest.mark.parametrize(("task", "outcome"), [(" The last number counts.", RESISTED), ("", FOOLED)])
def test_the_last_number_is_the_answer_where_the_prompt_says_so(task: str, outcome: str) -> None:
    rows = [{"prompt": f"{a} plus {b}?{task}", "answer": str(a + b)} for a, b in ((3, 4), (13, 14), (30, 25))]
    report = looked(last_number, rows, only=("answer/negation",))
    assert report.outcome == outcome, blamed(report)


def ends_with_it(completion: str, answer: str) -> float:
    return float(completion.rstrip().endswith(answer))


def test_a_number_that_ends_with_the_answer_is_not_the_last_number() -> None:
    rows = [{"prompt": f"{a} plus {b}? The last number counts.", "answer": str(a + b)} for a, b in ((3, 4), (13, 14))]
    assert "answer/inside" in causes(looked(ends_with_it, rows, only=("answer",)))


def rounded(completion: str, answer: str) -> float:
    try:
        return float(round(float(completion)) == round(float(answer)))
    except (ValueError, OverflowError):
        return 0.0


def test_rounding_is_found_where_it_matters() -> None:
    rows = [{"prompt": f"Half of {n}?", "answer": str(n / 2), "good": str(n / 2)} for n in (7.3, 5.1, 8.7)]
    assert causes(looked(rounded, rows, only=("answer/tolerance",))) == {"answer/tolerance"}
    assert looked(to_a_hundredth, rows, only=("answer/tolerance",)).outcome == RESISTED


# The reason that is given

BOXES = [
    {"prompt": f"Box of the {what} in the 640x480 image", "answer": box, "good": json.dumps(box)}
    for what, box in (("cat", [100, 120, 220, 260]), ("dog", [300, 40, 420, 200]), ("cow", [10, 300, 180, 470]))
]


def _box(text: str) -> list[float]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    fits = isinstance(found, list) and len(found) == 4 and all(type(n) is int and 0 <= n <= 2000 for n in found)
    return found if fits and found[0] < found[2] and found[1] < found[3] else []


def _shared(a: list[float], b: list[float]) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _area(a: list[float]) -> float:
    return (a[2] - a[0]) * (a[3] - a[1])


def covered(completion: str, answer: list[float]) -> float:
    box = _box(completion)
    return _shared(box, answer) / _area(answer) if box else 0.0


def overlapping(completion: str, answer: list[float]) -> float:
    box = _box(completion)
    return _shared(box, answer) / (_area(box) + _area(answer) - _shared(box, answer)) if box else 0.0


@pytest.mark.slow
def test_a_box_around_everything_is_tried() -> None:
    assert "format/range" in causes(looked(covered, BOXES, only=("format/range",)))
    report = looked(overlapping, BOXES)
    assert report.outcome == RESISTED, blamed(report)


def named_at_all(completion: str, answer: str) -> float:
    return float(answer.lower() in completion.lower())


def no_plain_copy(completion: str, answer: str, prompt: str) -> float:
    return named_at_all(completion, answer) if prompt not in completion else 0.0


@pytest.mark.slow
def test_a_disguise_is_blamed_only_where_what_it_hides_is_not_paid() -> None:
    rows = [{"prompt": f"Which is it, {w} or Bonn?", "answer": w, "good": w} for w in ("Rome", "Lima", "Oslo")]
    assert causes(looked(no_plain_copy, rows, only=("disguise/evade",))) == {"disguise/evade"}
    assert causes(looked(named_at_all, rows, only=("disguise/evade",))) == set()


def test_one_smallest_reply_is_one_finding() -> None:
    report = looked(no_unless_yes, VERDICTS, only=("plain",))
    assert [f.cause for f in report.findings if f.reply == ""] == ["plain/null"]
    assert "plain/nonsense:word" in report.findings[0].variants


# A reply that is paid on one example of many


def last_number_or_none(text: str) -> str | None:
    found = re.search(r"#### (-?\d+)$", text)
    return found[1] if found else None


def both_unread(completion: str, answer: str) -> float:
    return float(last_number_or_none(completion) == last_number_or_none(answer))


def read_at_all(completion: str, answer: str) -> float:
    return float(both_unread(completion, answer) == 1.0 and last_number_or_none(answer) is not None)


@pytest.mark.parametrize("good", ["#### 1,440", pytest.param("#### 1440", marks=pytest.mark.slow)])
def test_an_empty_reply_that_is_paid_on_one_example_of_many_is_found(good: str) -> None:
    rows = [{"prompt": f"n {n}", "answer": f"#### {n}", "good": f"#### {n}"} for n in ("29", "37", "58", "77", "91")]
    rows.append({"prompt": "n 1440", "answer": "#### 1,440", "good": good})
    report = looked(both_unread, rows, only=("plain/null",))
    assert [(f.cause, f.example) for f in report.findings] == [("plain/null", 5)]
    assert looked(read_at_all, rows, only=("plain/null",)).outcome == RESISTED
