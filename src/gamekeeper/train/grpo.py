"""GRPO for pocket models: one readable loop.

Against the published algorithm: advantages are normalised in each group by the Bessel-corrected standard deviation;
the loss is the mean over all reply tokens of a minibatch (not first over each reply); the ratio is clipped; there is
no KL term unless asked for; each step's rollouts are used for `epochs` passes in `minibatches` parts. Multi-turn
episodes carry one advantage to all of their trained turns.

Exact savings (same gradient to rounding, tests/test_grpo.py): a prompt is computed once for all replies that share
it, and rollouts with zero advantage are left out of forward and backward while their tokens stay in the mean.

The trainer is handed a game and reads nothing of a score but its reward.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gamekeeper.config import TrainConfig
from gamekeeper.errors import CouldNotLook
from gamekeeper.policy.base import Decoding
from gamekeeper.policy.model import PocketModel
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.seeds import derive, rng
from gamekeeper.train.advantage import flat_groups, group_advantages
from gamekeeper.train.compute import check_finite
from gamekeeper.train.loss import Branches, branch_logps, clipped_objective, k3
from gamekeeper.train.rollout import Rollout, Trainable, grade, play

_MOST_UNSCORED = 0.2
_TOKENS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Trace:
    """What the update needs of one turn of one rollout."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    logps: tuple[float, ...]
    advantage: float


