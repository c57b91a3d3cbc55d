"""The grid: which cells are left to do, in which order, and what became of each. It runs nothing itself.

A cell is started when the checkpoints that it needs are there. A cell that failed is recorded and the others go on;
those that need it are left, and named. Whatever executor is handed in (`pool`, `spread`), a finished cell's record is
written by this process alone, so that a worker's death cannot tear one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gamekeeper.errors import RunError
from gamekeeper.studies.cells import Cell, closure, models_of
from gamekeeper.studies.store import Store


@dataclass(frozen=True, slots=True)
class Task:
    """What an executor needs of a cell: JSON values and paths."""

    address: str
    name: str
    kind: str
    config: Mapping[str, Any]
    models: Mapping[str, str]
    folder: str


@dataclass(frozen=True, slots=True)
class Event:
    """News of a task: `done` with its record, `failed` with an error, or `at`, the share that is done."""

    address: str
    what: str
    value: Any


class Executor(Protocol):
    """Runs tasks somewhere. `workers` is how many at once; `next` blocks for the next piece of news."""

    @property
    def workers(self) -> int: ...
    def start(self, task: Task) -> None: ...
    def next(self) -> Event: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What became of a grid. `failed` and `waiting` say why, by the cell's name.

    `remade`: cells that were run again for their checkpoint, and came out otherwise than their record; how.
    """

    ran: int = 0
    found: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    remade: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """Progress of the whole grid. `share` is of the expected work; `left` in seconds, None until it is known."""

    cells: int
    done: int
    share: float
    left: float | None
    cell: Cell
    what: str
    value: Any = None


Watcher = Callable[[News], None]


def left_to_do(wanted: Sequence[Cell], store: Store) -> list[Cell]:
    """Cells without a record, and cells whose checkpoint one of them needs and this disk no longer has; in order."""
    due: dict[str, None] = {}

    def look(cell: Cell, for_checkpoint: bool) -> None:
        if cell.address in due:
            return
        missing = store.checkpoint(cell) is None if for_checkpoint else store.record(cell.address) is None
        if missing:
            for needed in cell.needs:
                look(needed, True)
            due[cell.address] = None

    for cell in wanted:
        look(cell, False)
    return [cell for cell in closure(wanted) if cell.address in due]


def run_grid(
    study: str, wanted: Sequence[Cell], store: Store, executor: Executor, watch: Watcher | None = None
) -> Outcome:
    """Run what is left of these cells. Raises RunError only where nothing can be recorded any more."""
    todo = left_to_do(wanted, store)
    grid = _Grid(study, todo, store, executor, watch or _unwatched)
    grid.outcome.found = sum(store.record(c.address) is not None for c in wanted)
    try:
        grid.run()
    finally:
        executor.close()
    return grid.outcome


def _unwatched(_: News) -> None:
    """Nobody watches."""


class _Grid:
    """The state of one call."""

    def __init__(self, study: str, todo: Sequence[Cell], store: Store, executor: Executor, watch: Watcher) -> None:
        self.study, self.store, self.executor, self.watch = study, store, executor, watch
        self.pending = {cell.address: cell for cell in todo}
        self.running: dict[str, Cell] = {}
        self.shares: dict[str, float] = {}
        self.outcome = Outcome()
        self._costs = {cell.address: expected_seconds(cell) for cell in todo}
        self._all = len(todo)
        self._started = time.monotonic()

    def run(self) -> None:
        self._launch()
        while self.running:
            self._hear(self.executor.next())
            self._launch()
        for cell in self.pending.values():
            self.outcome.waiting[cell.name] = self._reason(cell)
        self.outcome.seconds = time.monotonic() - self._started

    def _launch(self) -> None:
        for cell in list(self.pending.values()):
            if len(self.running) >= self.executor.workers:
                return
            models = self._models(cell)
            if models is not None:
                del self.pending[cell.address]
                self.running[cell.address] = cell
                folder = str(self.store.folder(cell))
                self.executor.start(Task(cell.address, cell.name, cell.kind, cell.config, models, folder))
                self._tell(cell, "started")

    def _models(self, cell: Cell) -> dict[str, str] | None:
        """The checkpoints that a cell starts from by address; None while one is not there yet."""
        folders = {}
        for needed in cell.needs:
            busy = needed.address in self.pending or needed.address in self.running
            found = None if busy else self.store.checkpoint(needed)
            if found is None:
                return None
            folders[needed.address] = str(found)
        assert set(folders) == set(models_of(cell.config)), "a cell names a checkpoint that it does not need"
        return folders

    def _hear(self, event: Event) -> None:
        cell = self.running.get(event.address)
        if cell is None:  # a second word on a cell that is settled
            return
        if event.what == "at":
            self.shares[event.address] = min(1.0, max(0.0, float(event.value)))
            self._tell(cell, "at", event.value)
            return
        del self.running[event.address]
        self.shares[event.address] = 1.0
        if event.what == "done":
            self.store.keep(self.study, cell, {**event.value, **self._remade(cell)})
            self.outcome.ran += 1
            if apart := self.store.differs(cell):
                self.outcome.remade[cell.name] = apart
        else:
            self.outcome.failed[cell.name] = str(event.value)
            self.store.fail(cell, str(event.value))
        self._tell(cell, event.what, event.value)

    def _remade(self, cell: Cell) -> dict[str, Any]:
        """What a cell's record says of checkpoints that it started from and that differ from their own records."""
        found = {needed.label: apart for needed in cell.needs if (apart := self.store.differs(needed))}
        return {"started_from_other": found} if found else {}

    def _tell(self, cell: Cell, what: str, value: Any = None) -> None:
        total = sum(self._costs.values())
        share = sum(self._costs[a] * s for a, s in self.shares.items()) / total if total else 1.0
        spent = time.monotonic() - self._started
        left = max(0.0, spent / share - spent) if share > 0.01 else None
        done = self.outcome.ran + len(self.outcome.failed)
        self.watch(News(self._all, done, share, left, cell, what, value))

    def _reason(self, cell: Cell) -> str:
        lost = [n.name for n in closure(cell.needs) if n.name in self.outcome.failed]
        return f"needs {', '.join(lost) or 'a checkpoint that could not be made'}"


