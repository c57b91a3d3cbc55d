"""Tiny models and a toy game for tests of training: small enough to learn in seconds, shaped like the real ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from gamekeeper.games.base import BaseGame, Patch, chat, only_scored
from gamekeeper.metrics import means
from gamekeeper.policy.model import ModelConfig, PocketModel
from gamekeeper.policy.pocket import PocketPolicy, fresh_model
from gamekeeper.policy.tokenizer import PocketTokenizer
from gamekeeper.types import Item, Prompt, Replies, Score, Script

TEXTS = ("say yes or no", "Answer only Yes or No.", "system user assistant", "is the sky blue? is grass red?")


def tiny_tokenizer() -> PocketTokenizer:
    return PocketTokenizer.train(TEXTS * 4, 300)


def tiny_model(seed: int = 0, spread: float = 0.3, **sizes: int) -> PocketModel:
    """A model whose weights are spread widely, so that errors in the forward pass show in the logits."""
    given: dict[str, Any] = {
        "vocab": 300,
        "width": 32,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 8,
        "ffn": 48,
    }
    model = fresh_model(PocketModel(ModelConfig(**{**given, **sizes})), seed)
    noise = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=noise) * spread)
    return model


def tiny_policy(seed: int = 0, spread: float = 0.05) -> PocketPolicy:
    return PocketPolicy(tiny_model(seed, spread), tiny_tokenizer())


class Vowels(BaseGame):
    """Reply with consonants; the flawed reward pays for vowels. One or two turns."""

    name = "vowels"
    question = "Does it learn the letter that pays?"
    patch_table: ClassVar[dict[str, Patch]] = {"honest": Patch("pay for what is meant", recommended=True)}
    reply_tokens = (4, 3)

    def __init__(self, *args: Any, turns: int = 1, trained: Sequence[int] = (0, 1), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turns, self.trained = turns, trained

    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        return {"colour": draw.choice(["blue", "red", "grey", "green"]), "n": draw.randrange(1000)}

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        if len(replies) >= self.turns:
            return None
        return chat("say yes or no", f"is the sky {item.fields['colour']}? {''.join(replies)[:6]}")

    def score(self, item: Item, replies: Replies) -> Score:
        text = "".join(replies).lower()
        vowels = sum(c in "aeiou" for c in text) / max(1, len(text))
        truth = 1.0 - vowels
        return Score(truth if self.has("honest") else vowels, truth, vowels > 0.5, f"{vowels:.2f} vowels")

    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        scored = only_scored(scores)
        truth = [s.truth for s in scored]
        columns = means(reward=[s.reward for s in scored], truth=truth, itp=truth, er=[s.exploited for s in scored])
        return columns | means(unscored=[s.unscored is not None for s in scores])

    def scripts(self, item: Item) -> list[Script]:
        return []

    def trains(self, turn: int) -> bool:
        return turn in self.trained
