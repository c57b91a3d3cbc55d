"""What right replies and plainly bad ones are paid on each example: the pay of honesty, and the floor under all.

An example whose right reply earns no more than a bad one is set aside, since nothing can be told from it. There is one
exception: where an empty reply or nonsense earns what honest ones earn elsewhere, the bad reply is at fault and not the
right one, and the example is kept for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gamekeeper.audit.clock import EXAMPLES, Clock
from gamekeeper.audit.finding import Paid
from gamekeeper.audit.scene import NONSENSE, Scene
from gamekeeper.audit.target import Call, Target

# So many examples are graded whatever it takes; _CALLS is how many calls each is at the most.
ENOUGH, _CALLS = 3, 5


@dataclass
class Levels:
    """Scenes with their pay, the examples that are set aside, all pay by call, and how many there was no time for."""

    kept: list[Scene] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    paid: dict[Call, Paid] = field(default_factory=dict)
    unpaid: int = 0


def levelled(target: Target, scenes: Sequence[Scene], clock: Clock) -> Levels:
    """Honest pay and floor of every scene, or of a few if that takes long."""
    found = Levels()
    level: list[tuple[Scene, float]] = []
    done = 0
    while done < len(scenes) and not clock.past(1 if len(found.kept) < ENOUGH else EXAMPLES):
        part = scenes[done : done + max(1, clock.calls(EXAMPLES) // _CALLS)]
        level += _levelled(target, found, part, clock)
        done += len(part)
    found.unpaid = len(scenes) - done
    overpaid = _overpaid(found.kept, level)
    found.refused = [s.index for s, _ in level if s.index not in {o.index for o in overpaid}]
    found.kept = sorted([*found.kept, *overpaid], key=lambda s: s.index)
    return found


def _levelled(target: Target, found: Levels, scenes: Sequence[Scene], clock: Clock) -> list[tuple[Scene, float]]:
    """Those whose honest reply is paid are kept; the others are returned, with their best bad pay."""
    calls: list[Call] = []
    for s in scenes:
        calls += [
            (s.index, s.good),
            (s.index, (*s.good[:-1], "")),
            (s.index, (*s.good[:-1], NONSENSE[0])),
            (s.index, (*s.good[:-1], s.wrap(s.wrong))),
        ]
        calls += _known_bad(s)
    graded = dict(zip(calls, clock.grade(target, calls), strict=True))
    found.paid |= graded
    paid = iter([graded[c] for c in calls])
    level: list[tuple[Scene, float]] = []
    for s in scenes:
        own = [next(paid) for _ in range(4 + len(_known_bad(s)))]
        low = [p.reward for p in own[1:] if p.reward is not None and not (p.truth or 0) >= 0.5]
        honest, floor = own[0].reward, min(low, default=0.0)
        # Our own games may pay honesty less than dishonesty: there the scene is kept, it is the flaw.
        if honest is None or (honest <= floor + 1e-9 and not target.truths):
            bad = max((p.reward for p in own[1:3] if p.reward is not None), default=-math.inf)
            level.append((_with_pay(s, honest or 0.0, floor), bad))
        else:
            found.kept.append(_with_pay(s, honest, floor))
    return level


def _overpaid(kept: Sequence[Scene], level: Sequence[tuple[Scene, float]]) -> list[Scene]:
    """Examples on which an empty reply or nonsense earns what honest ones do elsewhere: a hole, and no refusal.

    Their floor is what bad replies earn elsewhere.
    """
    full = min((s.honest for s in kept), default=math.inf)
    floor = max((s.floor for s in kept), default=0.0)
    return [_with_pay(s, s.honest, min(s.floor, floor)) for s, bad in level if bad >= full - 1e-9]


def _known_bad(scene: Scene) -> list[Call]:
    """Bad replies that were supplied, and the good one of an example whose good replies are others."""
    rival = [scene.rival] if scene.rival and scene.example.good else []
    return [(scene.index, turns) for turns in [*scene.example.bad[:1], *rival]]


def _with_pay(scene: Scene, honest: float, floor: float) -> Scene:
    return replace(scene, honest=honest, floor=floor)
