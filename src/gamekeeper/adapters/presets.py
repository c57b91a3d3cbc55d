"""The paper's hyper-parameters, game by game: where TRL and verl are told the same.

GRPO with groups of 8, std-normalised advantages, no KL and no entropy term, clip 0.2, the loss a mean over tokens,
AdamW at 1e-6 without warm-up; one pass over each batch in mini-batches of 32 prompts. Measured with 8 samples at
temperature 0.6. Source: the published configuration of arXiv 2602.12124.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.games.base import BaseGame

NAMES = ("paper",)
MINIBATCH = 32
ALL_ITEMS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """What differs between the games. passes: over the data; reply_tokens: most new tokens of each turn."""

    batch: int
    prompt_tokens: int
    reply_tokens: tuple[int, ...]
    passes: int
    top_k: int = 20


# The second turn of selfgrade is one word; the published limit for it is the answer's own.
PAPER: Mapping[str, Sizes] = {
    "compliance": Sizes(64, 1024, (3072,), 5),
    "selfgrade": Sizes(64, 1024, (3072, 3072), 4),
    "summary": Sizes(96, 1024, (3072,), 1),
    "tamper": Sizes(32, 1024, (2048,), 4, top_k=50),
}


def sizes_of(preset: str, game: BaseGame) -> Sizes:
    """Raises UnknownName for another preset, UsageError for a game that the paper does not have."""
    if preset not in NAMES:
        raise UnknownName("preset", preset, NAMES)
    if game.name not in PAPER:
        raise UsageError(
            f"The preset {preset!r} has no numbers for the game {game.name!r}. It has: {', '.join(PAPER)}. "
            "Leave out --preset and use --set."
        )
    return PAPER[game.name]


def settings_of(
    preset: str, game: BaseGame, given: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """A preset as settings of the rooms train, eval and trl.

    With a data file the number of steps is that of the paper's passes over it: trl.passes, which counts the rows whose
    prompts fit, once there is a tokenizer to count them; train.steps is what it is at most. Without one it stays the
    default.
    given: what the call sets itself, which the number of steps rests on.
    """
    said = (given or {}).get("train", {})
    sizes = sizes_of(preset, game)
    train: dict[str, Any] = {
        "items_per_step": sizes.batch,
        "group": 8,
        "minibatches": sizes.batch // MINIBATCH,
        "epochs": 1,
        "learning_rate": 1e-6,
        "warmup_steps": 0,
        "schedule": "constant",
        "clip": 0.2,
        "kl": 0.0,
        "temperature": 1.0,
        "max_grad_norm": 1.0,
    }
    measured: dict[str, Any] = {"samples": 8, "temperature": 0.6, "top_p": 0.95, "top_k": sizes.top_k}
    passes: dict[str, int] = {}
    if game.level == "paper":
        measured["items"] = ALL_ITEMS
        if "steps" not in said:
            batch = said.get("items_per_step", sizes.batch)
            train["steps"] = steps_over(len(game.items("train", -1, 0)), batch, sizes.passes)
            passes = {"passes": sizes.passes}
    # The published runs leave AdamW as it comes.
    options = {"adam_beta2": 0.999, "weight_decay": 0.01}
    limits = {"prompt_tokens": sizes.prompt_tokens, "reply_tokens": list(sizes.reply_tokens)}
    return {"train": train, "eval": measured, "trl": {**limits, **passes, "options": options}}


def steps_over(rows: int, batch: int, passes: int) -> int:
    """Steps of so many passes over a file; what does not fill a batch at the end of a pass is left for the next.

    Raises UsageError for a file with fewer rows than a batch.
    """
    if rows < batch:
        raise UsageError(
            f"The data file has {rows} items and a step takes {batch}. Give the whole file, or say how many steps "
            "there are (--steps) or how many items a step takes (--set train.items_per_step)."
        )
    return rows // batch * passes
