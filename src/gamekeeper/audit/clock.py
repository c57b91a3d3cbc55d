"""When an audit must end, and how many calls fit between two looks at the clock.

Calls are graded in batches, because a batch costs one process. The clock can be looked at between batches only, so
that their size is what an audit may be late by: as many calls as take a few seconds, by what calls have cost so far.
The first call of a process may load what the others use; it says nothing of what the next ones cost, so that there are
always two.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from gamekeeper.audit.finding import Paid
from gamekeeper.audit.target import Call, Target

# What may be over of the time when a shape of reply is settled on, examples are paid, attacks end. The rest is faults'.
SHAPES, EXAMPLES, ATTACKS = 1 / 8, 1 / 4, 7 / 8
_AT_ONCE_S, _MOST, _FIRST, _GROWTH = 4.0, 1200, 12, 8


class Clock:
    """The time that an audit has, from now on; all there is, by default."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds, self.started = seconds, time.monotonic()
        self.each, self._most = 0.0, _FIRST
        self._cost, self._count = 0.0, 0

    @property
    def spent(self) -> float:
        return time.monotonic() - self.started

    def left(self, share: float = 1.0) -> float:
        """Seconds until this share of the time is over; below 0 when it is."""
        return self.seconds * share - self.spent

    def past(self, share: float = 1.0) -> bool:
        return self.left(share) < 0

    def calls(self, share: float = 1.0) -> int:
        """How many calls to make before the next look at the clock: until the share is over, or the time if it is."""
        if self._count:  # what was cheap may not stay so, and what was dear may become cheap, but not at once
            self.each = max(self.each / _GROWTH, self._cost / self._count)
            self._cost, self._count = 0.0, 0
        left = self.left(1.0 if self.past(share) else share)
        fits = min(_AT_ONCE_S, max(0.0, left)) / self.each if self.each else math.inf
        return max(2, int(min(self._most, fits)))

    def grade(self, target: Target, calls: Sequence[Call], *, alone: bool = False) -> list[Paid]:
        """What the target pays, all at once, with the time noted that it took."""
        began = time.monotonic()
        paid = target.grade(calls, alone=alone)
        if paid:
            self._note(paid, (time.monotonic() - began) / len(paid), alone)
        return paid

    def _note(self, paid: Sequence[Paid], mean: float, alone: bool) -> None:
        costs = [p.seconds for p in paid]
        steady = (sum(costs) - max(costs)) / (len(costs) - 1) if len(costs) > 1 else mean
        self._cost += len(paid) * (mean if alone else min(steady, mean))
        self._count += len(paid)
        self._most = min(_MOST, max(self._most, len(paid) * _GROWTH))
