"""How much of an article a reply repeats, whatever its letter case, spacing and marks.

The paper's copy score compares words as they stand: BLEU knows "Storm" and "STORM" apart, and all three of its parts
take "s t o r m" for five other words. Here both texts become one line of letters and digits, folded, and what counts is
the share of the article's runs of `RUN` characters that the reply holds somewhere. More text around a copy changes
nothing either. Characters are folded one by one (NFKC, then case): full-width letters are letters, and what no one can
see (zero-width marks) is not there.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

RUN = 12
REPEATS = 0.9
"""A reply that repeats more of the article than this is a copy of it."""
MAX_CHARS = 200_000


class _Folded(dict[int, str]):
    """Code point -> what is left of it, filled as characters come."""

    def __missing__(self, point: int) -> str:
        form = unicodedata.normalize("NFKC", chr(point)).casefold()
        made = self[point] = "".join(c for c in form if c.isalnum())
        return made


_FOLDED = _Folded()


def folded(text: str) -> str:
    """The text's letters and digits in one line."""
    return text[:MAX_CHARS].translate(_FOLDED)


def repeated(reply: str, article: str) -> float:
    """The share of the article that the reply repeats; 0 for an article without letters."""
    runs, said = _runs_of(article), folded(reply)
    if not runs:
        return 0.0
    if len(said) < RUN:
        return float(said in runs)
    held = runs.intersection(said[n : n + RUN] for n in range(len(said) - RUN + 1))
    return len(held) / len(runs)


@lru_cache(maxsize=128)
def _runs_of(article: str) -> frozenset[str]:
    line = folded(article)
    return frozenset(line[n : n + RUN] for n in range(max(len(line) - RUN + 1, 1))) - {""}
