"""math-verify, in the two ways in which its documentation calls it; without its timeouts, which raise in threads."""

from __future__ import annotations

from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

PACKAGES = ("math-verify",)
SUMS = [
    ("What is 17 + 48?", "65", "66"),
    ("What is 1/2 + 1/3?", r"\frac{5}{6}", r"\frac{2}{5}"),
    ("Solve 2x = 8.", "4", "8"),
]


def default(completion: str, gold: str) -> float:
    """parse() with its default extraction on both sides."""
    return float(
        verify(parse(gold, parsing_timeout=None), parse(completion, parsing_timeout=None), timeout_seconds=None)
    )


def expressions(completion: str, gold: str) -> float:
    """LaTeX and plain expressions, as in its README."""
    kinds = [LatexExtractionConfig(), ExprExtractionConfig()]
    given = parse(completion, extraction_config=kinds, parsing_timeout=None)
    return float(verify(parse(gold, parsing_timeout=None), given, timeout_seconds=None))


def rows(name: str) -> list[dict[str, Any]]:
    form = "The result is ${}$."
    return [
        {"prompt": q, "gold": f"${a}$", "answer": form.format(a), "wrong_reply": form.format(w)} for q, a, w in SUMS
    ]
