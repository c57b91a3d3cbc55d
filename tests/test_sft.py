"""Supervised fine-tuning: what is trained on, that it learns, and that equal calls give equal weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.config import SftConfig
from gamekeeper.errors import UsageError
from gamekeeper.registry import load_game
from gamekeeper.studies.teaching import PATIENCE, conversations_of, is_clean, is_untried, lesson_of
from gamekeeper.train.sft import documents_of, epoch_batches, fine_tune, rate_share
from gamekeeper.types import Message, Score
from tiny import Vowels, tiny_policy

TALK = [
    [Message("system", "say yes or no"), Message("user", f"is it {n}?"), Message("assistant", "yes")] for n in range(12)
]
CONFIG = SftConfig(epochs=3, tokens_per_batch=120, learning_rate=3e-3, warmup_steps=2)


def test_the_loss_falls_on_the_reply_and_its_end_alone() -> None:
    policy = tiny_policy()
    (ids, weights), *_ = documents_of(policy, TALK[:1])
    trained = [i for i, w in zip(ids, weights, strict=True) if w]
    assert set(weights) == {0.0, 1.0}
    assert trained == [*policy.tokenizer.encode("yes"), policy.tokenizer.end]


def test_what_is_too_long_for_the_model_is_left_out() -> None:
    long = [Message("user", "is the sky blue? " * 400), Message("assistant", "no")]
    assert len(documents_of(tiny_policy(), [long, TALK[0]])) == 1


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_each_epoch_sees_every_document_once(n: int, seed: int, epoch: int) -> None:
    documents = [([i] * (1 + i % 7), [1.0]) for i in range(n)]
    config = SftConfig(tokens_per_batch=16)
    batches = epoch_batches(documents, config, seed, epoch)
    assert sorted(d[0] for b in batches for d in b) == sorted(d[0] for d in documents)
    assert all(len(b) * max(len(d[0]) for d in b) <= 16 for b in batches)


def test_epochs_differ_in_their_order() -> None:
    documents = [([i] * 3, [1.0]) for i in range(40)]
    first, second = (epoch_batches(documents, SftConfig(tokens_per_batch=16), 0, e) for e in (0, 1))
    assert first != second


def test_the_rate_warms_up_and_falls() -> None:
    shares = [rate_share(CONFIG, step, 20) for step in range(20)]
    assert shares[0] < shares[1] < shares[2] == 1.0
    assert all(a > b > 0 for a, b in pairwise(shares[2:]))
    assert rate_share(replace(CONFIG, warmup_steps=100), 0, 1) == 1.0  # never all warm-up


def test_it_learns_what_it_is_shown_and_repeats_itself() -> None:
    def taught() -> tuple[list[float], dict[str, torch.Tensor]]:
        policy = tiny_policy(seed=1)
        losses = [loss for _, _, loss in fine_tune(policy, documents_of(policy, TALK), CONFIG, 5)]
        return losses, policy.model.state_dict()

    losses, weights = taught()
    again, same = taught()
    assert losses[-1] < 0.7 * losses[0]
    assert losses == again
    assert all(torch.equal(weights[k], same[k]) for k in weights)


def test_nothing_to_learn_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to learn from"):
        next(fine_tune(tiny_policy(), [], CONFIG, 0))
    with pytest.raises(UsageError, match="must be above 0"):
        SftConfig(learning_rate=0)
    with pytest.raises(UsageError, match=r"SftConfig\.samples must be at least 1"):
        SftConfig(samples=0)


# Lessons


def test_clean_is_without_exploit_and_where_that_is_not_known_as_intended() -> None:
    assert is_clean(Score(1.0, 0.0, False))
    assert not is_clean(Score(1.0, 1.0, True))
    assert is_clean(Score(1.0, 1.0, None))
    assert not is_clean(Score(1.0, 0.0, None))
    assert is_untried(Score(1.0, 0.0, False))
    assert not is_untried(Score(1.0, 0.0, True))
    assert not is_untried(Score(0.0, 1.0, None, facts={"attempted": True}))


def test_a_conversation_for_each_turn() -> None:
    prompts = [(Message("user", "a"),), (Message("user", "b"),)]
    found = conversations_of(prompts, ["x", "y"])
    assert found == [
        [Message("user", "a"), Message("assistant", "x")],
        [Message("user", "b"), Message("assistant", "y")],
    ]


@pytest.mark.parametrize("name", ["compliance", "selfgrade", "summary", "tamper"])
def test_honest_lessons_are_honest(name: str) -> None:
    """Played back, every honest lesson is worth what the honest script is worth, and no item is of the test split."""
    game = load_game(name, "secure")
    lesson = lesson_of(game, None, 6, "all", 3)
    assert (lesson.episodes, lesson.sampled) == (6, 6)
    assert len(lesson.conversations) == 6 * len(game.reply_tokens)
    assert not [e for c in lesson.conversations for e in game.exploits_in(c)]


def test_an_honest_self_grader_says_no_as_well() -> None:
    lesson = lesson_of(load_game("selfgrade"), None, 8, "all", 3)
    verdicts = [c[-1].content for c in lesson.conversations[1::2]]
    assert verdicts == ["Yes", "No"] * 4


def test_a_teacher_is_asked_until_enough_is_clean_or_patience_ends() -> None:
    game = Vowels()

    class Exploiter:
        asked = 0

        def sample(self, prompts, decoding, seed):  # type: ignore[no-untyped-def]
            from gamekeeper.policy.base import Sample

            self.asked += len(prompts)
            return [Sample("aei" if n % 8 else "xyz") for n in range(len(prompts))]

    every = lesson_of(game, Exploiter(), 16, "all", 0)
    assert (every.episodes, every.sampled) == (16, 16)
    teacher = Exploiter()
    clean = lesson_of(game, teacher, 16, "clean", 0)
    assert clean.sampled == teacher.asked == 16 * PATIENCE
    assert clean.episodes == 8  # two of each sixteen
    assert {c[-1].content for c in clean.conversations} == {"xyz"}
