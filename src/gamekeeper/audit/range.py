"""The shooting range: attacks become calls, calls are paid, suspicions are confirmed on more examples.

Screening plays each attack on three examples. What gains there is played on all, and, if it uses the right answer,
with another value in its place. What was graded before, to reach the target, counts on every example. Cost is linear in
attacks and in examples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from gamekeeper.audit.attacks.base import Attack
from gamekeeper.audit.finding import Paid, Turns, turns_of
from gamekeeper.audit.judge import NOTABLE, Shot, gain
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.target import Call, Target

SCREENED = 3
_SLOW_WALL = 2.0
# As many attacks at a time as take a few seconds: between them it is asked how late it is.
_MOST_AT_ONCE, _AT_ONCE_S, _FIRST, _GROWTH = 400, 4.0, 4, 8
Progress = Callable[[int, int], None]


class Range:
    """Pays replies for one target and remembers what it paid, so that no reply is graded twice."""

    def __init__(self, target: Target, scenes: Sequence[Scene], seconds: float, patience: float = 0.0) -> None:
        """patience: how long the grader itself waits for a reply that hangs, which it may then pay."""
        self.target, self.scenes = target, list(scenes)
        self.until = time.monotonic() + seconds
        self.memory: dict[tuple[int, Turns], Paid] = {}
        self.left_out = 0
        self.slow_wall = max(_SLOW_WALL, patience + 2.0)

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() > self.until

    def pay(self, calls: Sequence[Call], alone: bool = False, wall_s: float | None = None) -> list[Paid]:
        """What each call earns, from memory where it is known."""
        fresh = [c for c in dict.fromkeys(calls) if c not in self.memory]
        if fresh:
            self.memory.update(zip(fresh, self.target.grade(fresh, alone=alone, wall_s=wall_s), strict=True))
        return [self.memory[c] for c in calls]

    def shoot(self, attacks: Sequence[Attack], progress: Progress | None = None) -> list[Shot]:
        """Screen all attacks, then confirm what gained."""
        screened = self._lowered(self._screen(attacks, _spread(self.scenes, SCREENED), progress))
        suspects = {s.attack.id for s in screened if s.gain >= NOTABLE}
        chosen = [a for a in attacks if a.id in suspects and not a.slow]
        seen = {s.scene.index for s in screened}
        rest = [s for s in self.scenes if s.index not in seen]
        confirmed = self._screen(self._some(chosen), rest, None) if rest else []
        return self._controlled([*screened, *confirmed, *self._remembered(attacks, suspects, rest)])

    def _remembered(self, attacks: Sequence[Attack], suspects: set[str], scenes: Sequence[Scene]) -> list[Shot]:
        """The dullest attacks on the examples that were not screened, as far as they were paid for before.

        What is paid on one example of many, an empty reply say, may be on none of the few that are screened.
        """
        dull = [a for a in attacks if a.baseline and a.id not in suspects]
        aimed = [(a, s, t) for a in dull for s in scenes if (t := made(a, s)) is not None]
        return [Shot(a, s, t, self.memory[s.index, t]) for a, s, t in aimed if (s.index, t) in self.memory]

    def _lowered(self, shots: Sequence[Shot]) -> list[Shot]:
        """The shots with the floor of each scene at the least that any of its replies was paid.

        The three bad replies that reach tries may all be short, where brevity is paid, or all be words.
        """
        if self.target.truths:
            return list(shots)
        least = {s.index: s.floor for s in self.scenes}
        for shot in shots:
            if shot.paid.reward is not None:
                least[shot.scene.index] = min(least[shot.scene.index], max(0.0, shot.paid.reward))
        common = max((least[i] for i in {s.scene.index for s in shots}), default=math.inf)
        self.scenes = [replace(s, floor=min(s.floor, least[s.index], common)) for s in self.scenes]
        known = {s.index: s for s in self.scenes}
        return [replace(shot, scene=known[shot.scene.index]) for shot in shots]

    def _some(self, attacks: Sequence[Attack]) -> list[Attack]:
        """At most a few variants of each cause are worth confirming."""
        counts: dict[str, int] = {}
        kept = []
        for attack in attacks:
            counts[attack.cause] = counts.get(attack.cause, 0) + 1
            if counts[attack.cause] <= 12:
                kept.append(attack)
        return kept

    def _screen(self, attacks: Sequence[Attack], scenes: Sequence[Scene], progress: Progress | None) -> list[Shot]:
        shots: list[Shot] = []
        each, start = self._seconds_a_call() * len(scenes), 0
        while start < len(attacks):
            if self.out_of_time:
                self.left_out += len(attacks) - start
                break
            part = attacks[start : start + _at_once(each)]
            began = time.monotonic()
            for alone, slow in ((False, False), (True, False), (True, True)):
                kind = [a for a in part if (a.alone, a.slow) == (alone, slow)]
                shots += self._shots(kind, scenes[:1] if slow else scenes, alone, self.slow_wall if slow else None)
            # What was cheap may not stay so: a process of its own for each reply can cost a hundred times as much.
            each = max(each / _GROWTH, (time.monotonic() - began) / len(part))
            start += len(part)
            if progress is not None:
                progress(start, len(attacks))
        return shots

    def _seconds_a_call(self) -> float:
        times = [p.seconds for p in self.memory.values() if not p.end]
        return sum(times) / len(times) if times else 0.0

    def _shots(self, attacks: Sequence[Attack], scenes: Sequence[Scene], alone: bool, wall: float | None) -> list[Shot]:
        aimed = [(a, s, t) for a in attacks for s in scenes if (t := made(a, s)) is not None]
        paid = self.pay([(s.index, t) for _, s, t in aimed], alone, wall)
        return [Shot(a, s, t, p) for (a, s, t), p in zip(aimed, paid, strict=True)]

    def _controlled(self, shots: Sequence[Shot]) -> list[Shot]:
        """Attacks that use the answer, once more with another value in its place; disguises, with what they hide."""
        out = []
        wanted = [s for s in shots if (s.attack.knows or s.attack.control) and s.gain >= NOTABLE]
        fakes = [(s, _control(s)) for s in wanted]
        calls = [(s.scene.index, t) for s, t in fakes if t is not None]
        paid = dict(zip(calls, self.pay(calls, alone=False), strict=True))
        known = {id(s): t for s, t in fakes}
        for shot in shots:
            turns = known.get(id(shot))
            control = paid.get((shot.scene.index, turns)) if turns is not None else None
            if control is not None and control.reward is not None:
                shot = replace(shot, control=gain(shot.scene, control.reward))
            out.append(shot)
        return out


def _at_once(each: float) -> int:
    """How many attacks to play before the next look at the clock; each: seconds that one takes."""
    return max(1, min(_MOST_AT_ONCE, int(_AT_ONCE_S / each))) if each else _FIRST


def made(attack: Attack, scene: Scene) -> Turns | None:
    """The attack's reply to an example, with the turns before the last one as an honest policy plays them."""
    reply = attack.make(scene)
    if reply is None:
        return None
    turns = turns_of(reply)
    return (*scene.good[: len(scene.good) - 1], *turns) if len(turns) == 1 and len(scene.good) > 1 else turns


def _control(shot: Shot) -> Turns | None:
    if shot.attack.control is not None:
        return made(replace(shot.attack, make=shot.attack.control), shot.scene)
    value = shot.scene.wrongs[-1]
    other = shot.scene.pretending(_shaped(shot.scene, value))
    turns = made(shot.attack, other)
    return turns if turns != shot.turns else None


def _shaped(scene: Scene, value: str) -> str:
    numeric = [w for w in scene.wrongs if w.lstrip("-").isdigit()]
    return numeric[-1] if scene.gold.lstrip("-").isdigit() and numeric else value


def _spread(scenes: Sequence[Scene], count: int) -> list[Scene]:
    """The first few scenes with different answers, filled up with others."""
    first: dict[str, Scene] = {}
    for scene in scenes:
        first.setdefault(scene.gold, scene)
    chosen = list(first.values())[:count]
    taken = {s.index for s in chosen}
    return [*chosen, *(s for s in scenes if s.index not in taken)][:count]
