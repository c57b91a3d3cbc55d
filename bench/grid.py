"""What a grid of cells costs beside the cells: its overhead a cell with one worker, and how well two share the work.

The same cells (short runs of compliance from the shipped base, other seeds) with one worker and with two, one thread
each. Overhead: seconds of the whole grid that no cell accounts for, the start of the worker included. Efficiency: half
of the seconds with one worker, over those with two. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from gamekeeper.config import EvalConfig, RunConfig, TrainConfig
from gamekeeper.studies.cells import Cell, train_cell
from gamekeeper.studies.grid import run_grid
from gamekeeper.studies.pool import Pool
from gamekeeper.studies.scope import game_of
from gamekeeper.studies.store import Store


def cells(count: int, steps: int) -> list[Cell]:
    train, measured = TrainConfig(steps=steps), EvalConfig(items=64, samples=2)
    return [train_cell(f"c{n}", RunConfig(game_of("compliance"), train, measured, seed=n)) for n in range(count)]


def measure(workers: int, count: int, steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        wanted = cells(count, steps)
        started = time.perf_counter()
        out = run_grid("bench", wanted, store, Pool(workers, Path(folder) / "logs", threads=1))
        whole = time.perf_counter() - started
        if out.failed:
            raise SystemExit(f"cells failed: {out.failed}")
        inside = sum(store.record(c.address)["wall_s"] for c in wanted)  # type: ignore[index]
    return {"whole_s": whole, "cells_s": inside}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    one, two = (measure(workers, args.cells, args.steps) for workers in (1, 2))
    overhead = (one["whole_s"] - one["cells_s"]) / args.cells
    efficiency = one["whole_s"] / two["whole_s"] / 2
    found = {"cells": args.cells, "steps": args.steps, "one": one, "two": two}
    print(json.dumps({**found, "overhead_s": overhead, "efficiency": efficiency}))


if __name__ == "__main__":
    main()
