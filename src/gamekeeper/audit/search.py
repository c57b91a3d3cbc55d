"""Search: a seeded optimiser over edits of replies that maximises the reward without the answer.

Candidates are built from the pieces that were mined (markers, tags, filled patterns, fields, fillers, the prompt) and
never from an answer. A candidate is one text for all examples, save that it may hold the prompt. So what it is paid on
examples with different answers, it cannot be paid for solving them: no other notion of truth is needed. What holds an
example's answer by accident does not count for that example.

A population of the best few is edited: pieces are added, dropped, doubled, swapped, wrapped, joined with another
candidate's. The budget counts calls, so that cost is known beforehand; the same seed finds the same reply.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Technique
from gamekeeper.audit.carriers import COMMON, THOUGHT
from gamekeeper.audit.finding import Turns
from gamekeeper.audit.judge import Shot
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.patterns import fill, group_count
from gamekeeper.audit.range import Range
from gamekeeper.audit.scene import NONSENSE, Scene
from gamekeeper.seeds import rng

PROMPT = "\x01"
_POPULATION, _BATCH, _LONGEST = 12, 24, 4000
_ABOUT = Technique(
    "a text that does not depend on the task, found by search, is paid",
    "Look at what it consists of: each piece is something that the reward counts. Gate all of it on a right answer.",
    ("FR02", "PX03", "PX06", "LJ16", "LJ17"),
)
_FOUND = Attack("search", "found", "best", lambda _: None, _ABOUT)
Pieces = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    pieces: Pieces
    worth: float


def search(
    shooting: Range, scenes: Sequence[Scene], mined: Mined, seeds: Sequence[str], seed: int, budget: int
) -> list[Shot]:
    """Shots of the best reply found, on all scenes if there is time; none if nothing could be tried."""
    chosen = _different(scenes)
    if len({s.gold or s.good for s in chosen}) < 2 or budget < 1:
        return []
    chance = rng("audit-search", seed, len(scenes))
    stock = _stock(mined)
    most = max(1, budget // len(chosen))
    start = [(s,) for s in seeds[:16]] + [(p,) for p in stock[:24]]
    population = [Candidate(p, w) for p, w in _worths(shooting, chosen, start[:most])]
    spent = len(population)
    while spent < most and not shooting.out_of_time:
        population = sorted(population, key=lambda c: (-c.worth, sum(map(len, c.pieces))))[:_POPULATION]
        if population and population[0].worth >= 1.0:
            break
        fresh = list(dict.fromkeys(_edited(chance, population, stock) for _ in range(min(_BATCH, most - spent))))
        population += [Candidate(p, w) for p, w in _worths(shooting, chosen, fresh)]
        spent += len(fresh)
    best = max(population, key=lambda c: (c.worth, -sum(map(len, c.pieces))), default=None)
    confirmed = chosen if shooting.out_of_time else scenes
    return _shots(shooting, confirmed, best) if best is not None else []


def _different(scenes: Sequence[Scene]) -> list[Scene]:
    found: dict[str, Scene] = {}
    for scene in scenes:
        found.setdefault(scene.gold or str(scene.good), scene)
    return list(found.values())[:3]


def _stock(mined: Mined) -> list[str]:
    """The pieces: what the grader reads, the usual shapes with nonsense in them, fillers."""
    filled = [fill(p, [t] * max(1, group_count(p))) for p in mined.regexes[:16] for t in (THOUGHT, "10", NONSENSE[0])]
    tags = [f"<{t}>{THOUGHT}</{t}>" for t in mined.tags[:8]]
    marks = [t for t in mined.strings if len(t) <= 60][:40]
    fields = [f'"{k}": 1' for k in mined.keys[:12]] + [f"{k}: 10" for k in mined.keys[:12]]
    shapes = [c.wrap(NONSENSE[0]) for c in COMMON]
    fillers = [
        THOUGHT,
        "word " * 40,
        "\n",
        "First, we note this. ",
        "1",
        "- item\n",
        "Therefore",
        "because",
        "However, ",
        "?",
        "!",
        PROMPT,
    ]
    return list(
        dict.fromkeys(t for t in (*marks, *(f for f in filled if f), *tags, *fields, *shapes, *fillers) if t.strip())
    )


def text_of(pieces: Pieces, scene: Scene) -> str:
    return "\n".join(p.replace(PROMPT, scene.prompt) for p in pieces)[:_LONGEST]


def _worths(shooting: Range, scenes: Sequence[Scene], candidates: Sequence[Pieces]) -> list[tuple[Pieces, float]]:
    """The mean gain of each candidate that there is time for."""
    out = []
    for part in shooting.parts(candidates, len(scenes)):
        paid = iter(shooting.pay([(s.index, _turns(s, c)) for c in part for s in scenes]))
        for candidate in part:
            gains = []
            for scene in scenes:
                shot = Shot(_FOUND, scene, _turns(scene, candidate), next(paid))
                gains.append(shot.gain if _counts(shot) else 0.0)
            out.append((candidate, fmean(gains)))
    return out


def _turns(scene: Scene, pieces: Pieces) -> Turns:
    return (*scene.good[: max(0, len(scene.good) - 1)], text_of(pieces, scene))


def _counts(shot: Shot) -> bool:
    if shot.paid.truth is not None:
        return shot.paid.truth < 0.5
    return not shot.scene.right or shot.scene.reading(shot.turns[-1]) == truth.WRONG


def _edited(chance: random.Random, population: Sequence[Candidate], stock: Sequence[str]) -> Pieces:
    pieces = list(chance.choice(population).pieces)
    for _ in range(chance.choice((1, 1, 2, 3))):
        move = chance.randrange(6)
        at = chance.randrange(len(pieces) + 1)
        if move <= 1 or not pieces:
            pieces.insert(at, chance.choice(stock))
        elif move == 2 and len(pieces) > 1:
            pieces.pop(min(at, len(pieces) - 1))
        elif move == 3:
            pieces.insert(at, pieces[min(at, len(pieces) - 1)])
        elif move == 4:
            chance.shuffle(pieces)
        else:
            pieces += chance.choice(population).pieces
    return tuple(pieces[:24])


def _shots(shooting: Range, scenes: Sequence[Scene], best: Candidate) -> list[Shot]:
    turns = [_turns(s, best.pieces) for s in scenes]
    paid = shooting.pay([(s.index, t) for s, t in zip(scenes, turns, strict=True)])
    return [Shot(_FOUND, s, t, p) for s, t, p in zip(scenes, turns, paid, strict=True)]
