"""The maths of GRPO by law and by hand, the exactness of its savings, and that it learns.

Behaviour pinned here; a break is a decision, not a fix:
 1. advantages of a group sum to zero, a constant added to rewards changes nothing, equal rewards give zero;
 2. an ungraded rollout has no advantage and does not move its group's mean;
 3. leaving out zero-advantage rollouts, sharing prompts and cutting into pieces leave the gradient unchanged;
 4. the loss is a mean over all reply tokens of the minibatch, those of zero advantage included;
 5. a turn that a game does not train gets no gradient;
 6. the trainer reads rewards only;
 7. too many ungraded rollouts stop the run.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekeeper.train.grpo as grpo
from gamekeeper.config import TrainConfig
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.policy.attention import PromptAttention
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.train.advantage import flat_groups, group_advantages
from gamekeeper.train.grpo import Trace, Trainer, accumulate, minibatch_step, train
from gamekeeper.train.loss import clipped_objective, k3
from gamekeeper.train.rollout import Rollout
from gamekeeper.types import Score
from tiny import Vowels, tiny_model, tiny_policy

REWARDS = st.lists(st.floats(-10, 10), min_size=4, max_size=4)


@given(st.lists(REWARDS, min_size=1, max_size=4), st.floats(-5, 5))
def test_advantage_laws(rows: list[list[float]], shift: float) -> None:
    rewards = torch.tensor(rows, dtype=torch.float64)
    advantages = group_advantages(rewards)
    assert advantages.sum(1).abs().max() < 1e-6
    spread = rewards.std(1)
    settled = spread > 1e-3
    torch.testing.assert_close(group_advantages(rewards + shift)[settled], advantages[settled], atol=1e-5, rtol=1e-5)
    assert group_advantages(torch.full((2, 4), shift, dtype=torch.float64)).abs().max() == 0


def test_advantages_by_hand() -> None:
    # Rewards 1, 0, 0, 0: mean .25, variance (.75^2 + 3 * .25^2) / 3 = .25, std .5.
    got = group_advantages(torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64))
    expected = torch.tensor([[0.75, -0.25, -0.25, -0.25]], dtype=torch.float64) / (0.5 + 1e-4)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_ungraded_rollouts_stand_aside() -> None:
    rewards = torch.tensor([[1.0, 0.0, 99.0], [5.0, 7.0, 7.0]])
    known = torch.tensor([[True, True, False], [True, False, False]])
    got = group_advantages(rewards, known)
    # Known 1 and 0: mean .5, std sqrt(.5). A single known reward says nothing.
    assert got[0].tolist() == pytest.approx(
        [0.5 / (math.sqrt(0.5) + 1e-4), -0.5 / (math.sqrt(0.5) + 1e-4), 0], abs=1e-6
    )
    assert got[1].tolist() == [0, 0, 0]
    assert flat_groups(rewards, known).tolist() == [False, True]


def test_clipped_objective_by_hand() -> None:
    # Ratios 1.5, 1.5, .5, .5 with clip .2: gains min(1.5, 1.2), min(-1.5, -1.2), min(.5, .8), min(-.5, -.8).
    logps = torch.tensor([1.5, 1.5, 0.5, 0.5]).log()
    gain, clipped = clipped_objective(logps, torch.zeros(4), torch.tensor([1.0, -1, 1, -1]), 0.2)
    torch.testing.assert_close(gain, torch.tensor([1.2, -1.5, 0.5, -0.8]))
    assert clipped.tolist() == [True, False, False, True]


def test_k3_is_zero_at_equality_and_positive_elsewhere() -> None:
    d = torch.tensor([0.0, 0.3, -0.3])
    value = k3(torch.zeros(3), d)
    assert value[0] == 0
    assert (value[1:] > 0).all()
    torch.testing.assert_close(value[1], torch.tensor(math.exp(0.3) - 1.3))


def some_traces(seed: int = 0, groups: int = 5, group: int = 3) -> list[Trace]:
    draw = torch.Generator().manual_seed(seed)

    def ints(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 300, (n,), generator=draw).tolist())

    traces = []
    for g in range(groups):
        prompt = ints(3 + g)
        for i in range(group + g % 2):
            reply = ints(1 + (2 * i + g) % 6)
            logps = tuple((-5 + torch.rand(len(reply), generator=draw)).tolist())
            advantage = 0.0 if (g + i) % 3 == 0 else (-1.0) ** i * (1 + g)
            traces.append(Trace(prompt, reply, logps, advantage))
    return traces


def naive_gradient(trainer: Trainer, traces: list[Trace]) -> torch.Tensor:
    """Every (prompt, reply) pair alone, zero advantages included, by the plainest code."""
    model, config = trainer.policy.model, trainer.config
    model.zero_grad()
    tokens = sum(len(t.reply) for t in traces)
    total = torch.zeros(())
    for t in traces:
        whole = torch.tensor([*t.prompt, *t.reply])[None]
        logits = model.logits(model(whole, torch.arange(whole.shape[1])[None], PromptAttention()))[0]
        logp = (logits / config.temperature).log_softmax(-1)[len(t.prompt) - 1 : -1]
        logp = logp.gather(1, torch.tensor(t.reply)[:, None])[:, 0]
        ratio = (logp - torch.tensor(t.logps)).exp()
        total = total - torch.minimum(ratio * t.advantage, ratio.clamp(0.8, 1.2) * t.advantage).sum()
    (total / tokens).backward()
    return flat_gradient(model)


def flat_gradient(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def trainer_of(model: torch.nn.Module, **changes: object) -> Trainer:
    policy = PocketPolicy(model, tiny_policy().tokenizer)
    return Trainer(TrainConfig(**{"threads": 1, "precision": "fp32", **changes}), policy)


@pytest.mark.parametrize("at_once", [10_000, 40])
def test_sharing_skipping_and_cutting_leave_the_gradient_alone(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpo, "_TOKENS_AT_ONCE", at_once)
    trainer, traces = trainer_of(tiny_model(spread=0.1), temperature=0.9), some_traces()
    expected = naive_gradient(trainer, traces)
    trainer.policy.model.zero_grad()
    accumulate(trainer, traces, sum(len(t.reply) for t in traces))
    got = flat_gradient(trainer.policy.model)
    assert expected.norm() > 0.1
    assert ((got - expected).norm() / expected.norm()).item() <= 1e-5


def test_nothing_to_learn_moves_nothing() -> None:
    trainer = trainer_of(tiny_model())
    before = [p.clone() for p in trainer.policy.model.parameters()]
    stats = minibatch_step(trainer, [replace(t, advantage=0.0) for t in some_traces()])
    assert stats["grad_norm"] == 0
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.policy.model.parameters(), strict=True))
    assert minibatch_step(trainer, []) == {}


def test_kl_pulls_towards_the_reference() -> None:
    trainer = trainer_of(tiny_model(0, 0.1), kl=1.0, learning_rate=1e-3)
    trainer.reference = tiny_model(0, 0.1)
    traces = [replace(t, advantage=0.0) for t in some_traces()]
    assert minibatch_step(trainer, traces)["kl"] == pytest.approx(0, abs=1e-6)
    trainer.reference = tiny_model(7, 0.1)
    first = minibatch_step(trainer, traces)["kl"]
    for _ in range(10):
        last = minibatch_step(trainer, traces)["kl"]
    assert 0 < last < first


def test_divergence_is_an_error() -> None:
    trainer = trainer_of(tiny_model())
    with pytest.raises(UsageError, match="diverged"):
        minibatch_step(trainer, [replace(t, advantage=float("inf")) for t in some_traces()])


def run_toy(game: Vowels, seed: int = 0, **changes: object) -> list[grpo.StepResult]:
    given: dict[str, object] = {"steps": 3, "items_per_step": 4, "group": 4, "minibatches": 2, "threads": 1}
    config = TrainConfig(**{**given, "precision": "fp32", **changes})
    return list(train(Trainer(config, tiny_policy(0)), game, seed))


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_it_learns_what_pays(seed: int) -> None:
    changes = {"steps": 12, "items_per_step": 8, "group": 8, "learning_rate": 1e-2, "schedule": "constant"}
    for arm, rises in (("flawed", True), ("secure", False)):
        game = Vowels(Vowels.arm(arm))
        steps = run_toy(game, seed, **changes)
        shares = [1 - game.metrics([r.score for r in s.rollouts])["truth"] for s in steps]
        assert (shares[-1] > shares[0] + 0.3) is rises


def test_same_seed_same_run_and_other_seed_another() -> None:
    def replies(seed: int) -> list:
        return [[r.replies for r in s.rollouts] for s in run_toy(Vowels(), seed)]

    assert replies(0) == replies(0)
    assert replies(0) != replies(1)


class Secretive(Vowels):
    """Truth, exploited and evidence may not be touched by the trainer: reading them raises."""

    def score_many(self, episodes: object) -> list:
        class Guarded:
            def __init__(self, score: Score) -> None:
                self.reward, self.unscored = score.reward, score.unscored

            def __getattr__(self, name: str) -> object:
                raise AssertionError(f"the trainer read {name!r}")

        return [Guarded(s) for s in super().score_many(episodes)]


@pytest.mark.parametrize(
    ("schedule", "rates"), [("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]), ("constant", [0.5, 1, 1, 1, 1, 1])]
)
def test_the_step_size_by_hand(schedule: str, rates: list[float]) -> None:
    trainer = Trainer(TrainConfig(steps=6, warmup_steps=2, schedule=schedule, learning_rate=1.0), tiny_policy())
    found = []
    for trainer.step in range(6):
        found.append(trainer.rate())
    assert found == pytest.approx(rates)


def test_the_trainer_reads_rewards_only() -> None:
    assert len(run_toy(Secretive(), steps=1)) == 1


def test_two_turns_share_one_advantage_and_untrained_turns_get_none() -> None:
    both, first = Vowels(turns=2), Vowels(turns=2, trained=(0,))
    rollout = run_toy(both, steps=1)[0].rollouts[0]
    assert len(rollout.samples) == 2
    assert len(grpo.traces_of(rollout, 1.5, both)) == 2
    (only,) = grpo.traces_of(rollout, 1.5, first)
    assert only.reply == rollout.samples[0].tokens
    assert only.advantage == 1.5


class Broken(Vowels):
    share = 1.0

    def score_many(self, episodes: list) -> list[Score]:
        good = super().score_many(episodes)
        return [Score.failed("the judge is away") if i < self.share * len(good) else s for i, s in enumerate(good)]


def test_too_many_ungraded_rollouts_stop_the_run() -> None:
    with pytest.raises(CouldNotLook, match="the judge is away"):
        run_toy(Broken())
    some = Broken()
    some.share = 0.1
    assert len(run_toy(some)) == 3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 7))
def test_advantages_follow_their_rollouts(paid: list[bool], failed: int) -> None:
    """Rollout i's advantage has the sign of its reward minus its group's mean."""
    rollouts = []
    for i, p in enumerate(paid):
        score = Score.failed("x") if i == failed and i < 1 else Score(float(p), None, None)
        rollouts.append(Rollout(i // 4, None, [], [], score))  # type: ignore[arg-type]
    advantages = grpo.rollout_advantages(rollouts, 4, {})
    for start in (0, 4):
        known = [r.score.reward for r in rollouts[start : start + 4] if r.score.reward is not None]
        mean = sum(known) / len(known)
        for r, a in zip(rollouts[start : start + 4], advantages[start : start + 4], strict=True):
            want = 0 if r.score.reward is None else r.score.reward - mean
            assert a * want > 0 or abs(want) < 1e-12
