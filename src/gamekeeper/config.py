"""What is configured, as frozen dataclasses; reading refuses unknown keys, wrong types and impossible values.

The resolved config is written into every run directory, so that a run can be repeated from it alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gamekeeper.errors import UnknownName, UsageError

T = TypeVar("T")


def _at_least(config: Any, name: str, low: int) -> None:
    value = getattr(config, name)
    if value < low:
        raise UsageError(f"{type(config).__name__}.{name} must be at least {low}, got {value}.")


@dataclass(frozen=True, slots=True)
class GameConfig:
    """Which game, with which repairs."""

    name: str
    patches: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """GRPO as in the paper's section on training; sizes and step size are those of the pocket model."""

    steps: int = 80
    items_per_step: int = 64
    group: int = 8
    minibatches: int = 4
    epochs: int = 1
    learning_rate: float = 5e-4
    warmup_steps: int = 2
    schedule: str = "linear"
    clip: float = 0.2
    kl: float = 0.0
    temperature: float = 1.0
    max_grad_norm: float = 1.0
    precision: str = "auto"
    threads: int = 0
    checkpoint_every: int = 10
    keep_checkpoints: int = 1
    keep_rollouts_every: int = 1

    def __post_init__(self) -> None:
        for name in (
            "items_per_step",
            "minibatches",
            "epochs",
            "checkpoint_every",
            "keep_checkpoints",
            "keep_rollouts_every",
        ):
            _at_least(self, name, 1)
        _at_least(self, "group", 2)
        _at_least(self, "steps", 0)
        _at_least(self, "threads", 0)
        for name in ("learning_rate", "clip", "temperature", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise UsageError(f"train.{name} must be above 0, got {getattr(self, name)}.")
        if self.kl < 0:
            raise UsageError(f"train.kl must be 0 (off) or more, got {self.kl}.")
        if self.schedule not in ("linear", "constant"):
            raise UnknownName("schedule", self.schedule, ("linear", "constant"))
        if self.precision not in ("auto", "fp32", "bf16"):
            raise UnknownName("precision", self.precision, ("auto", "fp32", "bf16"))


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """How a policy is measured, on items of the split "test" unless another is given. temperature 1 measures the
    policy that training samples from."""

    items: int = 128
    samples: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    every: int = 0
    split: str = "test"

    def __post_init__(self) -> None:
        _at_least(self, "items", 1)
        _at_least(self, "samples", 1)
        _at_least(self, "top_k", 0)
        _at_least(self, "every", 0)
        if self.temperature < 0:
            raise UsageError(f"eval.temperature must be 0 (greedy) or more, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"eval.top_p must be above 0 and at most 1, got {self.top_p}.")
        if self.split not in ("train", "test"):
            raise UnknownName("split", self.split, ("train", "test"))


@dataclass(frozen=True, slots=True)
class SftConfig:
    """Supervised fine-tuning on conversations. samples: how many are asked for; epochs: how often each is seen.

    measure_every: steps between measurements of the student; 0 measures it at both ends only."""

    samples: int = 2048
    epochs: int = 2
    tokens_per_batch: int = 2048
    learning_rate: float = 1e-3
    warmup_steps: int = 10
    max_grad_norm: float = 1.0
    measure_every: int = 0

    def __post_init__(self) -> None:
        for name in ("samples", "epochs", "tokens_per_batch"):
            _at_least(self, name, 1)
        for name in ("warmup_steps", "measure_every"):
            _at_least(self, name, 0)
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise UsageError(f"sft.{name} must be above 0, got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One training run. model: "pocket" for the shipped checkpoint, or a path to one in the same format."""

    game: GameConfig
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    model: str = "pocket"
    seed: int = 0


def from_mapping(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """A config dataclass from JSON values.

    Raises UnknownName for a key that it does not have (with the nearest), UsageError for a value of another type.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{where or 'The config'} must be a mapping, got {type(data).__name__}.")
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise UnknownName(f"key in {where or 'the config'}", str(key), known)
    ready = {k: _value(hints[k], v, f"{where}.{k}" if where else k) for k, v in data.items()}
    try:
        return cls(**ready)
    except TypeError as error:
        raise UsageError(f"{where or 'The config'} is incomplete: {error}.") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return from_mapping(hint, value, where)  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        hint = next(a for a in get_args(hint) if a is not type(None))
        origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where} must be a list, got {value!r}.")
        kind = get_args(hint)[0]
        return tuple(_value(kind, v, f"{where}[{n}]") for n, v in enumerate(value))
    if origin is not None:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} must be a mapping, got {value!r}.")
        return dict(value)
    return _plain(hint, value, where)


def _plain(hint: type, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        # An integer too large for a float is as far from finite as infinity is.
        value = float(value) if abs(value) < 2**1000 else (math.inf if value > 0 else -math.inf)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{where} must be {hint.__name__}, got {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} must be a finite number, got {value!r}.")
    return value
