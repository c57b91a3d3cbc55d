"""What TRL is told: the settings that a TRL run has besides those of every run, and how they become TRL's own.

The native trainer's settings keep their meaning: a step is one batch of rollouts, cut into `minibatches` optimiser
updates, passed over `epochs` times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.games.base import BaseGame

CHAT = "chat_template_kwargs"
WAIT_S = 24 * 3600
"""Seconds that processes wait for each other: the first one measures alone, which takes hours for a large model.
NCCL's own limit is ten minutes."""
_SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup"}
# Settings that the fields of TrainConfig and TrlConfig stand for, or on which the record of a run rests.
_OURS = frozenset(
    (
        "beta",
        "epsilon",
        "eval_strategy",
        "generation_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "logging_steps",
        "logging_strategy",
        "lr_scheduler_type",
        "max_completion_length",
        "max_grad_norm",
        "max_steps",
        "num_generations",
        "num_iterations",
        "num_train_epochs",
        "output_dir",
        "per_device_train_batch_size",
        "report_to",
        "save_steps",
        "save_strategy",
        "save_total_limit",
        "seed",
        "shuffle_dataset",
        "steps_per_generation",
        "temperature",
        "use_vllm",
        "vllm_server_base_url",
        "warmup_steps",
    )
)


@dataclass(frozen=True, slots=True)
class TrlConfig:
    """What TRL is told besides the settings of `train`."""

    accumulate: int = 1
    """Backward passes that one update is cut into, to save memory."""
    prompt_tokens: int = 0
    """Longest prompt; items with a longer one are left out and counted. 0: what the model's positions leave."""
    reply_tokens: tuple[int, ...] = ()
    """Most new tokens of each turn. Empty: the game's own, which are for pocket models."""
    lora: int = 0
    """Rank of LoRA adapters; 0 trains all weights."""
    lora_alpha: int = 0
    """Scale of the adapters; 0: twice the rank."""
    lora_modules: str = "all-linear"
    """Which modules get adapters: all-linear, or names with commas between."""
    vllm: str = ""
    """Address of a server started by `trl vllm-serve`, which then samples the rollouts."""
    eval_rows: int = 64
    """Replies sampled at once when the policy is measured."""
    passes: int = 0
    """Passes over the items of a data file that fit, in place of train.steps, which they set; 0: train.steps."""
    distil_rows: int = 2048
    """Distillation: most episodes of the teacher, the latest first."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of TRL's GRPOConfig (or SFTConfig), by their names there."""

    def __post_init__(self) -> None:
        for name, low in (("accumulate", 1), ("eval_rows", 1), ("distil_rows", 1)):
            if getattr(self, name) < low:
                raise UsageError(f"trl.{name} must be at least {low}, got {getattr(self, name)}.")
        for name in ("prompt_tokens", "lora", "lora_alpha", "passes"):
            if getattr(self, name) < 0:
                raise UsageError(f"trl.{name} must be 0 or more, got {getattr(self, name)}.")
        if any(n < 1 for n in self.reply_tokens):
            raise UsageError(f"trl.reply_tokens must be at least 1 each, got {list(self.reply_tokens)}.")
        if self.vllm and not self.vllm.startswith(("http://", "https://")):
            raise UsageError(f"trl.vllm must be an address such as http://host:8000, got {self.vllm!r}.")
        wait = self.options.get("ddp_timeout", WAIT_S)
        if isinstance(wait, bool) or not isinstance(wait, int) or wait < 1:
            raise UsageError(f"trl.options: ddp_timeout must be a number of seconds from 1, got {wait!r}.")
        if taken := sorted(_OURS & set(self.options)):
            raise UsageError(
                f"trl.options may not set {', '.join(taken)}: the settings of train and trl stand for it. "
                "See docs/llm.md for which."
            )


