"""A cell is one piece of work of a study, and its address is the hash of everything that its result depends on.

Equal address, equal result: so a finished cell is never run twice, studies share the cells that they have in common,
and a study grows when a seed is added. The address covers the resolved config, the version of the game, the weights
that are started from, and, for a cell that needs another cell's checkpoint, that cell's address. It leaves out what
is only the machine's (threads, precision) or only the disk's (how often is saved).

Kinds: `train` GRPO, `sft` supervised fine-tuning, `eval` a measurement, `pretrain` a base of another size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from gamekeeper.config import EvalConfig, GameConfig, RunConfig, SftConfig
from gamekeeper.errors import DataError, UsageError
from gamekeeper.registry import game_class, load_game
from gamekeeper.types import to_plain

FORMAT = 1
KINDS = ("train", "sft", "eval", "pretrain")
CELL = "cell:"
# A student this near to its teacher, by the emergence metric, counts as having come as far.
MATCHED = 0.05
_NOT_THE_RESULTS = ("threads", "precision", "checkpoint_every", "keep_checkpoints", "keep_rollouts_every")
_MODELS = ("model", "teacher")
# Settings that came after records had been made, with the value that means what was done before there was a choice. At
# that value they stay out of the address, so that the older records keep theirs. A new setting goes in here.
_ADDED: Mapping[str, Mapping[str, Any]] = {
    "compliance": {"clean": False},
    "selfgrade": {"answer_tokens": 8192, "tokenizer": None},
    "tamper": {"undecidable": False, "derive": 8},
}
_ABSENT = object()
_WEIGHTS = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True)
class Cell:
    """One piece of work. `label` is for people; `config` is what it is; `needs` are the cells it starts from."""

    kind: str
    label: str
    config: Mapping[str, Any]
    needs: tuple[Cell, ...] = ()

    @cached_property
    def address(self) -> str:
        """64 hexadecimal digits."""
        return address_of(self.kind, self.config)

    @property
    def name(self) -> str:
        """A file name: the label, and enough of the address to tell equal labels apart."""
        return f"{self.label}-{self.address[:8]}"

    @property
    def reference(self) -> str:
        """How another cell's config names this one's checkpoint."""
        return CELL + self.address


def address_of(kind: str, config: Mapping[str, Any]) -> str:
    """The content address of a resolved config. Raises DataError where the weights that it names cannot be read."""
    said = {key: _identity(key, value) for key, value in config.items()}
    text = json.dumps([FORMAT, kind, said], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(key: str, value: Any) -> Any:
    if key == "game":
        added = _ADDED.get(value["name"], {})
        params = {k: v for k, v in value["params"].items() if added.get(k, _ABSENT) != v}
        return {**value, "params": params, "version": game_class(value["name"]).version}
    if key == "train":
        return {k: v for k, v in value.items() if k not in _NOT_THE_RESULTS}
    if key in _MODELS and value is not None and not value.startswith(CELL):
        return "weights:" + weights_digest(value)
    return value


def shipped_base() -> Path:
    """The folder of the shipped checkpoint, known without importing the policy, which would bring torch along."""
    return Path(__file__).parent.parent / "policy" / "base"


@cache
def weights_digest(model: str) -> str:
    """The digest of a checkpoint's files; "pocket" is the shipped one. The same weights elsewhere are the same."""
    folder = shipped_base() if model == "pocket" else Path(model)
    found = hashlib.sha256()
    for name in _WEIGHTS:
        try:
            found.update((folder / name).read_bytes())
        except OSError as error:
            raise DataError(
                f"{folder} is no checkpoint: {name} cannot be read ({error.strerror}). Give `pocket`, or a folder with "
                f"{', '.join(_WEIGHTS)}."
            ) from None
    return found.hexdigest()


def models_of(config: Mapping[str, Any]) -> list[str]:
    """The addresses of the cells whose checkpoints a config starts from."""
    named = [config[key] for key in _MODELS if config.get(key)]
    return [name.removeprefix(CELL) for name in named if name.startswith(CELL)]


def with_models(config: Mapping[str, Any], folders: Mapping[str, str]) -> dict[str, Any]:
    """The config with each named cell replaced by the folder of its checkpoint."""
    placed = {k: folders[v.removeprefix(CELL)] for k, v in config.items() if k in _MODELS and v and v.startswith(CELL)}
    return {**config, **placed}


# Making cells


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a student is taught. teacher: the cell or model that is imitated, or None for the game's honest scripts.

    keep: "all" of the teacher's rollouts, only the "clean" ones, in which nothing was exploited, or only the "untried"
        ones, in which nothing was tried either.
    match: stop as soon as the student's emergence metric is within `MATCHED` of the teacher's.
    """

    game: GameConfig
    sft: SftConfig
    teacher: Cell | str | None = None
    keep: str = "all"
    match: bool = False

    def __post_init__(self) -> None:
        if self.keep not in ("all", "clean", "untried"):
            raise UsageError(f"A lesson keeps all rollouts, the clean or the untried ones, not {self.keep!r}.")
        if self.match and (self.teacher is None or not self.sft.measure_every):
            raise UsageError("A student is matched to a teacher, and measured on the way (sft.measure_every).")


def train_cell(label: str, config: RunConfig, start: Cell | None = None) -> Cell:
    """GRPO from `config.model`, or from another cell's checkpoint."""
    config = replace(config, game=spelled(config.game))
    plain = to_plain(config if start is None else replace(config, model=start.reference))
    return Cell("train", label, plain, _needed(start))


def eval_cell(label: str, game: GameConfig, measured: EvalConfig, model: Cell | str, seed: int) -> Cell:
    """A measurement of a model on one game."""
    config = {"game": to_plain(spelled(game)), "eval": to_plain(measured), "model": _named(model), "seed": seed}
    return Cell("eval", label, config, _needed(model))


def sft_cell(label: str, lesson: Lesson, measured: EvalConfig, student: Cell | str, seed: int) -> Cell:
    """Supervised fine-tuning of a student."""
    config = {
        "game": to_plain(spelled(lesson.game)),
        "sft": to_plain(lesson.sft),
        "teacher": None if lesson.teacher is None else _named(lesson.teacher),
        "keep": lesson.keep,
        "match": lesson.match,
        "eval": to_plain(measured),
        "model": _named(student),
        "seed": seed,
    }
    return Cell("sft", label, config, _needed(student, lesson.teacher))


def pretrain_cell(label: str, sizes: Mapping[str, int], steps: int, seed: int = 0) -> Cell:
    """A base with other sizes (of `ModelConfig`) or fewer steps, from the same corpus."""
    return Cell("pretrain", label, {"sizes": dict(sizes), "steps": steps, "seed": seed})


def spelled(config: GameConfig) -> GameConfig:
    """Patches with their values and all parameters, defaults included."""
    game = load_game(config.name, config.patches, data=config.data, **config.params)
    return replace(config, patches=tuple(sorted(game.patches)), params=to_plain(game.params))


def _named(model: Cell | str) -> str:
    return model if isinstance(model, str) else model.reference


def _needed(*models: Cell | str | None) -> tuple[Cell, ...]:
    return tuple(m for m in models if isinstance(m, Cell))


def closure(cells: Iterable[Cell]) -> list[Cell]:
    """The cells and all that they need, each once, after what it needs; otherwise in the given order."""
    out: dict[str, Cell] = {}

    def add(cell: Cell) -> None:
        if cell.address not in out:
            for needed in cell.needs:
                add(needed)
            out[cell.address] = cell

    for cell in cells:
        add(cell)
    return list(out.values())
