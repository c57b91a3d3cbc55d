"""Playing episodes: groups of rollouts of a game by a policy, in one or several turns.

The trainer's view of a game is `Playable`: items, prompts and scores. Nothing here knows which game it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from gamekeeper.policy.base import Decoding, Policy, Sample
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Prompt, Replies, Score

_MOST_TURNS = 16


class Playable(Protocol):
    """What playing needs of a game (see games/base.py for the whole contract)."""

    reply_tokens: ClassVar[tuple[int, ...]]

    def realize(self, item: Item, chance: random.Random) -> Item: ...
    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None: ...
    def score_many(self, episodes: Sequence[tuple[Item, Replies]]) -> list[Score]: ...
    def trains(self, turn: int) -> bool: ...


class Trainable(Playable, Protocol):
    """What training needs besides: fresh items."""

    def items(self, split: str, n: int, seed: int) -> list[Item]: ...


@dataclass(slots=True)
class Rollout:
    """One episode. `group` numbers the item; `samples` and `prompts` have one entry a turn."""

    group: int
    item: Item
    prompts: list[Prompt] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    score: Score = Score(None, None, None, unscored="not yet scored")  # noqa: RUF009 - frozen
    drawn: tuple[str | int, ...] = ()
    """The seed path of the item's chance events, where it has any."""

    @property
    def replies(self) -> tuple[str, ...]:
        return tuple(s.text for s in self.samples)

    @property
    def failure(self) -> str | None:
        """Why the policy did not reply, if it did not."""
        return next((s.failed for s in self.samples if s.failed is not None), None)


def play(
    game: Playable, policy: Policy, items: Sequence[Item], samples: int, decoding: Decoding, seed: Sequence[Any]
) -> list[Rollout]:
    """`samples` unscored rollouts of each item, group after group; all chance drawn from the seed path.

    `decoding.max_new_tokens` is replaced turn by turn by the game's own limits.
    """
    rollouts = [
        _begun(game, item, group, ("chance", *seed, group, index))
        for group, item in enumerate(items)
        for index in range(samples)
    ]
    playing = rollouts
    for turn in range(_MOST_TURNS):
        pending = [(r, game.prompt(r.item, r.replies)) for r in playing]
        asked = [(r, p) for r, p in pending if p is not None]
        if not asked:
            return rollouts
        limit = game.reply_tokens[min(turn, len(game.reply_tokens) - 1)]
        now = Decoding(limit, decoding.temperature, decoding.top_p, decoding.top_k)
        for (rollout, prompt), sample in zip(
            asked, policy.sample([p for _, p in asked], now, (*seed, turn)), strict=True
        ):
            rollout.prompts.append(prompt)
            rollout.samples.append(sample)
        playing = [r for r, _ in asked if r.samples[-1].failed is None]
    return rollouts


def _begun(game: Playable, item: Item, group: int, path: tuple[str | int, ...]) -> Rollout:
    realized = game.realize(item, rng(*path))
    return Rollout(group, realized, drawn=() if realized is item else path)


def grade(game: Playable, rollouts: Sequence[Rollout]) -> None:
    """Score all rollouts, in place. One that the policy left without a reply is unscored: nobody knows its worth."""
    whole = [r for r in rollouts if r.failure is None]
    for rollout, score in zip(whole, game.score_many([(r.item, r.replies) for r in whole]), strict=True):
        rollout.score = score
    for rollout in rollouts:
        if rollout.failure is not None:
            rollout.score = Score.failed(rollout.failure)
