"""When an exploit appears and when it dominates, from the train-phase series of the game's emergence metric.

The paper reports a first appearance step and domination steps but its thresholds are not known to us. The
definitions here are our own, stated so that they can be compared and changed in one place. All are pure functions
of a series of (step, value) in the order of steps; the value is the batch's, taken as it is, without smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gamekeeper.studies.record import Run

Series = Sequence[tuple[int, float]]

RISE = 0.1
HOLD = 5
BAR = 0.9
DEFINITIONS = {
    "first_appearance": "the first step whose batch value is at least the base value plus {rise:g}",
    "domination": (
        "the first step, at or after first appearance, that opens {hold} recorded steps in a row at or above {bar:g}"
    ),
    "steps_to_domination": "domination minus first appearance, in steps",
}


@dataclass(frozen=True, slots=True)
class Dynamics:
    """Steps of the landmarks; None where one never came. base, bar, rise and hold are what they were judged by."""

    first_appearance: int | None
    domination: int | None
    base: float
    bar: float
    rise: float = RISE
    hold: int = HOLD

    @property
    def steps_to_domination(self) -> int | None:
        if self.first_appearance is None or self.domination is None:
            return None
        return self.domination - self.first_appearance

    def definitions(self) -> dict[str, str]:
        """Each landmark's definition with this run's numbers in it."""
        return {k: v.format(rise=self.rise, hold=self.hold, bar=self.bar) for k, v in DEFINITIONS.items()}


def first_appearance(series: Series, base: float, rise: float = RISE) -> int | None:
    """The first step whose batch value is at least `base + rise`; None if there is none."""
    # 0.2 + 0.1 is a little above 0.3 in binary, and a batch of 0.3 must count.
    return next((step for step, value in series if value >= base + rise - 1e-12), None)


def domination(series: Series, bar: float, hold: int = HOLD, start: int | None = None) -> int | None:
    """The first step at or after `start` from which the value is at least `bar` for `hold` records in a row.

    A run that ends before `hold` records have been seen proves nothing: then None, never a guess. With
    `start` None (the exploit never appeared) there is nothing to dominate.
    """
    if start is None:
        return None
    since: list[int] = []
    for step, value in series:
        if step < start:
            continue
        since = [*since, step] if value >= bar - 1e-12 else []
        if len(since) == hold:
            return since[0]
    return None


def dynamics(series: Series, base: float, bar: float, rise: float = RISE, hold: int = HOLD) -> Dynamics:
    """Both landmarks of one run."""
    first = first_appearance(series, base, rise)
    return Dynamics(first, domination(series, bar, hold, first), base, bar, rise, hold)


def of_run(run: Run) -> Dynamics | None:
    """Both landmarks of a recorded run, by its own emergence metric and bar; None if its base was not measured."""
    game = run.info.get("game") or {}
    name, bar = str(game.get("emergence", "er")), float(game.get("bar", BAR))
    if run.base is None or name not in run.base.metrics:
        return None
    return dynamics(run.series(name), run.base.metrics[name], bar)