@dataclass(frozen=True, slots=True)
class TrlRunConfig:
    """One run by TRL. model: a folder or a name that transformers can load, or "pocket"; teacher: the run directory
    whose rollouts are distilled, or None for GRPO."""

    game: GameConfig
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    model: str = "pocket"
    seed: int = 0
    backend: str = "trl"
    preset: str | None = None
    teacher: str | None = None
    trl: TrlConfig = field(default_factory=TrlConfig)

    def __post_init__(self) -> None:
        if self.train.steps < 1:
            raise UsageError(
                f"TRL takes at least 1 step, got train.steps={self.train.steps}. To measure: gamekeeper eval"
            )


def reply_limits(config: TrlConfig, game: BaseGame) -> tuple[int, ...]:
    """Most new tokens of each turn. Raises UsageError where the setting and the game have other numbers of turns."""
    turns = len(game.reply_tokens)
    given = config.reply_tokens
    if given and len(given) != turns:
        raise UsageError(f"trl.reply_tokens has {len(given)} numbers; {game.name!r} has {turns} turns. Give one each.")
    return given or tuple(game.reply_tokens)


@dataclass(frozen=True, slots=True)
class Shape:
    """How one step's batch is cut. rows: an episode is one row for each turn that is trained."""

    items: int
    group: int
    rows_an_episode: int
    minibatches: int
    accumulate: int
    processes: int

    @property
    def rows(self) -> int:
        """Rows of a step on one device."""
        return self.items * self.group * self.rows_an_episode // self.processes

    @property
    def rows_at_once(self) -> int:
        """Rows of one backward pass on one device."""
        return self.rows // (self.minibatches * self.accumulate)

    def check(self) -> Shape:
        """Raises UsageError if the batch does not come out even."""
        if self.items * self.group % self.processes:
            raise UsageError(
                f"{self.items} items x {self.group} replies do not divide among {self.processes} processes. "
                "Change train.items_per_step."
            )
        if self.rows % (self.minibatches * self.accumulate):
            raise UsageError(
                f"{self.rows} rows a step on each device do not divide into train.minibatches={self.minibatches} "
                f"x trl.accumulate={self.accumulate} parts. Change one of them, or train.items_per_step."
            )
        return self


def shape_of(config: TrlRunConfig, rows_an_episode: int, processes: int = 1) -> Shape:
    train = config.train
    sizes = (train.items_per_step, train.group, rows_an_episode, train.minibatches)
    return Shape(*sizes, config.trl.accumulate, processes).check()


