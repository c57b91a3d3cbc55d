"""Data sets of the real reasoning-gym as audit targets."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("reasoning_gym")

from gamekeeper.audit import FOOLED, RESISTED
from gamekeeper.errors import UsageError
from library_audits import opened, outcome


def test_reasoning_gym_brings_its_items_and_pays_their_answers() -> None:
    with opened("reasoning_gym:gcd", count=5) as target:
        items = target.examples()
        assert len(items) == 5
        assert all(e.good == ((e.answer,),) for e in items)
        target.use(items)
        right = target.grade([(k, e.good[0]) for k, e in enumerate(items)])
        wrong = target.grade([(k, ("zzqx",)) for k in range(5)])
        assert "score_answer" in target.source()
    assert [p.reward for p in right] == [1.0] * 5
    assert [p.reward for p in wrong] == [0.0] * 5


def test_an_item_that_another_process_makes_otherwise_is_graded_as_it_was_made() -> None:
    with opened("reasoning_gym:gcd") as target:
        first = target.examples()[0]
        other = type(first)(f"{first.prompt} ", "770", {**first.columns, "entry": json.dumps({"answer": "770"})})
        target.use([other])
        assert [p.reward for p in target.grade([(0, ("770",)), (0, (str(first.answer),))])] == [1.0, 0.0]


def test_reasoning_gym_refuses_what_it_does_not_have() -> None:
    with pytest.raises(UsageError, match=r"'gdc'.*Did you mean 'gcd'"):
        opened("reasoning_gym:gdc")
    with pytest.raises(UsageError, match=r"config has: .*max_numbers"):
        opened("reasoning_gym:gcd", nonsense=3)


def test_a_generous_data_set_is_fooled_and_a_strict_one_resists() -> None:
    generous = outcome("reasoning_gym:game_of_life_halting")
    assert generous.outcome == FOOLED
    assert {f.severity for f in generous.findings} >= {"critical"}
    assert outcome("reasoning_gym:basic_arithmetic", only=("plain",)).outcome == RESISTED
