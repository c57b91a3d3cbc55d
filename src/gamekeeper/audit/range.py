"""The shooting range: attacks become calls, calls are paid, suspicions are confirmed on more examples.

Screening plays each attack on three examples. What gains there is played on all, and, if it uses the right answer,
with another value in its place. What was graded before, to reach the target, counts on every example. Cost is linear in
attacks and in examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from gamekeeper.audit.attacks.base import Attack
from gamekeeper.audit.clock import ATTACKS, Clock
from gamekeeper.audit.finding import Paid, Turns, turns_of
from gamekeeper.audit.judge import NOTABLE, Shot, gain
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.target import Call, Target

SCREENED = 3
_SLOW_WALL, _FAULTS = 2.0, 100
Progress = Callable[[int, int], None]
T = TypeVar("T")


class Range:
    """Pays replies for one target and remembers what it paid, so that no reply is graded twice."""

    def __init__(self, target: Target, scenes: Sequence[Scene], clock: Clock, patience: float = 0.0) -> None:
        """patience: how long the grader itself waits for a reply that hangs, which it may then pay."""
        self.target, self.scenes, self.clock = target, list(scenes), clock
        self.memory: dict[tuple[int, Turns], Paid] = {}
        self.untried: list[Attack] = []
        self.unconfirmed = 0
        self.began = clock.spent
        self.slow_wall = max(_SLOW_WALL, patience + 2.0)

    @property
    def out_of_time(self) -> bool:
        """What the faults need is kept for them, of a game, which shows none, nothing."""
        faults = 0.0 if self.target.truths else min((1 - ATTACKS) * self.clock.seconds, _FAULTS * self.clock.each)
        return self.clock.left() < faults

    @property
    def left_out(self) -> int:
        """How many attacks were not played, or not on as many examples as they should have been."""
        return len(self.untried) + self.unconfirmed

    def parts(self, items: Sequence[T], calls: int) -> Iterator[Sequence[T]]:
        """The items in slices that take a few seconds, until there are no more or the time is over.

        calls: how many of them an item makes.
        """
        start = 0
        while start < len(items) and not self.out_of_time:
            part = items[start : start + max(1, self.clock.calls(ATTACKS) // calls)]
            yield part
            start += len(part)

    def pay(self, calls: Sequence[Call], alone: bool = False, wall_s: float | None = None) -> list[Paid]:
        """What each call earns, from memory where it is known."""
        fresh = [c for c in dict.fromkeys(calls) if c not in self.memory]
        if fresh and wall_s is not None:
            self.memory.update(zip(fresh, self.target.grade(fresh, alone=alone, wall_s=wall_s), strict=True))
        elif fresh:
            self.memory.update(zip(fresh, self.clock.grade(self.target, fresh, alone=alone), strict=True))
        return [self.memory[c] for c in calls]

    def shoot(self, attacks: Sequence[Attack], progress: Progress | None = None) -> list[Shot]:
        """Screen all attacks, then confirm what gained."""
        first, self.untried = self._screen(attacks, _spread(self.scenes, SCREENED), progress)
        screened = self._lowered(first)
        suspects = {s.attack.id for s in screened if s.gain >= NOTABLE}
        chosen = [a for a in attacks if a.id in suspects and not a.slow]
        seen = {s.scene.index for s in screened}
        rest = [s for s in self.scenes if s.index not in seen]
        confirmed, late = self._screen(self._some(chosen), rest, None) if rest else ([], [])
        self.unconfirmed = len(late)
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

    def _screen(
        self, attacks: Sequence[Attack], scenes: Sequence[Scene], progress: Progress | None
    ) -> tuple[list[Shot], list[Attack]]:
        """The shots, and the attacks that there was no time for."""
        shots: list[Shot] = []
        late: list[Attack] = []
        done = 0
        for part in self.parts(attacks, len(scenes)):
            for alone in (False, True):
                shots += self._shots([a for a in part if a.alone == alone and not a.slow], scenes, alone)
            for attack in part:
                if attack.slow and self.out_of_time:
                    late.append(attack)
                elif attack.slow:
                    shots += self._shots([attack], scenes[:1], True, self.slow_wall)
            done += len(part)
            if progress is not None:
                progress(done, len(attacks))
        return shots, [*late, *attacks[done:]]

    def _shots(
        self, attacks: Sequence[Attack], scenes: Sequence[Scene], alone: bool, wall: float | None = None
    ) -> list[Shot]:
        aimed = [(a, s, t) for a in attacks for s in scenes if (t := made(a, s)) is not None]
        paid = self.pay([(s.index, t) for _, s, t in aimed], alone, wall)
        shots = [Shot(a, s, t, p) for (a, s, t), p in zip(aimed, paid, strict=True)]
        self.pay([call for shot in shots if (call := _control(shot)) is not None])  # while there is time
        return shots

    def _controlled(self, shots: Sequence[Shot]) -> list[Shot]:
        """Attacks that use the answer, with what the same earned with another value in its place; disguises, with what
        they hide.

        Where there was no time for that, the attack proves nothing, and its shot is left out.
        """
        calls = [_control(shot) for shot in shots]
        for part in self.parts([c for c in calls if c is not None and c not in self.memory], 1):
            self.pay(part)
        out = []
        for shot, call in zip(shots, calls, strict=True):
            control = self.memory.get(call) if call is not None else None
            if control is not None and control.reward is not None:
                out.append(replace(shot, control=gain(shot.scene, control.reward)))
            elif call is None or control is not None:
                out.append(shot)
        return out


def made(attack: Attack, scene: Scene) -> Turns | None:
    """The attack's reply to an example, with the turns before the last one as an honest policy plays them."""
    reply = attack.make(scene)
    if reply is None:
        return None
    turns = turns_of(reply)
    return (*scene.good[: len(scene.good) - 1], *turns) if len(turns) == 1 and len(scene.good) > 1 else turns


def _control(shot: Shot) -> Call | None:
    """The call that must earn less, if the attack gained by the right answer or by a disguise and one can be made."""
    if shot.gain < NOTABLE:
        return None
    if shot.attack.control is not None:
        plain = made(replace(shot.attack, make=shot.attack.control), shot.scene)
        return None if plain is None else (shot.scene.index, plain)
    if not shot.attack.knows:
        return None
    value = shot.scene.wrongs[-1]
    other = shot.scene.pretending(_shaped(shot.scene, value))
    turns = made(shot.attack, other)
    return (shot.scene.index, turns) if turns is not None and turns != shot.turns else None


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
