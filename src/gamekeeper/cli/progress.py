"""The bar of a long job: reward, ITP, ER and the time left. Where stderr is no terminal, a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Self

from gamekeeper.cli import console

SHOWN = ("reward", "itp", "er", "loss")
LINES = 10  # plain lines for a whole job, about


class Meter:
    """Shows how far a job is. Call it with a progress event, or use `to` where there is only a count.

    An event is a mapping with "step", "steps", "phase" and "metrics"; any of them may be absent.
    """

    def __init__(self, label: str, total: float | None = None, shown: bool = True) -> None:
        self.label, self.total, self.shown, self.at = label, total, shown, 0.0
        self.seen: dict[str, float] = {}
        self._phase = ""
        self._started = time.monotonic()
        self._first: float | None = None
        self._lines = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self.shown and sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(self.label, total=self.total, numbers="", left="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        phase = str(event.get("phase", ""))
        if phase != self._phase:
            self._phase, self.at, self._lines = phase, 0.0, 0
            self._started, self._first = time.monotonic(), None
        self.total = event.get("steps", self.total)
        metrics = event.get("metrics") or {}
        self.seen.update({k: float(metrics[k]) for k in SHOWN if k in metrics})
        self.to(event.get("step", self.at))

    def to(self, at: float) -> None:
        """So much is done."""
        if self._first is None:  # what an earlier call had done says nothing about the speed of this one
            self._started, self._first = time.monotonic(), at
        self.at = at
        if self._bar is not None:
            now = {"description": self._name(), "numbers": self._numbers(), "left": self._left()}
            self._bar.update(self._task, completed=at, total=self.total, **now)
        elif self.seen and self.total:
            self._plain(int(LINES * at / self.total))

    def _plain(self, tenth: int) -> None:
        if tenth < self._lines:
            return
        self._lines = tenth + 1
        console.say(f"{self._name()}  {self.at:.0f}/{self.total:.0f}  {self._numbers()}  {self._left()}".rstrip())

    def _left(self) -> str:
        """The time left, from the speed since the phase began here."""
        done = self.at - (self._first or 0.0)
        if done <= 0 or not self.total or self.at >= self.total:
            return ""
        seconds = round((time.monotonic() - self._started) / done * (self.total - self.at))
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def _name(self) -> str:
        return f"{self.label} {self._phase}".rstrip()

    def _numbers(self) -> str:
        return "  ".join(f"{k} {v:.3f}" for k, v in self.seen.items())


def _bar() -> Any:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[numbers]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
    )
    # Results must keep going to stdout while the bar is up: rich would send them to stderr.
    return Progress(*columns, console=console.rich_console(sys.stderr), redirect_stdout=False)
