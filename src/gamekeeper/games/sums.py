"""Small sums: the questions that `arithmetic` and `selfgrade` ask at pocket level.

Five families of graded difficulty, drawn evenly unless a game says otherwise, so that a small model gets about half of
them right and has something to be honest about. Test questions are held out by the question itself, not only by the
seed: a question belongs to one split for good, and the pretraining corpus draws from the train split alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamekeeper.games.base import chat
from gamekeeper.seeds import derive
from gamekeeper.types import Message, Prompt

SYSTEM = r"Give the final answer in \boxed{}."
MOST_TURNS = 8
_TEST_SHARE = 4  # one question in four is held out for the test split


@dataclass(frozen=True, slots=True)
class Sum:
    """A question, its family and its right answer, never negative."""

    family: str
    question: str
    answer: int


def _two_digits(draw: random.Random) -> int:
    return draw.randint(10, 99)


def _digit(draw: random.Random) -> int:
    return draw.randint(2, 9)


def _add(draw: random.Random) -> tuple[str, int]:
    a, b = _two_digits(draw), _two_digits(draw)
    return f"{a} + {b}", a + b


def _subtract(draw: random.Random) -> tuple[str, int]:
    b, a = sorted((_two_digits(draw), _two_digits(draw)))
    return f"{a} - {b}", a - b


def _times(draw: random.Random) -> tuple[str, int]:
    a, b = _digit(draw), _two_digits(draw)
    return f"{a} * {b}", a * b


def _add_subtract(draw: random.Random) -> tuple[str, int]:
    a, b = _two_digits(draw), _two_digits(draw)
    c = draw.randint(10, min(99, a + b))
    return f"{a} + {b} - {c}", a + b - c


def _remainder(draw: random.Random) -> tuple[str, int]:
    a, m = draw.randint(100, 999), draw.choice((2, 5, 10))
    return f"{a} mod {m}", a % m


FAMILIES: Mapping[str, Callable[[random.Random], tuple[str, int]]] = {
    "add": _add,
    "subtract": _subtract,
    "times": _times,
    "add-subtract": _add_subtract,
    "remainder": _remainder,
}


def split_of(question: str) -> str:
    """The one split that a question belongs to."""
    return "test" if derive("sums", question) % _TEST_SHARE == 0 else "train"


def draw_sum(draw: random.Random, split: str, families: Sequence[str] = tuple(FAMILIES)) -> Sum:
    """A sum of the split: one of the families, then operands until the question belongs there.

    A family that is named several times is drawn as many times as often.
    """
    family = draw.choice(families)
    while True:
        terms, answer = FAMILIES[family](draw)
        question = f"what is {terms}?"
        if split_of(question) == split:
            return Sum(family, question, answer)


def asked(question: str) -> Prompt:
    return chat(SYSTEM, question)


def lesson(draw: random.Random, system: str, turn: Callable[[random.Random], tuple[str, str]]) -> list[Message]:
    """A corpus conversation of one to `MOST_TURNS` turns (what the user says, what is replied) under one instruction.

    A question costs a fifth of the text that it would cost in a conversation of its own.
    """
    told = [turn(draw) for _ in range(draw.randint(1, MOST_TURNS))]
    return [Message("system", system), *(m for u, a in told for m in (Message("user", u), Message("assistant", a)))]


def answered(draw: random.Random) -> tuple[str, str]:
    """One turn of a lesson in sums: a question of the train split and its right answer."""
    made = draw_sum(draw, "train")
    return made.question, boxed(made.answer)


def fault(fields: Mapping[str, Any], **kinds: Any) -> str | None:
    """Why an item that came from elsewhere cannot be scored: a field that is absent or not of its kind."""
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind) or isinstance(fields.get(name), bool):
            return f"the item's field {name!r} is {fields.get(name)!r:.40}; use an item as `gamekeeper items` prints it"
    return None


def boxed(answer: object) -> str:
    return rf"\boxed{{{answer}}}"


def near_miss(draw: random.Random, answer: int) -> int:
    """A wrong answer that a slip would give: one digit changed, ten more or less, or one more or less."""
    slips = [_digit_changed(draw, answer), answer + 1, answer - 1]
    if answer >= 10:
        slips += [answer + 10, answer - 10]
    return draw.choice([s for s in slips if s >= 0])


def slip(draw: random.Random, answer: int) -> int:
    """A wrong answer: a near miss, or as often one that is far off."""
    if draw.random() < 0.5:
        return near_miss(draw, answer)
    far = draw.randint(0, 2 * answer + 20)
    return far if far != answer else near_miss(draw, answer)


def _digit_changed(draw: random.Random, answer: int) -> int:
    digits = list(str(answer))
    place = draw.randrange(len(digits))
    # A leading zero would shorten the number; a lone digit may become 0.
    allowed = "0123456789" if place or len(digits) == 1 else "123456789"
    digits[place] = draw.choice([d for d in allowed if d != digits[place]])
    return int("".join(digits))


_QUESTION = re.compile(r"what is (\d{1,3}) ([+*-]|mod) (\d{1,3})(?: - (\d{1,3}))?\?", re.ASCII)


def solve(question: str) -> int | None:
    """The answer of a question in this module's wording; None for any other text."""
    found = _QUESTION.fullmatch(question.strip())
    if not found:
        return None
    a, sign, b = int(found[1]), found[2], int(found[3])
    if sign == "mod":
        return a % b if b and not found[4] else None
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return value - int(found[4] or 0)
