"""Where the tokens of a text begin and end: by a tokenizer's own file, or, where none is given, by a rough rule.

The rough rule counts up to four letters, a digit, or any other mark as one token. For English it counts about twice
what a large model's tokenizer does, so that a text cut by it is shorter than it had to be, and not too long. For
scripts that such a tokenizer knows less well, Chinese say, it counts too few: there a text may still be too long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gamekeeper.errors import DataError
from gamekeeper.extras import need

Spans = Callable[[str], Sequence[tuple[int, int]]]
_PIECE = re.compile(r"[^\W\d_]{1,4}|\d|[^\w\s]|_")
MOST_CHARS = 200_000


def rough_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each piece of the text, by the rule at the head of this file."""
    return [found.span() for found in _PIECE.finditer(text)]


@lru_cache(maxsize=8)
def spans_by(path: Path | str) -> Spans:
    """The token spans of a Hugging Face tokenizer: its `tokenizer.json`, or the folder that holds it.

    Raises MissingExtra without the package `tokenizers`, DataError for a file that is no tokenizer.
    """
    library = need("train", "Counting tokens by a tokenizer", "tokenizers")
    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise DataError(f"The tokenizer {str(file)!r} is not a file. Give a tokenizer.json, or the folder it is in.")
    try:
        tokenizer: Any = library.Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises bare Exceptions
        raise DataError(f"{file} is no tokenizer.json ({str(error)[:120]}). Give another file.") from error
    return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a text, and what was left out before it.

    dropped: how many tokens of the part that was looked at. unread: how many characters before that part.
    """

    text: str
    dropped: int = 0
    unread: int = 0

    @property
    def cut(self) -> bool:
        return self.dropped > 0 or self.unread > 0


def last_tokens(text: str, most: int, spans: Spans) -> Ending:
    """The end of a text, at most so many tokens of it.

    Of a text of more than `MOST_CHARS` characters only that many, at its end, are looked at.
    """
    unread = max(len(text) - MOST_CHARS, 0)
    text = text[unread:]
    found = spans(text)
    dropped = max(len(found) - most, 0)
    if not dropped:
        return Ending(text, 0, unread)
    # Tokens may share a character (the bytes of one letter): one that is in part left out is left out whole.
    end = found[dropped - 1][1]
    while dropped < len(found) and found[dropped][0] < end:
        dropped += 1
    start = found[dropped][0] if dropped < len(found) else len(text)
    return Ending(text[start:], dropped, unread)
