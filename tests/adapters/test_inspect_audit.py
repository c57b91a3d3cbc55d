"""Scorers and tasks of the real Inspect as audit targets."""

from __future__ import annotations

import pytest

pytest.importorskip("inspect_ai")

from gamekeeper.audit.finding import Example
from gamekeeper.errors import UsageError
from library_audits import FILE, opened, paid


def test_a_shipped_scorer_and_its_arguments() -> None:
    with opened("inspect:pattern", pattern=r"is (\d+)") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade([(0, (f"it is {answer}",)), (0, (answer,))])] == [1.0, 0.0]
    with pytest.raises(UsageError, match="pattern: str"):
        opened("inspect:pattern")


def test_a_task_brings_its_samples_and_scorers() -> None:
    with opened(f"inspect:{FILE}:sums", extra=1) as target:
        assert [e.answer for e in target.examples()] == ["66", "118", "147"]
    assert paid(f"inspect:{FILE}:sums", "it is 65", "65") == [1.0, 1.0]
    assert paid(f"inspect:{FILE}:sums", "it is 65", "65", scorer=1) == [0.0, 1.0]
    with pytest.raises(UsageError, match="has 2 scorers"):
        opened(f"inspect:{FILE}:sums", scorer=2)


def test_choices_are_marked_as_the_solver_would() -> None:
    assert paid(f"inspect:{FILE}:letters", "ANSWER: B", "ANSWER: A", "B or not") == [1.0, 0.0, 0.0]


def test_a_dict_of_scores_counts_by_its_mean() -> None:
    rows = [Example("What is 1 + 1?", "2", {})]
    assert paid(f"inspect:{FILE}:two_numbers", "2", "3", rows=rows) == [1.0, 0.5]
