"""Our side of the training comparison: the native trainer on the prompts and rewards that both sides are given.

Prints one JSON line in the form that bench/run.py describes. All settings are the trainer's defaults. In the
full-length scenario the end token is made unreachable for our sampler, so that every reply has exactly the number of
tokens asked for, and every reply counts in the update.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gamekeeper.config import TrainConfig
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.registry import load_game
from gamekeeper.train.compute import keep_memory, settle_precision, settle_threads
from gamekeeper.train.grpo import Trainer, train
from gamekeeper.train.rollout import Playable
from gamekeeper.types import Item, Message, Prompt, Replies, Score
from machine import peak_memory_mb

NO_TOKEN = -1


class Work:
    """The rows of a work file as a game: its items in the file's order, its prompts as they stand there."""

    def __init__(self, work: dict[str, Any], seed: int) -> None:
        self.rows, self.step_items, self.taken = work["rows"], work["items_per_step"], 0
        self.game: Playable | None = load_game(work["game"], work["patches"]) if work["game"] else None
        self.reply_tokens = (work["max_new_tokens"],)
        self.draw = random.Random(seed)

    def items(self, split: str, n: int, seed: int) -> list[Item]:
        if n != self.step_items:
            raise SystemExit(f"The work has {self.step_items} items a step, the trainer asks for {n}.")
        rows = [self.rows[(self.taken + i) % len(self.rows)] for i in range(n)]
        self.taken += n
        return [Item(str(i), "work", split, row) for i, row in enumerate(rows)]

    def realize(self, item: Item, chance: random.Random) -> Item:
        return item

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        return None if replies else tuple(Message(m["role"], m["content"]) for m in item.fields["prompt"])

    def score_many(self, episodes: Sequence[tuple[Item, Replies]]) -> list[Score]:
        if self.game is None:
            return [Score(self.draw.random(), None, None) for _ in episodes]
        return self.game.score_many([(Item.from_json(item.fields["item"]), replies) for item, replies in episodes])

    def trains(self, turn: int) -> bool:
        return True


def measure(work: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    begun = time.perf_counter()
    keep_memory()
    settle_threads(args.threads)
    policy = PocketPolicy.load(str(args.checkpoint))
    precision = settle_precision("auto")
    policy.model.use_precision(precision)
    if work["min_new_tokens"] == work["max_new_tokens"]:
        policy.tokenizer.end = NO_TOKEN
    config = TrainConfig(steps=args.warmup + args.steps)
    trainer = Trainer(config, policy)
    setup, setup_mb = time.perf_counter() - begun, peak_memory_mb()
    results = list(train(trainer, Work(work, args.seed), args.seed))[args.warmup :]
    spans = {k: [r.metrics[k] for r in results] for k in ("step_s", "generation_s", "scoring_s", "update_s")}
    return {
        "side": "native",
        "scenario": work["scenario"],
        "threads": torch.get_num_threads(),
        "steps": args.steps,
        "updates": config.minibatches,
        "precision": precision,
        "setup_s": setup,
        **spans,
        "new_tokens": [sum(len(s.tokens) for r in done.rollouts for s in r.samples) for done in results],
        "reward": [sum(r.score.reward or 0.0 for r in done.rollouts) / len(done.rollouts) for done in results],
        "setup_mb": setup_mb,
        "peak_mb": peak_memory_mb(),
        "versions": {"torch": torch.__version__},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint folder")
    parser.add_argument("--work", type=Path, required=True, help="a file that bench/prompts.py wrote")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=0, help="steps before the counted ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(json.dumps(measure(json.loads(args.work.read_text()), args)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
