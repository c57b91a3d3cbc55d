"""The work that both sides of the training comparison are given, as one JSON file.

    tamper   chat prompts of the tamper game's training items, as many as 64 a step need; scored by the game
    full     64 prompts of exactly 64 tokens each, the same in every step; exactly 32 new tokens; random rewards

A file holds {scenario, game, patches, min_new_tokens, max_new_tokens, items_per_step, group, rows: [{prompt, item}]}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gamekeeper.config import TrainConfig
from gamekeeper.registry import load_game
from gamekeeper.seeds import derive, rng
from gamekeeper.types import Message, to_plain

ITEMS, GROUP = TrainConfig().items_per_step, TrainConfig().group
FULL_PROMPT_TOKENS, FULL_NEW_TOKENS = 64, 32
Render = Callable[[list[Message]], list[int]]


def tamper(steps: int, seed: int) -> dict[str, Any]:
    """Training items of the flawed tamper game: those that `train/grpo.py` draws, step by step."""
    game = load_game("tamper", "flawed")
    items = [item for step in range(steps) for item in game.items("train", ITEMS, derive("items", seed, step))]
    rows = [{"prompt": to_plain(game.prompt(item) or ()), "item": item.to_json()} for item in items]
    return _work("tamper", rows, (0, game.reply_tokens[0])) | {"game": "tamper", "patches": []}


def full(render: Render, seed: int) -> dict[str, Any]:
    """Prompts of plain words, cut so that each has the same number of tokens with the chat template around it."""
    rows = [{"prompt": [exactly(render, seed, index)], "item": None} for index in range(ITEMS)]
    about: dict[str, Any] = {"game": None, "patches": [], "prompt_tokens": FULL_PROMPT_TOKENS}
    return _work("full", rows, (FULL_NEW_TOKENS, FULL_NEW_TOKENS)) | about


def exactly(render: Render, seed: int, index: int, tokens: int = FULL_PROMPT_TOKENS) -> dict[str, str]:
    """One user message that is `tokens` long when rendered. Letters are drawn one by one until it fits."""
    draw = rng("bench", seed, index)
    text = ""
    while (size := len(render([Message("user", text)]))) < tokens:
        text += draw.choice("abcdefghijklmnopqrstuvwxyz") + (" " if draw.random() < 0.2 else "")
    if size > tokens:  # the last letter split a token in two: another draw will do
        return exactly(render, seed + 1, index, tokens)
    return {"role": "user", "content": text}


def write(path: Path, work: dict[str, Any]) -> Path:
    path.write_text(json.dumps(work))
    return path


def _work(scenario: str, rows: list[dict[str, Any]], new_tokens: tuple[int, int]) -> dict[str, Any]:
    sizes = {"items_per_step": ITEMS, "group": GROUP}
    return {
        "scenario": scenario,
        "min_new_tokens": new_tokens[0],
        "max_new_tokens": new_tokens[1],
        **sizes,
        "rows": rows,
    }
