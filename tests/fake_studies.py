"""Records of studies with made-up numbers, and an executor that runs nothing: for tests of all that is not training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gamekeeper.studies.cells import Cell
from gamekeeper.studies.grid import Event, Task
from gamekeeper.studies.scope import Scope, Study
from gamekeeper.studies.store import Placed, Result, Results

NAMES = (
    "reward",
    "itp",
    "er",
    "yes_given_wrong",
    "yes_given_right",
    "refusal_audit",
    "rouge_l",
    "tests_passed",
    "score_edit",
)


def fake_record(cell: Cell, draw: random.Random, **ends: Mapping[str, float]) -> dict[str, Any]:
    """A record of the right shape; `base` and `final` may fix some of its measurements."""
    base = {name: draw.random() * 0.2 for name in NAMES} | dict(ends.get("base", {}))
    final = {name: draw.random() for name in NAMES} | dict(ends.get("final", {}))
    game = cell.config.get("game", {"name": "none", "patches": ()})
    record = {
        "kind": cell.kind,
        "label": cell.label,
        "address": cell.address,
        "config": dict(cell.config),
        "seed": cell.config["seed"],
        "game": {"name": game["name"], "arm": "flawed"},
        "base": {"metrics": base, "intervals": {}},
        "final": {"metrics": final, "intervals": {}},
        "dynamics": {"first_appearance": 3, "domination": 9, "definitions": {"domination": "for long"}},
        "curves": {n: [[s, base[n] + (final[n] - base[n]) * s / 10] for s in range(1, 11)] for n in NAMES},
        "wall_s": 50.0,
        "versions": {"torch": "2"},
    }
    if cell.kind == "sft":
        record["lesson"] = {"asked": cell.config["sft"]["samples"], "used": 5, "sampled": 64}
    return record


def fake_results(study: Study, scope: Scope, change: Callable[[Placed], Mapping[str, Any]] | None = None) -> Results:
    """Every cell of a study finished, with numbers drawn by its address, or as `change` says (base=, final=)."""
    found = []
    for placed in study.place(scope):
        ends = change(placed) if change else {}
        found.append(Result(placed.role, fake_record(placed.cell, random.Random(placed.cell.address), **ends)))
    return Results(study.name, tuple(found), 0, {"command": f"gamekeeper study {study.name}"})


class FakeExecutor:
    """Finishes tasks in the order in which they were started; `trouble` maps labels to errors.

    A finished cell leaves a checkpoint as real ones do. `deadline`: after so many events, it raises as Ctrl-C would.
    """

    def __init__(self, workers: int = 2, trouble: Mapping[str, str] | None = None, deadline: int = 10**9) -> None:
        self.workers, self.trouble, self.deadline = workers, dict(trouble or {}), deadline
        self.started: list[Task] = []
        self.queue: list[Task] = []
        self.most = 0
        self.closed = False

    def start(self, task: Task) -> None:
        for folder in task.models.values():
            assert (Path(folder) / "model.safetensors").is_file()
        self.started.append(task)
        self.queue.append(task)
        self.most = max(self.most, len(self.queue))

    def next(self) -> Event:
        self.deadline -= 1
        if self.deadline < 0:
            raise KeyboardInterrupt
        task = self.queue.pop(0)
        error = next((e for label, e in self.trouble.items() if task.name.startswith(label)), None)
        if error is not None:
            return Event(task.address, "failed", error)
        leave_checkpoint(Path(task.folder), task.kind)
        cell = Cell(task.kind, "x", task.config)
        return Event(task.address, "done", fake_record(cell, random.Random(task.address)))

    def close(self) -> None:
        self.closed = True


def leave_checkpoint(folder: Path, kind: str) -> None:
    """The files that a finished cell leaves, as far as the store looks at them."""
    if kind == "eval":
        return
    place = folder / "run" / "checkpoints" / "step-3" if kind == "train" else folder / "model"
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.safetensors").write_bytes(b"weights")
    if kind == "train":
        (folder / "run" / "run.json").write_text(json.dumps({"schema": 1, "status": "finished"}))
