"""Tasksets of the real verifiers as audit targets, scored by hand-built traces."""

from __future__ import annotations

import pytest

pytest.importorskip("verifiers")

import library_targets
from gamekeeper.audit import FOOLED
from gamekeeper.errors import UsageError
from library_audits import FILE, opened, outcome


def test_a_taskset_is_scored_by_traces() -> None:
    with opened(f"verifiers:{FILE}") as target:
        items = target.examples()
        assert [e.answer for e in items] == [a for _, a in library_targets.ROWS]
        target.use(items)
        assert [p.reward for p in target.grade([(0, ("65",)), (1, ("65",)), (1, ("first", "117"))])] == [1.0, 0.0, 1.0]
        assert "last_reply" in target.source()
    assert outcome(f"verifiers:{FILE}").outcome == FOOLED


def test_a_taskset_without_a_reward_that_works_here_cannot_be_looked_at() -> None:
    report = outcome(f"verifiers:{FILE}:Lonely")
    assert report.outcome == "could not look"
    assert "without a runtime" in report.reach.why


def test_an_unknown_taskset_is_named() -> None:
    with pytest.raises(UsageError, match="Known: Lonely, Sums"):
        opened(f"verifiers:{FILE}:Nope")
