"""Small examples for the maths graders that libraries ship, so that they can be audited without a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gamekeeper.audit.finding import Example
from gamekeeper.seeds import rng


def sums(n: int, seed: int, columns: Callable[[str], dict[str, Any]]) -> list[Example]:
    """Additions, products and differences of small numbers; `columns` gives what the grader asks for beside them."""
    chance, made = rng("audit-sums", seed), []
    for k in range(n):
        a, b = chance.randrange(11, 99), chance.randrange(11, 99)
        sign, value = (("+", a + b), ("*", a * b), ("-", a - b))[k % 3]
        gold = str(value)
        made.append(Example(f"What is {a} {sign} {b}?", gold, columns(gold)))
    return made
