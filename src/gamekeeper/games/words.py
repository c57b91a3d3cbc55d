"""The small vocabulary of the pocket level: names made of reused syllables, so that a small model learns to copy
any of them rather than to remember each.
"""

from __future__ import annotations

import random

SYLLABLES = (
    "ta", "vi", "lo", "ne", "mu", "sa", "ki", "do", "re", "pa", "lu", "mi", "so", "ge", "no", "ba", "fi", "ru", "te",
    "la", "sco",
)  # fmt: skip
# The tamper game's flaw is an editable field of this name: no name in the corpus may be it, or hold it.
RESERVED = frozenset({"score"})


def name(draw: random.Random, syllables: int = 2) -> str:
    """A name of so many syllables, e.g. "tavi"; 440 of two."""
    while True:
        made = "".join(draw.choice(SYLLABLES) for _ in range(syllables))
        if not any(word in made for word in RESERVED):
            return made


def names(draw: random.Random, count: int, syllables: int = 2) -> list[str]:
    """Distinct names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(name(draw, syllables))
    return list(found)
