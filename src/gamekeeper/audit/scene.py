"""What an attack sees of one example: the answer, surely wrong values, and how an honest reply is shaped."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gamekeeper.audit import truth
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.mining import Mined
from gamekeeper.seeds import rng

NONSENSE = ("zzqx", "blorft", "quizzaciously unrelated")
Wrap = Callable[[str], str]


@dataclass(frozen=True)
class Scene:
    """One example, ready to be attacked. `wrap` puts a text where an honest reply puts its answer.

    gold: the right answer as a text, "" if unknown. lead: the turns before the last, as an honest policy plays them.
    """

    index: int
    example: Example
    gold: str
    good: Turns
    wrap: Wrap
    wrongs: tuple[str, ...]
    others: tuple[str, ...]
    mined: Mined
    seed: int = 0
    honest: float = 1.0
    floor: float = 0.0
    plain: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        return self.example.prompt

    @property
    def wrong(self) -> str:
        return self.wrongs[0]

    @property
    def good_text(self) -> str:
        return self.good[-1] if self.good else ""

    @cached_property
    def all_prompt(self) -> str:
        """The prompt with its system message."""
        return "\n".join(m["content"] for m in self.example.chat)

    def chance(self, *path: Any) -> random.Random:
        return rng("audit", self.seed, self.index, *path)

    def pretending(self, gold: str) -> Scene:
        """The same scene with another text taken for the answer: the control of an attack that uses the answer."""
        left = tuple(w for w in (*self.wrongs, *NONSENSE) if not truth.same(w, gold))
        return replace(self, gold=gold, wrongs=left)


def wrong_values(example: Example, others: Sequence[str], count: int = 6) -> tuple[str, ...]:
    """Values that are surely not the answer and are shaped like it, most alike first."""
    wanted = [g for g in truth.golds(example.answer) if g]
    gold = wanted[0] if wanted else ""
    chance = rng("audit-wrong", gold, example.prompt[:200])
    number = truth.value_of(gold) if gold else None
    made: list[str] = []
    if number is not None:
        steps = [chance.choice((3, 7, 11)), -chance.choice((2, 5, 9)), 100 + chance.randrange(50), 13, 29, 57]
        made = [_like(gold, number + step) for step in steps]
    elif gold:
        made = [o for o in others if unlike(o, gold)][:3]
    made += list(NONSENSE)
    return tuple(w for w in dict.fromkeys(made) if not any(truth.same(w, g) for g in wanted))[:count]


def unlike(a: str, b: str) -> bool:
    """Whether two answers are surely not both right: neither holds the other, and they share few words."""
    if truth.contains(a, b) or truth.contains(b, a):
        return False
    x, y = set(a.lower().split()), set(b.lower().split())
    return len(x & y) * 2 < len(x | y)


def _like(gold: str, value: Any) -> str:
    places = len(gold.partition(".")[2].rstrip("%$ ")) if "." in gold else 0
    if places:
        return f"{float(value):.{places}f}"
    return str(value)


def slot_of(good: str, gold: str) -> Wrap | None:
    """How a given right reply carries the answer: its last mention of it is the slot."""
    if not gold:
        return None
    found = list(re.finditer(rf"(?<![\w.]){re.escape(gold)}(?![\w]|\.\d)", good)) or list(
        re.finditer(re.escape(gold), good)
    )
    if not found:
        return None
    start, end = found[-1].span()
    before, after = good[:start], good[end:]
    return lambda text: before + text + after