# What a cell is expected to take: seconds of one core at the default sizes, by game, without patches and with. Measured
# on the machine of the emergence records (two runs at a time); another is faster or slower by one factor, which the
# progress line learns as it goes.
_STEP_S = {"compliance": (0.6, 0.37), "selfgrade": (1.25, 1.1), "summary": (2.8, 1.05), "tamper": (0.7, 1.7)}
_ROLLOUTS = 64 * 8
_EVAL_S = 2.5
_SFT_TOKENS_S = 16_000.0
_SAMPLE_TOKENS = {"compliance": 100, "selfgrade": 86, "summary": 110, "tamper": 115}
_PRETRAIN_STEP_S = 0.145
_PARAMETERS = 0.92e6


def expected_seconds(cell: Cell) -> float:
    """Seconds that a cell takes on one core, roughly."""
    if cell.kind == "pretrain":
        size = 0.2 + 0.8 * parameters(cell.config["sizes"]) / _PARAMETERS
        return float(cell.config["steps"]) * _PRETRAIN_STEP_S * size
    game = cell.config["game"]["name"]
    measured = cell.config["eval"]
    look = _EVAL_S * measured["items"] * measured["samples"] / _ROLLOUTS
    if cell.kind == "eval":
        return look
    if cell.kind == "train":
        train = cell.config["train"]
        each = _STEP_S.get(game, (1.0, 1.0))[bool(cell.config["game"]["patches"])] * _size_factor(cell)
        return float(train["steps"]) * each * train["items_per_step"] * train["group"] / _ROLLOUTS + 2 * look
    sft = cell.config["sft"]
    tokens = sft["samples"] * sft["epochs"] * _SAMPLE_TOKENS.get(game, 100)
    steps = tokens / sft["tokens_per_batch"]
    looks = 3 + (steps / sft["measure_every"] if sft["measure_every"] else 0)
    return tokens / _SFT_TOKENS_S + looks * look


def _size_factor(cell: Cell) -> float:
    """How much longer a step takes than with the shipped base: about six tenths of it grow with the weights."""
    bases = [n for n in closure(cell.needs) if n.kind == "pretrain"]
    return 0.4 + 0.6 * parameters(bases[0].config["sizes"]) / _PARAMETERS if bases else 1.0


def parameters(sizes: Mapping[str, int]) -> float:
    """Weights of a Qwen3 model with these sizes (defaults of the pocket model), norms left out."""
    get = {"vocab": 1024, "width": 128, "layers": 4, "heads": 4, "kv_heads": 2, "head_width": 32, "ffn": 384, **sizes}
    attention = get["width"] * get["head_width"] * (2 * get["heads"] + 2 * get["kv_heads"])
    return float(get["vocab"] * get["width"] + get["layers"] * (attention + 3 * get["width"] * get["ffn"]))


def log_of(folder: Path, name: str) -> Path:
    """Where a worker's stderr goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error}. Give another --out.") from None
    return folder / f"{name}.log"
