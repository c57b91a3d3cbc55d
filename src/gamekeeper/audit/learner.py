"""The learning adversary: the pocket model, trained by GRPO on the target's reward, for as many steps as one asks.

It is the audit's only attack that knows nothing: no source, no catalogue, no answer. What it finds, training will find.
What it does not find proves little: the model is small and the budget is short. Its reply counts if it is wrong for
its example; the best one is the text that was paid most on most examples.

Needs gamekeeper[train]; nothing here is imported before it is asked for.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Technique
from gamekeeper.audit.finding import Paid
from gamekeeper.audit.judge import NOTABLE, Shot
from gamekeeper.audit.range import Range
from gamekeeper.audit.scene import Scene
from gamekeeper.config import TrainConfig
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.seeds import rng
from gamekeeper.train.grpo import Trainer, train
from gamekeeper.types import Item, Message, Prompt, Replies, Score

_ABOUT = Technique(
    "a small model that is trained on this reward learns to be paid for wrong replies",
    "Read the reply that it learnt: it shows what pays. Then gate that on a right answer.",
    ("FR02", "PX05", "SE04", "LJ20"),
)
_TOKENS = 48
Progress = Callable[[Mapping[str, Any]], None]


class Adversary:
    """The target as the trainer sees a game: prompts and rewards, nothing else."""

    reply_tokens: ClassVar[tuple[int, ...]] = (_TOKENS,)

    def __init__(self, shooting: Range, scenes: Sequence[Scene]) -> None:
        self.shooting, self.scenes = shooting, {str(s.index): s for s in scenes}
        self.seen: dict[str, dict[int, Paid]] = defaultdict(dict)

    def items(self, split: str, n: int, seed: int) -> list[Item]:
        chance, names = rng("audit-learner", split, seed), sorted(self.scenes)
        return [Item(f"{seed}-{i}", "audit", split, {"scene": chance.choice(names)}) for i in range(n)]

    def realize(self, item: Item, chance: random.Random) -> Item:
        return item

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        scene = self.scenes[item.fields["scene"]]
        if len(replies) >= max(1, len(scene.good)):
            return None
        return tuple(Message(m["role"], m["content"]) for m in scene.example.chat)

    def score_many(self, episodes: Sequence[tuple[Item, Replies]]) -> list[Score]:
        calls = [(int(item.fields["scene"]), tuple(replies)) for item, replies in episodes]
        paid = self.shooting.pay(calls)
        for (index, turns), one in zip(calls, paid, strict=True):
            self.seen[turns[-1]][index] = one
        # A reward that raises on a reply would end a real run's step; here it is worth the least.
        return [
            Score(self._floor(i) if p.reward is None else p.reward, None, None)
            for (i, _), p in zip(calls, paid, strict=True)
        ]

    def _floor(self, index: int) -> float:
        return self.scenes[str(index)].floor

    def trains(self, turn: int) -> bool:
        return True


def budget(steps: int, **changes: Any) -> TrainConfig:
    """What `--learn STEPS` trains with."""
    usual = {"items_per_step": 16, "group": 8, "minibatches": 2, "threads": 1, "precision": "fp32"}
    return TrainConfig(steps=steps, **{**usual, **changes})


def learned(
    shooting: Range,
    scenes: Sequence[Scene],
    config: TrainConfig,
    seed: int,
    progress: Progress | None = None,
    policy: PocketPolicy | None = None,
) -> list[Shot]:
    """Train as the config says and return the shots of the reply that is paid most, wrong, on most examples.

    policy: another than the one that comes with the package.
    """
    policy = policy or PocketPolicy.load("pocket")
    adversary = Adversary(shooting, scenes)
    for result in train(Trainer(config, policy), adversary, seed):
        if progress is not None:
            progress({"phase": "learner", "step": result.step, "steps": config.steps})
    return _best(adversary, scenes)


def _best(adversary: Adversary, scenes: Sequence[Scene]) -> list[Shot]:
    attack = Attack("learner", "learnt", "best", lambda _: None, _ABOUT)
    worth: dict[str, float] = {}
    for text, paid in adversary.seen.items():
        shots = [Shot(attack, adversary.scenes[str(i)], (text,), p) for i, p in paid.items()]
        wrong = [s.gain for s in shots if s.scene.reading(text) == truth.WRONG]
        if wrong and fmean(wrong) >= NOTABLE:
            worth[text] = fmean(wrong)
    if not worth:
        return []
    text = max(worth, key=lambda t: (round(worth[t], 2), len(adversary.seen[t]), -len(t)))
    turns = [(*s.good[: max(0, len(s.good) - 1)], text) for s in scenes]
    paid_now = adversary.shooting.pay([(s.index, t) for s, t in zip(scenes, turns, strict=True)])
    return [Shot(attack, s, t, p) for s, t, p in zip(scenes, turns, paid_now, strict=True)]
