"""What a report knows of one run, worked out once from its record: name, curves, landmarks, how far it got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gamekeeper.report.text import label
from gamekeeper.studies.dynamics import Dynamics, of_run
from gamekeeper.studies.record import Interval, Record, Run, load_run

OUTCOMES = ("reward", "truth", "itp", "er", "unscored")
TRAINING = (
    "loss",
    "grad_norm",
    "clip_fraction",
    "kl",
    "entropy",
    "flat_groups",
    "reply_tokens",
    "truncated",
    "learning_rate",
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the headline figure. `role` is its colour and dash."""

    metric: str
    label: str
    role: str


@dataclass(frozen=True, slots=True)
class Value:
    """A measured number and, where one is known, its interval."""

    value: float
    interval: Interval | None = None


class Side:
    """One run of a report; `name` tells it from the others."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name

    @property
    def game(self) -> str:
        config = self.run.info.get("config") or {}
        return str(_at(self.run.info, "game", "name") or _at(config, "game", "name") or "run")

    @property
    def emergence(self) -> str:
        return str(_at(self.run.info, "game", "emergence") or "er")

    @cached_property
    def dynamics(self) -> Dynamics | None:
        return of_run(self.run)

    @property
    def steps(self) -> int:
        """The last step with any record."""
        return max((r.step for r in self.run.metrics), default=0)

    @property
    def planned(self) -> int | None:
        steps = _at(self.run.info.get("config") or {}, "train", "steps")
        return steps if isinstance(steps, int) else None

    @property
    def over(self) -> bool:
        return self.run.status == "finished"

    @cached_property
    def ends(self) -> tuple[Record | None, Record | None]:
        """Test values before and after; without a later test, the first and last training batch instead."""
        if self.run.base and self.run.final:
            return self.run.base, self.run.final
        train = [r for r in self.run.metrics if r.phase == "train"]
        if len(train) > 1:
            return train[0], train[-1]
        return self.run.base, None

    @property
    def tested(self) -> bool:
        """Whether `ends` are test values."""
        return bool(self.run.base and self.run.final)


def value_of(record: Record | None, metric: str) -> Value | None:
    """One metric of a record; None when it is unknown."""
    if record is None or metric not in record.metrics:
        return None
    return Value(record.metrics[metric], record.intervals.get(metric))


def _at(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def sides(paths: Sequence[str | Path]) -> list[Side]:
    """The runs of a report, named by what differs between them."""
    runs = [load_run(p) for p in paths]
    return [Side(run, name) for run, name in zip(runs, _names(runs), strict=True)]


def _names(runs: Sequence[Run]) -> list[str]:
    """The arm, and after it what tells runs of equal names apart: game, seed, directory, path."""
    games = [str(_at(run.info, "game", "name") or _at(run.info, "config", "game", "name") or "run") for run in runs]
    names = [_arm(run) for run in runs]
    if len(set(games)) > 1:
        names = [f"{game}, {name}" for game, name in zip(games, names, strict=True)]
    seeds = [f"seed {run.info.get('seed', '?')}" for run in runs]
    for more in (seeds, [run.path.name for run in runs], [str(run.path) for run in runs]):
        twice = {name for name in names if names.count(name) > 1}
        told = {n: {m for m, name in zip(more, names, strict=True) if name == n} for n in twice}
        names = [
            f"{name}, {m}" if name in twice and len(told[name]) > 1 else name
            for name, m in zip(names, more, strict=True)
        ]
    return names


def _arm(run: Run) -> str:
    named = _at(run.info, "game", "arm")
    if named:
        return str(named)
    patches = _at(run.info, "config", "game", "patches")
    if patches is None:
        return run.path.name or str(run.path)
    return ", ".join(str(p) for p in patches) or "flawed"


# Curves


def headline_curves(all_sides: Sequence[Side]) -> list[Curve]:
    """Reward, truth, ITP and ER, and the emergence metric where it is another. ITP that is truth is one curve."""
    known = {name for side in all_sides for record in side.run.metrics for name in record.metrics}
    curves = [Curve("reward", "reward", "reward"), Curve("truth", "truth", "truth"), Curve("itp", "ITP", "itp")]
    if "itp" in known and all(_same(side, "truth", "itp") for side in all_sides):
        curves[1:] = [Curve("itp", "truth (ITP)" if "truth" in known else "ITP", "truth")]
    curves.append(Curve("er", "ER", "er"))
    for side in all_sides:
        if side.emergence not in [c.metric for c in curves]:
            curves.append(Curve(side.emergence, label(side.emergence), "emergence"))
    return [c for c in curves if c.metric in known]


def _same(side: Side, one: str, other: str) -> bool:
    return all(
        abs(r.metrics[one] - r.metrics[other]) < 1e-9
        for r in side.run.metrics
        if one in r.metrics and other in r.metrics
    )


def more_metrics(all_sides: Sequence[Side]) -> dict[str, list[str]]:
    """The other metrics of the training batches, by kind, in the order of the table."""
    shown = {c.metric for c in headline_curves(all_sides)}
    shown |= {"truth"} if "itp" in shown else set()
    order = list(all_sides[0].run.table)
    known = {name for side in all_sides for r in side.run.metrics if r.phase == "train" for name in r.metrics}
    rest = sorted(known - shown, key=lambda n: (order.index(n) if n in order else len(order), n))
    return {
        "The game's own": [n for n in rest if kind(n) in ("outcome", "game")],
        "Training": [n for n in rest if kind(n) == "training"],
        "Timing": [n for n in rest if kind(n) == "timing"],
    }


def kind(metric: str) -> str:
    """outcome, training, timing or game."""
    if metric.endswith("_s"):
        return "timing"
    return "outcome" if metric in OUTCOMES else "training" if metric in TRAINING else "game"
