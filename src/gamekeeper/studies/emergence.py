"""The emergence grid: every game, flawed and secure, over seeds; and the table of results made from its records.

    python -m gamekeeper.studies.emergence run [--games a,b] [--seeds 0,1] [--workers 2]
    python -m gamekeeper.studies.emergence table

A finished cell leaves a compact record (one JSON file: config, base, final, dynamics, curves) in the records folder;
the grid goes on where it stopped, and the table is made from the records alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamekeeper.errors import GamekeeperError
from gamekeeper.metrics import TABLE, Metric
from gamekeeper.registry import game_class
from gamekeeper.studies.record import Run, load_run
from gamekeeper.studies.stats import Estimate, over_seeds

GAMES = ("compliance", "selfgrade", "summary", "tamper")
ARMS = ("flawed", "secure")
CURVES = ("reward", "itp", "er")
RECORDS = Path("docs/records/emergence")
RUNS = Path("runs/emergence")
SEEDS = (0, 1, 2, 3, 4)
RISE = 0.05


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the grid."""

    game: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.game}-{self.arm}-seed{self.seed}"


def cells(games: Iterable[str], seeds: Iterable[int]) -> list[Cell]:
    """Seed by seed, so that a grid that is stopped early has whole seeds."""
    return [Cell(game, arm, seed) for seed in seeds for game in games for arm in ARMS]


def compact(run: Run) -> dict[str, Any]:
    """What the table and its readers need of a finished run, without its rollouts."""
    emergence = run.info["game"]["emergence"]
    curves = {name: run.series(name) for name in dict.fromkeys((*CURVES, emergence))}
    kept = ("schema", "game", "seed", "config", "created", "commit", "versions", "platform", "device", "threads")
    rest = ("wall_s", "base", "final", "dynamics")
    return {
        **{k: run.info.get(k) for k in (*kept, *rest)},
        "curves": {k: [[s, round(v, 5)] for s, v in c] for k, c in curves.items()},
    }


def play_cell(cell: Cell, threads: int) -> Path:
    """Run one cell by the command that a user would type, in a process of its own; returns its record."""
    record = RECORDS / f"{cell.name}.json"
    if record.exists():
        return record
    out = RUNS / cell.name
    command = [sys.executable, "-m", "gamekeeper", "run", cell.game, "--arm", cell.arm, "--seed", str(cell.seed)]
    command += ["--out", str(out), "--no-report", "--threads", str(threads)]
    if (out / "run.json").exists():
        command.append("--resume")
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise GamekeeperError(f"{cell.name} failed: {done.stderr.strip()[-500:]}")
    RECORDS.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".partial")
    partial.write_text(json.dumps(compact(load_run(out)), indent=None) + "\n")
    os.replace(partial, record)
    return record


def run_grid(games: Sequence[str], seeds: Sequence[int], workers: int) -> int:
    """Play all cells, `workers` at a time with one thread each; the number of cells that failed."""

    def attempt(cell: Cell) -> bool:
        try:
            play_cell(cell, threads=1)
        except GamekeeperError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return False
        print(f"{cell.name}: done", flush=True)
        return True

    with ThreadPoolExecutor(workers) as pool:
        return sum(not ok for ok in pool.map(attempt, cells(games, seeds)))


# The table

HEAD = (
    "game",
    "arm",
    "seeds",
    "measure",
    "base",
    "trained",
    "as expected",
    "ITP base",
    "ITP trained",
    "first appearance",
    "domination",
    "wall, s",
)


def load_records(folder: Path = RECORDS) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown table of docs/results.md, one row for each game and arm."""
    rows = [_row(game, arm, _of(records, game, arm)) for game in GAMES for arm in ARMS if _of(records, game, arm)]
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _of(records: Sequence[Mapping[str, Any]], game: str, arm: str) -> list[Mapping[str, Any]]:
    return [r for r in records if r["game"]["name"] == game and r["game"]["arm"] == arm]


def _row(game: str, arm: str, runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    measure = game_class(game).emergence

    def ends(when: str, metric: str) -> str:
        return shown(over_seeds([r[when]["metrics"][metric] for r in runs]), TABLE[metric])

    return (
        game,
        arm,
        str(len(runs)),
        f"`{measure}`",
        ends("base", measure),
        ends("final", measure),
        _expected(arm, runs, measure, game_class(game).bar),
        ends("base", "itp"),
        ends("final", "itp"),
        _steps(r["dynamics"]["first_appearance"] for r in runs),
        _steps(r["dynamics"]["domination"] for r in runs),
        shown(over_seeds([r["wall_s"] for r in runs]), digits=0),
    )


def _expected(arm: str, runs: Sequence[Mapping[str, Any]], measure: str, bar: float) -> str:
    """How many seeds did what the arm is expected to do: pass the bar, or not rise above the base."""
    ends = [(r["base"]["metrics"][measure], r["final"]["metrics"][measure]) for r in runs]
    if arm == "flawed":
        return f"{sum(final >= bar for _, final in ends)} of {len(ends)} (>= {bar:g})"
    return f"{sum(final - base <= RISE for base, final in ends)} of {len(ends)} (rise <= {RISE:g})"


def shown(estimate: Estimate | None, metric: Metric | None = None, digits: int = 3) -> str:
    """ "0.987 [0.981, 0.993]"; "n=1, no interval" and "unknown" where there is nothing more to say.

    With a metric, the interval stays inside the metric's range.
    """
    if estimate is None:
        return "unknown"
    if estimate.interval is None:
        return f"{estimate.mean:.{digits}f} (n=1, no interval)"
    low, high = estimate.interval
    if metric:
        low, high = max(low, metric.low), min(high, metric.high)
    return f"{estimate.mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _steps(values: Iterable[int | None]) -> str:
    found = list(values)
    known = sorted(v for v in found if v is not None)
    if not known:
        return "never"
    span = f"{known[0]}" if known[0] == known[-1] else f"{known[0]} to {known[-1]}"
    return span if len(known) == len(found) else f"{span} ({len(known)} of {len(found)} seeds)"


def definitions(records: Sequence[Mapping[str, Any]]) -> str:
    """The landmarks as they were judged, and where and by what the runs were made; from the records alone."""
    said = [r["dynamics"]["definitions"] for r in records]
    lines = [f"- *{k.replace('_', ' ')}*: {'; or '.join(sorted({d[k] for d in said}))}" for k in said[0]]
    made = {k: sorted({str(r[k]) for r in records}) for k in ("commit", "threads", "device", "platform")}
    torch = sorted({str(r["versions"]["torch"]) for r in records})
    where = f"{', '.join(made['device'])}, {'/'.join(made['threads'])} thread a run, two runs at a time"
    lines.append("- the bars of domination are the games' own, as in the table")
    return "\n".join(
        [*lines, "", f"{len(records)} runs on {where}; torch {', '.join(torch)}; commit {', '.join(made['commit'])}."]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("--games", default=",".join(GAMES))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(argv)
    if given.verb == "table":
        print(table(load_records()))
        return 0
    return int(bool(run_grid(given.games.split(","), [int(s) for s in given.seeds.split(",")], given.workers)))


if __name__ == "__main__":
    sys.exit(main())
