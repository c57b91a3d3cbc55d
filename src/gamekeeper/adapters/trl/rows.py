"""The game's items as TRL's dataset, in the order in which they are trained on.

At pocket level every step has fresh items, those that the native trainer draws for the same seed. At paper level the
data file is gone through pass by pass, each in an order of its own; an item whose prompt is too long is left out, and
the count goes into the run's record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gamekeeper.adapters.presets import steps_over
from gamekeeper.adapters.trl.settings import TrlRunConfig
from gamekeeper.errors import DataError
from gamekeeper.games.base import BaseGame
from gamekeeper.seeds import derive, rng
from gamekeeper.types import Item, Prompt, to_plain


class Template(Protocol):
    """What is needed of a tokenizer of transformers."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """The items of a whole run, step after step. left_out: items whose prompt was too long; steps: of the run."""

    items: list[Item]
    steps: int
    left_out: int = 0
    longest: int = 0


def prompt_ids(tokenizer: Template, prompt: Prompt, options: dict[str, Any] | None = None) -> list[int]:
    """Token ids of a prompt, up to where the assistant's reply begins."""
    ids = tokenizer.apply_chat_template(
        to_plain(prompt), add_generation_prompt=True, tokenize=True, return_dict=False, **(options or {})
    )
    return list(ids)


def is_plain(game: BaseGame) -> bool:
    """Whether an episode is one prompt and one reply, nothing drawn in between: TRL's plainest case."""
    return len(game.reply_tokens) == 1 and type(game).realize is BaseGame.realize


def trained_turns(game: BaseGame) -> list[int]:
    """The turns that receive gradient. Raises DataError if there is none."""
    found = [turn for turn in range(len(game.reply_tokens)) if game.trains(turn)]
    if not found:
        raise DataError(f"The game {game.name!r} trains none of its turns; there is nothing to learn.")
    return found


def run_rows(config: TrlRunConfig, game: BaseGame, tokenizer: Template, limit: int) -> Rows:
    """The items of all steps. limit: most tokens of a prompt.

    Raises DataError if no prompt is within it; at pocket level, where a step's items are drawn, if one is not.
    """
    options = dict(config.trl.options.get("chat_template_kwargs") or {})

    def counted(items: Sequence[Item]) -> list[tuple[Item, int]]:
        return [(item, len(prompt_ids(tokenizer, game.prompt(item) or (), options))) for item in items]

    if game.level == "pocket":
        steps = range(config.train.steps)
        each = config.train.items_per_step
        drawn = [i for s in steps for i in game.items("train", each, derive("items", config.seed, s))]
        return _fitting(counted(drawn), limit, config.train.steps, may_drop=False)
    found = counted(game.items("train", -1, config.seed))
    known = _fitting(found, limit, config.train.steps, may_drop=True)
    batch, passes = config.train.items_per_step, config.trl.passes
    count = steps_over(len(known.items), batch, passes) if passes else config.train.steps
    order = _passes(len(known.items), config.seed)
    return replace(known, items=[known.items[next(order)] for _ in range(count * batch)], steps=count)


def _passes(rows: int, seed: int) -> Iterator[int]:
    """Row numbers, pass after pass, each pass in an order of its own."""
    number = 0
    while True:
        order = list(range(rows))
        rng("order", seed, number).shuffle(order)
        yield from order
        number += 1


def _fitting(counted: Sequence[tuple[Item, int]], limit: int, steps: int, *, may_drop: bool) -> Rows:
    """The items whose prompts, counted in tokens, are within the limit."""
    kept = [(item, length) for item, length in counted if length <= limit]
    dropped = len(counted) - len(kept)
    if not kept or (dropped and not may_drop):
        longest = max((length for _, length in counted), default=0)
        raise DataError(
            f"{dropped} of {len(counted)} prompts are longer than {limit} tokens (the longest has {longest}). Raise "
            "trl.prompt_tokens, or take a model with more positions."
        )
    return Rows([item for item, _ in kept], steps, dropped, max(length for _, length in kept))


def prompt_limit(config: TrlRunConfig, positions: int, longest_reply: int) -> int:
    """Most tokens of a prompt. Raises DataError if the model's positions leave no room."""
    room = positions - longest_reply
    if room < 1:
        raise DataError(
            f"The model has {positions} positions and a reply may take {longest_reply}: no room for a prompt. "
            "Lower trl.reply_tokens, or take another model."
        )
    return min(config.trl.prompt_tokens or room, room)


def no_room(prompt: int, reply: int, positions: int | None) -> str | None:
    """Why a prompt of so many tokens cannot be asked, or None if it can. A later turn's prompt holds the replies before
    it, so that its length is not known when items are chosen."""
    if positions is None or prompt + reply <= positions:
        return None
    return (
        f"a prompt of {prompt} tokens and a reply of at most {reply} do not fit the model's {positions} positions; "
        "lower trl.reply_tokens, or take another model"
    )


def to_dataset(game: BaseGame, items: Sequence[Item]) -> Any:
    """TRL's dataset: the prompt, and the item as JSON for the reward function.

    Where the rollouts are ours (`is_plain` is false) TRL hands over the prompt alone, so the prompt is the item.
    """
    import datasets

    texts = [json.dumps(item.to_json()) for item in items]
    plain = is_plain(game)
    asked = [to_plain(game.prompt(i) or ()) if plain else _as_prompt(t) for i, t in zip(items, texts, strict=True)]
    return datasets.Dataset.from_dict({"prompt": asked, "item": texts})


def _as_prompt(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def item_of(text: str) -> Item:
    return Item.from_json(json.loads(text))
