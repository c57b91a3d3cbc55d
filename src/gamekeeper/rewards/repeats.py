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
from typing import Any

from gamekeeper.extras import need

RUN = 12
REPEATS = 0.9
"""A reply that repeats more of the article than this is a copy of it."""
MAX_CHARS = 200_000
_BASE = 0x9E3779B97F4A7C15  # odd and large: products wrap around 64 bits and mix them


class _Folded(dict[int, str]):
    """Code point -> what is left of it, filled as characters come."""

    def __missing__(self, point: int) -> str:
        form = unicodedata.normalize("NFKC", chr(point)).casefold()
        made = self[point] = "".join(c for c in form if c.isalnum())
        return made


_FOLDED = _Folded()


def _numpy() -> Any:
    return need("games", "Looking for repeats", "numpy")


def folded(text: str) -> str:
    """The text's letters and digits in one line."""
    return text[:MAX_CHARS].translate(_FOLDED)


def repeated(reply: str, article: str) -> float:
    """The share of the article that the reply repeats; 0 for an article without letters."""
    np = _numpy()

    wanted, said = _runs_of(article), folded(reply)
    if not len(wanted) or not said:
        return 0.0
    return float(np.isin(wanted, _runs(said)).mean())


@lru_cache(maxsize=128)
def _runs_of(article: str) -> Any:
    np = _numpy()

    return np.unique(_runs(folded(article)))


def _runs(line: str) -> Any:
    """Each run of the line as a number of 64 bits (a polynomial in its characters); of a shorter line, the whole."""
    np = _numpy()

    codes = np.frombuffer(line.encode("utf-32-le"), np.uint32).astype(np.uint64)
    size = min(RUN, len(codes))
    if not size:
        return codes
    found = np.full(len(codes) - size + 1, size, np.uint64)
    for start in range(size):
        found = found * np.uint64(_BASE) + codes[start : start + len(found)]
    return found
