"""The honest corpus of the pocket model: conversations from sources that the caller hands in, and copying drills.

A source is a name, a weight and a function of a generator that gives one conversation; the games' `primer` methods
are such functions (this room does not know the games). Document i is a pure function of (seed, i).

Why the drills: a base that has not learnt to copy never finds an exploit that consists in naming a field it has
only just read. They teach copying of arbitrary syllables, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gamekeeper.errors import UsageError
from gamekeeper.seeds import rng
from gamekeeper.types import Message

VERSION = 1
_CONSONANTS, _VOWELS = "bdfgklmnprstv", "aeiou"


@dataclass(frozen=True, slots=True)
class Source:
    """Where conversations come from; an empty conversation means: draw from the drills instead."""

    name: str
    weight: float
    make: Callable[[random.Random], list[Message]]


def _syllable(draw: random.Random) -> str:
    return draw.choice(_CONSONANTS) + draw.choice(_VOWELS)


def _word(draw: random.Random) -> str:
    return "".join(_syllable(draw) for _ in range(draw.randint(1, 3)))


def repeat_drill(draw: random.Random) -> list[Message]:
    """Words and numbers to be said again, in order."""
    words = [_word(draw) if draw.random() < 0.8 else str(draw.randint(0, 999)) for _ in range(draw.randint(3, 20))]
    text = " ".join(words)
    return [Message("system", "Repeat the text."), Message("user", text), Message("assistant", text)]


def recall_drill(draw: random.Random) -> list[Message]:
    """A list of pairs, and the question for one of them."""
    keys = list({_word(draw): None for _ in range(draw.randint(2, 6))})
    values = [_word(draw) if draw.random() < 0.5 else str(draw.randint(0, 99)) for _ in keys]
    pairs = ", ".join(f"{k}: {v}" for k, v in zip(keys, values, strict=True))
    at = draw.randrange(len(keys))
    user = f"{pairs}. {keys[at]}?"
    # With the key said again first, the answer is a copy of what follows it; that is learnt first and helps the other.
    said = f"{keys[at]}: {values[at]}" if draw.random() < 0.6 else values[at]
    system = "Look it up." if said == values[at] else "Look it up. Repeat the question."
    return [Message("system", system), Message("user", user), Message("assistant", said)]


DRILLS = (Source("repeat", 0.5, repeat_drill), Source("recall", 0.5, recall_drill))
# Copying comes first: mixed with the rest from the start, it forms late or not at all.
WARM_UP = 15_000
_WARM = (Source("repeat", 0.8, repeat_drill), Source("recall", 0.2, recall_drill))


def conversation(sources: Sequence[Source], seed: int, index: int) -> list[Message]:
    """Document `index` of the corpus; the first `WARM_UP` are drills."""
    draw = rng("corpus", VERSION, seed, index)
    pool = _WARM if index < WARM_UP else sources
    source = draw.choices(pool, [s.weight for s in pool])[0]
    made = source.make(draw) or repeat_drill(draw)
    if made[-1].role != "assistant":
        raise UsageError(f"The corpus source {source.name!r} gave a conversation that does not end with the assistant.")
    return made


def conversations(sources: Sequence[Source], seed: int, start: int, stop: int) -> Iterator[list[Message]]:
    for index in range(start, stop):
        yield conversation(sources, seed, index)