def grpo_settings(config: TrlRunConfig, shape: Shape, longest_reply: int, output: Path) -> dict[str, Any]:
    """GRPOConfig's arguments, the device's own (`device_settings`) aside."""
    train, updates = config.train, updates_a_step(config.train)
    made = {
        **_common(config, output, updates),
        "per_device_train_batch_size": shape.rows_at_once,
        "gradient_accumulation_steps": config.trl.accumulate,
        "steps_per_generation": train.minibatches * config.trl.accumulate,
        "num_generations": train.group * shape.rows_an_episode,
        "max_completion_length": longest_reply,
        "max_steps": updates * train.steps,
        "warmup_steps": updates * train.warmup_steps,
        "num_iterations": train.epochs,
        "epsilon": train.clip,
        "beta": train.kl,
        "temperature": train.temperature,
        "scale_rewards": "group",
        # The mean over all tokens of an update, as in the native trainer. "bnpo" takes it of one backward pass,
        # "dapo" of the whole step, which stays right where an update has several passes.
        "loss_type": "bnpo" if config.trl.accumulate == 1 and shape.processes == 1 else "dapo",
        "shuffle_dataset": False,
        "disable_dropout": True,
    }
    if config.trl.vllm:
        made |= {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": config.trl.vllm}
    return made | dict(config.trl.options)


def updates_a_step(train: TrainConfig) -> int:
    """Optimiser updates of one batch of rollouts."""
    return train.minibatches * train.epochs


def sft_settings(config: TrlRunConfig, rows: int, output: Path, processes: int = 1) -> dict[str, Any]:
    """SFTConfig's arguments: an update a step, `items_per_step` conversations each, shared by the processes.

    Raises UsageError if they do not come out even.
    """
    accumulate, items = config.trl.accumulate, config.train.items_per_step
    if items % (accumulate * processes):
        raise UsageError(
            f"{items} conversations an update do not divide into {processes} processes x trl.accumulate={accumulate} "
            "parts. Change train.items_per_step."
        )
    made = {
        **_common(config, output, 1),
        "per_device_train_batch_size": items // (accumulate * processes),
        "gradient_accumulation_steps": accumulate,
        "max_steps": config.train.steps,
        "warmup_steps": config.train.warmup_steps,
        "completion_only_loss": True,
        "max_length": None,
        "num_train_epochs": -(-config.train.steps * config.train.items_per_step // max(rows, 1)),
    }
    # SFTTrainer takes what the chat template is told from each example.
    return made | {name: value for name, value in config.trl.options.items() if name != CHAT}


def _common(config: TrlRunConfig, output: Path, updates: int) -> dict[str, Any]:
    train = config.train
    return {
        "output_dir": str(output),
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": _SCHEDULES[train.schedule],
        "adam_beta2": 0.99,
        "weight_decay": 0.0,
        "max_grad_norm": train.max_grad_norm,
        "seed": config.seed,
        "logging_steps": updates,
        "logging_first_step": False,
        "save_strategy": "steps",
        "save_steps": updates * train.checkpoint_every,
        "save_total_limit": train.keep_checkpoints,
        "report_to": "none",
        "disable_tqdm": True,
        "ddp_timeout": WAIT_S,
    }


def device_settings(precision: str) -> dict[str, Any]:
    """What depends on the machine. On a CPU: fp32, and nothing recomputed to save memory."""
    import torch

    if not torch.cuda.is_available():
        plain = {"use_cpu": True, "gradient_checkpointing": False, "dataloader_pin_memory": False}
        return {**plain, "bf16": precision == "bf16", "optim": "adamw_torch_fused"}
    return {"bf16": precision != "fp32" and torch.cuda.is_bf16_supported()}


def processes(config: TrlConfig) -> Any:
    """accelerate's state of the processes that run this together, made at the first call.

    It must be told of a CPU, as TRL tells it: several processes would count as one each. And of how long they wait for
    each other and by what means: the group of processes is made here, before TRL reads its own settings.
    """
    import torch
    from accelerate import PartialState

    options = config.options
    wait = timedelta(seconds=float(options.get("ddp_timeout", WAIT_S)))
    return PartialState(cpu=not torch.cuda.is_available(), backend=options.get("ddp_backend"), timeout=wait)


def build(kind: type, settings: Mapping[str, Any], precision: str) -> Any:
    """TRL's configuration object. Raises UsageError, with TRL's own words, for what it refuses."""
    known = [f.name for f in fields(kind)]
    for name in settings:
        if name not in known:
            raise UnknownName(f"option of TRL's {kind.__name__}", name, known)
    try:
        return kind(**{**device_settings(precision), **settings})
    except (TypeError, ValueError) as error:
        raise UsageError(f"TRL refuses these settings: {error} Change them under train or trl.options.") from error


def lora_settings(config: TrlConfig) -> Any:
    """peft's configuration, or None where all weights are trained."""
    if not config.lora:
        return None
    from gamekeeper.adapters.library import need

    peft = need("lora", "LoRA (trl.lora)")
    names = [n.strip() for n in config.lora_modules.split(",") if n.strip()]
    modules = names[0] if names == ["all-linear"] else names
    alpha = config.lora_alpha or 2 * config.lora
    return peft.LoraConfig(r=config.lora, lora_alpha=alpha, target_modules=modules, task_type="CAUSAL_LM")
