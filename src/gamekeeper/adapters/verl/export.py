"""A folder that verl trains on: train.parquet, test.parquet, game.json, reward.py, agent.yaml, verl.yaml, launch.sh.

Paths inside are absolute, for workers start elsewhere: write the folder where all nodes see it. verl.yaml is the whole
configuration on top of verl's own defaults; `check` composes it with the installed verl before anything is launched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamekeeper.adapters.presets import MINIBATCH, Sizes, sizes_of
from gamekeeper.adapters.verl.scoring import SOURCE
from gamekeeper.adapters.verl.spec import FILE, spec_of
from gamekeeper.errors import RunError, UsageError
from gamekeeper.extras import need
from gamekeeper.games.base import BaseGame
from gamekeeper.types import Item, to_plain

AGENT = "gamekeeper"
CONFIG = "verl"
_AROUND = 512
FILES = ("train.parquet", "test.parquet", FILE, "reward.py", f"{CONFIG}.yaml", "launch.sh")

REWARD = '''"""The reward that verl's workers load: the game of {file}, which stands beside this file."""

from pathlib import Path

from gamekeeper.adapters.verl.scoring import reward_of

compute_score = reward_of(Path(__file__).resolve().parent / "{file}")
'''
LAUNCH = """#!/bin/sh
# One node:      sh launch.sh
# Several:       on the first        ray start --head
#                on each other       ray start --address=FIRST:6379
#                then on the first   NODES=4 sh launch.sh
# All nodes need this folder at the same path, and gamekeeper and verl installed. GPUS is the number a node has.
# Further settings go behind, as verl takes them: sh launch.sh trainer.total_epochs=1
set -eu
cd "$(dirname "$0")"
exec python3 -m verl.trainer.main_ppo --config-path "$PWD" --config-name {config} \\
    trainer.nnodes="${{NODES:-1}}" trainer.n_gpus_per_node="${{GPUS:-8}}" "$@"
"""


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported besides the game. rows, test_rows: how many generated items; a data file is taken whole."""

    model: str
    preset: str = "paper"
    rows: int = 4096
    test_rows: int = 256
    seed: int = 0
    judge: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rows", "test_rows"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")


def export(game: BaseGame, out: Path, wanted: Export) -> list[Path]:
    """Write the folder; the paths of its files.

    Raises RunError if the folder holds something already, UsageError for a preset without numbers for this game or
    fewer rows than a batch.
    """
    sizes = sizes_of(wanted.preset, game)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is not empty. Give another folder, or remove it first.")
    train = game.items("train", -1 if game.level == "paper" else wanted.rows, wanted.seed)
    test = game.items("test", -1 if game.level == "paper" else wanted.test_rows, wanted.seed)
    if len(train) < sizes.batch:
        raise UsageError(f"There are {len(train)} training items and a step takes {sizes.batch}. Give more rows.")
    out.mkdir(parents=True, exist_ok=True)
    try:
        _write(game, out.resolve(), wanted, sizes, {"train": train, "test": test})
    except BaseException:
        shutil.rmtree(out)  # half a folder would be launched by somebody
        raise
    return sorted(p for p in out.iterdir())


def _write(game: BaseGame, out: Path, wanted: Export, sizes: Sizes, items: Mapping[str, list[Item]]) -> None:
    for split, found in items.items():
        write_rows(game, found, split, out / f"{split}.parquet")
    spec_of(game, sizes.reply_tokens, wanted.judge).write(out)
    (out / "reward.py").write_text(REWARD.format(file=FILE))
    if needs_loop(game):
        (out / "agent.yaml").write_text(_as_yaml([_agent(out)]))
    (out / f"{CONFIG}.yaml").write_text(_as_yaml(config_of(game, out, wanted, sizes)))
    (out / "launch.sh").write_text(LAUNCH.format(config=CONFIG))


def needs_loop(game: BaseGame) -> bool:
    """Whether an episode is more than one prompt and one reply."""
    return len(game.reply_tokens) > 1 or type(game).realize is not BaseGame.realize


def _agent(out: Path) -> dict[str, str]:
    return {"name": AGENT, "_target_": "gamekeeper.adapters.verl.loop.GameLoop", "spec": str(out / FILE)}


# Rows


def row_of(game: BaseGame, item: Item, index: int) -> dict[str, Any]:
    """One row in verl's form. The ground truth is the item itself, as JSON: the game scores with all of it."""
    return {
        "data_source": f"{SOURCE}{game.name}",
        "agent_name": AGENT if needs_loop(game) else "single_turn_agent",
        "prompt": to_plain(game.prompt(item) or ()),
        "ability": game.name,
        "reward_model": {"style": "rule", "ground_truth": json.dumps(item.to_json())},
        "extra_info": {"index": index, "split": item.split, "item": item.id},
    }


def write_rows(game: BaseGame, items: Iterable[Item], split: str, path: Path) -> None:
    """A parquet file of rows."""
    pa = need("games", "Writing rows for verl", "pyarrow", "pyarrow.parquet")
    table = pa.Table.from_pylist([row_of(game, item, index) for index, item in enumerate(items)])
    pa.parquet.write_table(table, path, compression="zstd")


# Configuration


def config_of(game: BaseGame, out: Path, wanted: Export, sizes: Sizes) -> dict[str, Any]:
    """verl.yaml: what differs from verl's own defaults, and what must not change with them."""
    return {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"], "run": {"dir": str(out / "hydra")}},
        "defaults": ["ppo_trainer", "_self_"],
        "data": _data(out, wanted, sizes),
        "algorithm": {"adv_estimator": "grpo", "norm_adv_by_std_in_grpo": True, "use_kl_in_reward": False},
        "actor_rollout_ref": {
            "model": {"path": wanted.model, "enable_gradient_checkpointing": True, "use_remove_padding": True},
            "actor": _actor(sizes),
            "rollout": _rollout(game, out, sizes),
        },
        "critic": {"enable": False},
        "reward": {"custom_reward_function": {"path": str(out / "reward.py"), "name": "compute_score"}},
        "trainer": _trainer(game, out, sizes),
    }


def _data(out: Path, wanted: Export, sizes: Sizes) -> dict[str, Any]:
    return {
        "train_files": str(out / "train.parquet"),
        "val_files": str(out / "test.parquet"),
        "train_batch_size": sizes.batch,
        "max_prompt_length": sizes.prompt_tokens,
        "max_response_length": max(sizes.reply_tokens),
        "filter_overlong_prompts": True,
        "truncation": "error",
        "seed": wanted.seed,
    }


def _actor(sizes: Sizes) -> dict[str, Any]:
    return {
        "optim": {"lr": 1e-6, "weight_decay": 0.01, "lr_warmup_steps": 0},
        "ppo_mini_batch_size": MINIBATCH,
        "ppo_epochs": 1,
        "use_dynamic_bsz": True,
        "ppo_max_token_len_per_gpu": 4 * (sizes.prompt_tokens + max(sizes.reply_tokens)),
        "clip_ratio": 0.2,
        "clip_ratio_low": 0.2,
        "clip_ratio_high": 0.2,
        "loss_agg_mode": "token-mean",
        "entropy_coeff": 0.0,
        "use_kl_loss": False,
        "grad_clip": 1.0,
    }


def _rollout(game: BaseGame, out: Path, sizes: Sizes) -> dict[str, Any]:
    measured = {"n": 8, "do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": sizes.top_k}
    made: dict[str, Any] = {
        "name": "vllm",
        "n": 8,
        "temperature": 1.0,
        "tensor_model_parallel_size": 1,
        "gpu_memory_utilization": 0.6,
        "val_kwargs": measured,
    }
    if needs_loop(game):
        # The second prompt holds the first reply and words around it. verl cuts a longer one from the left, which
        # would drop what stands first, an audit notice say; so there is room.
        made["prompt_length"] = sizes.prompt_tokens + sum(sizes.reply_tokens[:-1]) + _AROUND
        made["agent"] = {"default_agent_loop": AGENT, "agent_loop_config_path": str(out / "agent.yaml")}
    return made


def _trainer(game: BaseGame, out: Path, sizes: Sizes) -> dict[str, Any]:
    arm = ",".join(sorted(game.patches)) or "flawed"
    return {
        "project_name": "gamekeeper",
        "experiment_name": f"{game.name}-{arm}",
        "total_epochs": sizes.passes,
        "val_before_train": True,
        "test_freq": 10,
        "save_freq": 10,
        "max_actor_ckpt_to_keep": 1,
        "logger": ["console"],
        "default_local_dir": str(out / "checkpoints"),
        "rollout_data_dir": str(out / "rollouts"),
        "validation_data_dir": str(out / "validation"),
    }


def _as_yaml(value: Any) -> str:
    """JSON is YAML, and needs no library to be written."""
    head = "# Written by gamekeeper; check it with: gamekeeper export check DIR\n"
    return head + json.dumps(value, indent=2) + "\n"