@dataclass(slots=True)
class StepResult:
    """One finished step: its rollouts with scores, and the training metrics."""

    step: int
    rollouts: list[Rollout]
    metrics: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Policy, optimiser and step counter; what a checkpoint holds."""

    def __init__(self, config: TrainConfig, policy: PocketPolicy, reference: PocketModel | None = None) -> None:
        self.config, self.policy, self.reference = config, policy, reference
        self.step = 0
        self.optimiser = torch.optim.AdamW(
            policy.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )

    def rate(self) -> float:
        """Step size: a linear warm-up, then constant, or falling linearly to 0 after the last step."""
        config = self.config
        if self.step < config.warmup_steps:
            return config.learning_rate * (self.step + 1) / config.warmup_steps
        if config.schedule == "constant":
            return config.learning_rate
        return config.learning_rate * (config.steps - self.step) / max(1, config.steps - config.warmup_steps)


def train(trainer: Trainer, game: Trainable, seed: int) -> Iterator[StepResult]:
    """Run the steps that are left, yielding each one. `seed` and the step number fix everything that is drawn.

    Raises CouldNotLook when over a fifth of a step's rollouts could not be graded.
    """
    config = trainer.config
    decoding = Decoding(0, temperature=config.temperature)
    while trainer.step < config.steps:
        clock = [time.perf_counter()]
        items = game.items("train", config.items_per_step, derive("items", seed, trainer.step))
        rollouts = play(game, trainer.policy, items, config.group, decoding, ("train", seed, trainer.step))
        clock.append(time.perf_counter())
        grade(game, rollouts)
        clock.append(time.perf_counter())
        result = StepResult(trainer.step + 1, rollouts)
        advantages_N = rollout_advantages(rollouts, config.group, result.metrics)
        result.metrics |= update(trainer, game, rollouts, advantages_N, seed)
        clock.append(time.perf_counter())
        result.metrics |= _costs(rollouts, clock)
        trainer.step += 1
        yield result


def rollout_advantages(rollouts: Sequence[Rollout], group: int, metrics: dict[str, float]) -> list[float]:
    """One advantage for each rollout, 0 for those that the grader could not grade."""
    rewards = [r.score.reward for r in rollouts]
    unscored = sum(r is None for r in rewards) / len(rewards)
    if unscored > _MOST_UNSCORED:
        reason = next(r.score.unscored for r in rollouts if r.score.reward is None)
        raise CouldNotLook(
            f"{unscored:.0%} of a step's rollouts could not be graded (at most {_MOST_UNSCORED:.0%} is allowed): "
            f"{reason}. Repair the grader, then go on with --resume."
        )
    rewards_U_G = torch.tensor([0.0 if r is None else r for r in rewards], dtype=torch.float64).view(-1, group)
    known_U_G = torch.tensor([r is not None for r in rewards]).view(-1, group)
    metrics["flat_groups"] = flat_groups(rewards_U_G, known_U_G).double().mean().item()
    return group_advantages(rewards_U_G, known_U_G).flatten().tolist()


def update(
    trainer: Trainer, game: Trainable, rollouts: Sequence[Rollout], advantages: Sequence[float], seed: int
) -> dict[str, float]:
    """Optimiser steps on one batch of rollouts; returns the training metrics."""
    config, group = trainer.config, trainer.config.group
    for entry in trainer.optimiser.param_groups:
        entry["lr"] = trainer.rate()
    totals: dict[str, list[float]] = defaultdict(list)
    for epoch in range(config.epochs):
        groups = list(range(len(rollouts) // group))
        rng("minibatches", seed, trainer.step, epoch).shuffle(groups)
        for part in range(config.minibatches):
            rows = [g * group + i for g in groups[part :: config.minibatches] for i in range(group)]
            traces = [t for n in rows for t in traces_of(rollouts[n], advantages[n], game)]
            for name, value in minibatch_step(trainer, traces).items():
                totals[name].append(value)
    return {k: sum(v) / len(v) for k, v in totals.items()} | {"learning_rate": trainer.rate()}


def traces_of(rollout: Rollout, advantage: float, game: Trainable) -> list[Trace]:
    """The trained turns of a rollout."""
    return [
        Trace(s.prompt_tokens, s.tokens, s.logps, advantage)
        for turn, s in enumerate(rollout.samples)
        if game.trains(turn) and s.tokens
    ]


def minibatch_step(trainer: Trainer, traces: Sequence[Trace]) -> dict[str, float]:
    """One optimiser step on the token-mean loss of these traces."""
    tokens = sum(len(t.reply) for t in traces)
    if not tokens:
        return {}
    trainer.optimiser.zero_grad(set_to_none=True)
    stats = accumulate(trainer, traces, tokens)
    norm = 0.0
    if stats.pop("touched"):
        model = trainer.policy.model
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), trainer.config.max_grad_norm).item()
        check_finite("the gradient norm", norm)
        trainer.optimiser.step()
    entropy = -sum(sum(t.logps) for t in traces) / tokens
    return {**stats, "grad_norm": norm, "entropy": entropy}


def accumulate(trainer: Trainer, traces: Sequence[Trace], tokens: int) -> dict[str, float]:
    """Add the gradient of the loss, a sum over traces divided by `tokens`, piece by piece."""
    config = trainer.config
    # With a KL term every token pulls; without one, a rollout with zero advantage gives exactly no gradient.
    pulling = [t for t in traces if t.advantage != 0.0] if config.kl == 0 else list(traces)
    loss_sum, clipped_sum, kl_sum = 0.0, 0.0, 0.0
    for piece, branches in pieces(pulling):
        logps_M = branch_logps(trainer.policy.model, branches, config.temperature)
        old_M = torch.tensor([p for t in piece for p in t.logps])
        advantages_M = torch.tensor([t.advantage for t in piece for _ in t.reply])
        gain_M, clipped_M = clipped_objective(logps_M, old_M, advantages_M, config.clip)
        loss = -gain_M.sum()
        if config.kl:
            kl_M = k3(logps_M, reference_logps(trainer, branches))
            loss = loss + config.kl * kl_M.sum()
            kl_sum += kl_M.sum().item()
        (loss / tokens).backward()
        loss_sum += loss.item()
        clipped_sum += clipped_M.sum().item()
    stats = {"loss": loss_sum / tokens, "clip_fraction": clipped_sum / tokens, "touched": float(bool(pulling))}
    return {**stats, "kl": kl_sum / tokens} if config.kl else stats


@torch.no_grad()
def reference_logps(trainer: Trainer, branches: Branches) -> Tensor:
    if trainer.reference is None:
        raise ValueError("A KL term needs a reference model; pass one to Trainer.")
    return branch_logps(trainer.reference, branches, trainer.config.temperature)


def pieces(traces: Sequence[Trace]) -> Iterator[tuple[list[Trace], Branches]]:
    """Traces in parts that fit one forward pass: prompts with equally many replies together, of like length."""
    shared: dict[tuple[int, ...], list[Trace]] = defaultdict(list)
    for trace in traces:
        shared[trace.prompt].append(trace)
    by_count: dict[int, list[list[Trace]]] = defaultdict(list)
    for group in shared.values():
        by_count[len(group)].append(group)
    for count, groups in sorted(by_count.items()):
        groups.sort(key=lambda g: (max(len(t.reply) for t in g), len(g[0].prompt)))
        held: list[list[Trace]] = []
        for group in groups:
            if held and _padded_tokens([*held, group], count) > _TOKENS_AT_ONCE:
                yield _piece(held)
                held = []
            held.append(group)
        yield _piece(held)


def _padded_tokens(groups: Sequence[Sequence[Trace]], count: int) -> int:
    prompt = max(len(g[0].prompt) for g in groups)
    reply = max(len(t.reply) for g in groups for t in g)
    return len(groups) * (prompt + count * reply)


def _piece(groups: Sequence[Sequence[Trace]]) -> tuple[list[Trace], Branches]:
    traces = [t for g in groups for t in g]
    return traces, Branches([g[0].prompt for g in groups], [t.reply for t in traces])


def _costs(rollouts: Sequence[Rollout], clock: Sequence[float]) -> dict[str, float]:
    samples = [s for r in rollouts for s in r.samples]
    spans = dict(
        zip(("generation_s", "scoring_s", "update_s"), map(lambda a, b: b - a, clock, clock[1:]), strict=False)
    )
    return {
        **spans,
        "step_s": clock[-1] - clock[0],
        "reply_tokens": sum(len(s.tokens) for s in samples) / len(rollouts),
        "truncated": sum(s.truncated for s in samples) / len(samples),
    }
