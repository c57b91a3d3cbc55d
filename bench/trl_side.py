"""The other side of the training comparison: TRL's GRPOTrainer on the same checkpoint, prompts, rewards and threads.

Runs in `.venv-trl`, offline. Prints one JSON line in the form that bench/run.py describes. Settings equal to ours, and
read from our defaults: groups, prompts a step, optimiser and its step size, clipping, token-mean loss, no KL, one pass
in as many minibatch updates; no dropout. fp32: TRL's default, bf16, asks for a machine that multiplies whole models in
it. TRL's own ways are left as they are: batched `generate` with its cache, and a pass for the old log-probabilities,
which it needs as soon as a step has more than one update (counted as update).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

import datasets
import torch
import transformers
from trl import GRPOConfig, GRPOTrainer

from gamekeeper.config import TrainConfig
from gamekeeper.registry import load_game
from gamekeeper.types import Item
from machine import peak_memory_mb


class TimedTrainer(GRPOTrainer):
    """GRPOTrainer that adds up the seconds spent sampling and scoring, and counts new tokens."""

    seconds: dict[str, float]
    tokens: int

    def _generate(self, prompts: list[Any]) -> Any:
        start = time.perf_counter()
        made = super()._generate(prompts)
        self.seconds["generation"] += time.perf_counter() - start
        self.tokens += sum(len(ids) for ids in made[1])
        return made

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        rewards = super()._calculate_rewards(*args, **kwargs)
        self.seconds["scoring"] += time.perf_counter() - start
        return rewards


class Clock(transformers.TrainerCallback):
    """Wall, generation and scoring seconds of each step; a step is `updates` optimiser updates."""

    def __init__(self, updates: int) -> None:
        self.updates, self.setup_mb = updates, 0.0
        self.rows: list[tuple[float, float, float, int]] = []
        self.trainer: TimedTrainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.setup_mb = peak_memory_mb()
        self._reset()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.updates == 0:
            spent, wall = self.trainer.seconds, time.perf_counter() - self.start
            self.rows.append((wall, spent["generation"], spent["scoring"], self.trainer.tokens))
            self._reset()

    def _reset(self) -> None:
        self.trainer.seconds, self.trainer.tokens = defaultdict(float), 0
        self.start = time.perf_counter()


def reward_function(work: dict[str, Any], seed: int) -> Any:
    """The game's reward of each completion, or random numbers where the scenario has no game."""
    draw = random.Random(seed)

    def reward(prompts: list[Any], completions: list[Any], item: list[str], **_: Any) -> list[float | None]:
        if game is None:
            return [draw.random() for _ in completions]
        items = [Item.from_json(json.loads(text)) for text in item]
        scores = game.score_many([(i, [c[0]["content"]]) for i, c in zip(items, completions, strict=True)])
        return [s.reward for s in scores]

    game = load_game(work["game"], work["patches"]) if work["game"] else None
    return reward


def settings(work: dict[str, Any], args: argparse.Namespace, folder: str) -> GRPOConfig:
    ours, completions = TrainConfig(), work["items_per_step"] * work["group"]
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=completions // args.updates,
        steps_per_generation=args.updates,
        gradient_accumulation_steps=1,
        num_generations=work["group"],
        max_completion_length=work["max_new_tokens"],
        generation_kwargs={"min_new_tokens": work["min_new_tokens"]} if work["min_new_tokens"] else None,
        max_steps=args.updates * (args.steps + args.warmup),
        learning_rate=ours.learning_rate,
        lr_scheduler_type={"linear": "linear", "constant": "constant_with_warmup"}[ours.schedule],
        warmup_steps=args.updates * ours.warmup_steps,
        optim="adamw_torch_fused",
        adam_beta2=0.99,
        weight_decay=0.0,
        max_grad_norm=ours.max_grad_norm,
        num_iterations=ours.epochs,
        epsilon=ours.clip,
        beta=ours.kl,
        loss_type="bnpo",
        scale_rewards="group",
        temperature=ours.temperature,
        shuffle_dataset=False,
        disable_dropout=True,
        seed=args.seed,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        logging_steps=args.updates,
        disable_tqdm=True,
    )


def measure(work: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    rows = [{"prompt": r["prompt"], "item": json.dumps(r["item"])} for r in work["rows"]]
    clock = Clock(args.updates)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = transformers.AutoTokenizer.from_pretrained(args.checkpoint, padding_side="left")
        clock.trainer = trainer = TimedTrainer(
            model=str(args.checkpoint),
            reward_funcs=reward_function(work, args.seed),
            args=settings(work, args, folder),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        setup = time.perf_counter() - begun
        trainer.train()
    wall, generation, scoring, tokens = (list(column) for column in zip(*clock.rows[args.warmup :], strict=True))
    history = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    return {
        "side": "trl",
        "scenario": work["scenario"],
        "threads": torch.get_num_threads(),
        "steps": args.steps,
        "updates": args.updates,
        "setup_s": setup,
        "step_s": wall,
        "generation_s": generation,
        "scoring_s": scoring,
        "update_s": [w - g - s for w, g, s in zip(wall, generation, scoring, strict=True)],
        "new_tokens": tokens,
        "reward": history[args.warmup :],
        "setup_mb": clock.setup_mb,
        "peak_mb": peak_memory_mb(),
        "versions": {name: version(name) for name in ("trl", "transformers", "torch")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint folder")
    parser.add_argument("--work", type=Path, required=True, help="a file that bench/prompts.py wrote")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=0, help="steps before the counted ones")
    parser.add_argument("--updates", type=int, default=TrainConfig().minibatches, help="optimiser updates a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = measure(json.loads(args.work.read_text()), args)
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
