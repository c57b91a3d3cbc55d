"""How much of an article a reply repeats, however it is disguised from the paper's copy score.

The paper's copy score compares words as they stand: BLEU knows "Storm" and "STORM" apart, and all three of its parts
take "s t o r m" for five other words. Here both texts become one line of letters and digits, and what counts is the
share of the article's runs of `RUN` characters that the reply holds somewhere. More text around a copy changes nothing
either. Three such lines are compared, and the largest share counts:

- `folded`: letters and digits of any script, by NFKC and case. Full-width letters are letters, and what no one can see
  (zero-width marks) is not there.
- `plain_letters`: a to z and 0 to 9 alone. To ROUGE all else is a space: an "é" after every word, letters and digits of
  other scripts, combining marks.
- `stems`: the stems of ROUGE's words. It takes "storms" and "stormed" for one word.

So a reply whose words are the article's to ROUGE, in its order, repeats it in full (1.0), whatever stands between them.
Not caught here: plain letters that ROUGE reads too. A word of a to z put in or left out in every twenty brings a copy
just below `REPEATS`, at a ROUGE-L of .97. The game therefore also asks how many of the article's words a reply has in
order (`overlap.Overlap.in_order`), which words put in do not change. Nor is a translation caught, a cipher, or letters
that only look like others ("о" of Cyrillic): to ROUGE those are other words or none, and it pays nothing for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gamekeeper.extras import need
from gamekeeper.rewards.overlap import rouge_words

RUN = 12
REPEATS = 0.9
"""A reply that repeats more of the article than this is a copy of it."""
MAX_CHARS = 200_000
_OTHER = re.compile("[^a-z0-9]+")
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


def plain_letters(text: str) -> str:
    """What ROUGE reads of a text, without the spaces: a to z, whatever their case, and 0 to 9."""
    return _OTHER.sub("", text[:MAX_CHARS].lower())


def stems(text: str) -> str:
    """ROUGE's words, stemmed, without the spaces."""
    return "".join(rouge_words(text))


def repeated(reply: str, article: str) -> float:
    """The share of the article that the reply repeats; 0 for an article without letters."""
    # Of plain text the first two lines are the same.
    lines = (folded, stems) if reply.isascii() and article.isascii() else (folded, plain_letters, stems)
    return max(_share(line, reply, article) for line in lines)


def _share(line: Callable[[str], str], reply: str, article: str) -> float:
    np = _numpy()

    wanted, said = _runs_of(line, article), line(reply)
    if not len(wanted) or not said:
        return 0.0
    found = np.sort(_runs(said))
    # np.isin sorts the article's runs anew each time; they are in order already.
    places = np.minimum(found.searchsorted(wanted), len(found) - 1)
    return float((found[places] == wanted).mean())


@lru_cache(maxsize=384)
def _runs_of(line: Callable[[str], str], article: str) -> Any:
    np = _numpy()

    return np.unique(_runs(line(article)))


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
