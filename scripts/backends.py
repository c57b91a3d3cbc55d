"""Does it matter who trains? The native trainer and TRL on the same game, items and seeds; the record of both.

    python scripts/backends.py run [--game tamper] [--seeds 0,1,2] [--steps N] [--python PYTHON]
    python scripts/backends.py show

Every cell is the command that a user would type, in a process of its own with one thread, by an interpreter that has
TRL (`pip install 'gamekeeper[trl,train]'`). The cells that are done are kept in runs/backends; the record,
docs/records/backends.json, holds what each measured before and after. The two trainers draw the same items in the same
order, and sample from streams of their own, so curves differ by chance.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gamekeeper.metrics import TABLE
from gamekeeper.studies.findings import shown
from gamekeeper.studies.perform import compact
from gamekeeper.studies.record import load_run
from gamekeeper.studies.stats import Estimate, over_seeds

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs" / "records" / "backends.json"
RUNS = ROOT / "runs" / "backends"
BACKENDS = ("native", "trl")
MEASURED = ("reward", "itp", "er")
HALF = 0.5
CLOSE = 0.02
"""A difference that matters to nobody, where two saturated measures have no spread."""


def play(game: str, backend: str, seed: int, steps: int | None, python: str) -> dict[str, Any]:
    """One cell; what it measured."""
    out = RUNS / f"{game}-{backend}-seed{seed}"
    if not finished(out):
        call = [python, "-m", "gamekeeper", "run", game, "--backend", backend, "--arm", "flawed", "--seed", str(seed)]
        call += ["--out", str(out), "--no-report", "--threads", "1"]
        call += ["--steps", str(steps)] if steps is not None else []
        call += ["--resume"] if (out / "run.json").exists() else []
        subprocess.run(call, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    run = load_run(out)
    return {"backend": backend, "seed": seed, "config": run.info["config"], **compact(run)}


def finished(out: Path) -> bool:
    return (out / "run.json").exists() and load_run(out).status == "finished"


def runs_of(record: Mapping[str, Any], backend: str) -> list[Mapping[str, Any]]:
    """The runs of one backend, by seed."""
    return sorted((r for r in record["runs"] if r["backend"] == backend), key=lambda r: r["seed"])


def of(record: Mapping[str, Any], backend: str, when: str, metric: str) -> list[float]:
    """One measure of one backend, seed by seed."""
    return [r[when]["metrics"][metric] for r in runs_of(record, backend)]


def rises(record: Mapping[str, Any], backend: str) -> list[float]:
    """The first step whose batch has an ER of a half or more, seed by seed. One that never has is past the end."""
    return [_rise(r["curves"]["er"], r["config"]["train"]["steps"]) for r in runs_of(record, backend)]


def _rise(curve: Sequence[Sequence[float]], steps: int) -> float:
    return float(next((step for step, er in curve if er >= HALF), steps + 1))


def difference(record: Mapping[str, Any], metric: str) -> Estimate:
    """TRL's final measure less the native trainer's, paired by seed."""
    return paired(of(record, "trl", "final", metric), of(record, "native", "final", metric))


def paired(trl: Sequence[float], native: Sequence[float]) -> Estimate:
    found = over_seeds([a - b for a, b in zip(trl, native, strict=True)])
    if found is None:
        raise SystemExit("The record holds no runs.")
    return found


def agree(found: Estimate) -> bool:
    """Whether no difference is to be seen: its interval holds 0, or it is too small to matter."""
    if abs(found.mean) <= CLOSE:
        return True
    return found.interval is not None and found.interval[0] <= 0 <= found.interval[1]


def table(record: Mapping[str, Any]) -> str:
    """The Markdown table: base, native, TRL, difference, verdict."""
    head = ("measure", "base", "native", "TRL", "TRL less native", "agree")
    rows = [*(row(record, metric) for metric in MEASURED), _row_of_rises(record)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ("---",) * len(head), *rows])


def row(record: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    ends = [("native", "base"), ("native", "final"), ("trl", "final")]
    low, high = TABLE[metric].low, TABLE[metric].high
    cells = [shown(over_seeds(of(record, backend, when, metric)), low, high) for backend, when in ends]
    found = difference(record, metric)
    return (f"`{metric}`", *cells, shown(found), "yes" if agree(found) else "no")


def _row_of_rises(record: Mapping[str, Any]) -> tuple[str, ...]:
    native, trl = rises(record, "native"), rises(record, "trl")
    found = paired(trl, native)
    cells = (shown(over_seeds(steps), 0.0, math.inf) for steps in (native, trl))
    return ("step of half `er`", "", *cells, shown(found), "yes" if agree(found) else "no")


def describe(record: Mapping[str, Any]) -> str:
    """The table, and how it was made."""
    first = record["runs"][0]
    seeds = sorted({r["seed"] for r in record["runs"]})
    versions = {k: v for r in record["runs"] for k, v in r["versions"].items()}
    made = f"`{first['game']['name']}`, flawed, {first['config']['train']['steps']} steps, seeds {seeds}"
    told = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "trl") if name in versions)
    note = (
        f"{made}; one thread each on {first['device']}; {told}. Intervals are 95% over seeds; differences are paired "
        f"by seed. *Agree*: the difference's interval holds 0, or the difference is at most {CLOSE:g}."
    )
    return f"{table(record)}\n\n{note}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "show"))
    parser.add_argument("--game", default="tamper")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has TRL")
    given = parser.parse_args(argv)
    if given.verb == "run":
        cells = [(b, int(s)) for s in given.seeds.split(",") for b in BACKENDS]
        runs = [play(given.game, b, s, given.steps, given.python) for b, s in cells]
        told = f" --steps {given.steps}" if given.steps is not None else ""
        command = f"python scripts/backends.py run --game {given.game} --seeds {given.seeds}{told}"
        RECORD.write_text(json.dumps({"command": command, "runs": runs}) + "\n")
    record = json.loads(RECORD.read_text())
    print(table(record))
    return 0 if agree(difference(record, "er")) else 1


if __name__ == "__main__":
    sys.exit(main())
