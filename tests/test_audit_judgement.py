"""What is fair pay, and what is a hole: pairs of graders that differ in one thing, and the rules that tell them apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.audit import RESISTED, Settings, audit
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.scene import wrong_values
from gamekeeper.audit.truth import value_of


def looked(grader: Any, rows: Any, **settings: Any) -> Any:
    return audit(grader, rows, Settings(**{"search": 0, "seconds": 120, **settings}))


def causes(report: Any) -> set[str]:
    return {f.cause for f in report.findings}


def blamed(report: Any) -> Any:
    return [(f.id, f.reply, f.gain, f.share) for f in report.findings] or report.reach


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


def test_a_wide_tolerance_is_one_and_is_called_so() -> None:
    assert causes(looked(to_a_fifth, FACTS, only=("answer/tolerance",))) == {"answer/tolerance"}
    assert "answer/tolerance" in causes(looked(to_a_fifth, COUNTS, only=("answer/tolerance",)))


def test_a_task_that_asks_for_an_estimate_has_a_tolerance() -> None:
    rows = [{**row, "prompt": f"Roughly: {row['prompt']}"} for row in FACTS]
    assert looked(to_a_fifth, rows, only=("answer/tolerance",)).outcome == RESISTED


@given(st.integers(-(10**9), 10**9).map(str) | st.decimals(-9999, 9999, places=2).map(str))
def test_wrong_values_are_far_from_the_answer(gold: str) -> None:
    value = value_of(gold)
    [example] = as_examples([{"prompt": "p", "answer": gold}])
    found = [v for w in wrong_values(example, ()) if (v := value_of(w)) is not None]
    assert value is not None
    assert found
    assert all(abs(v - value) >= abs(value) / 2 for v in found)
