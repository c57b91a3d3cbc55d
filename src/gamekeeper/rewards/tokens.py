"""Where the tokens of a text begin and end: by a tokenizer's own file, or, where none is given, by a rough rule.

The rough rule counts up to four letters, a digit, or any other mark as one token. For English it counts about twice
what a large model's tokenizer does, so a text that is cut by it is never too long for such a model, only shorter than
it had to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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


def last_tokens(text: str, most: int, spans: Spans) -> tuple[str, int]:
    """The end of a text, at most so many tokens of it, and how many tokens were left out before it.

    Of a text of more than `MOST_CHARS` characters only that many, at its end, are looked at.
    """
    text = text[-MOST_CHARS:]
    found = spans(text)
    dropped = max(len(found) - most, 0)
    if not dropped:
        return text, 0
    # Tokens that share a character (bytes of one letter) begin at one place: cut after it, not within.
    start = found[dropped][0] if most else len(text)
    return text[start:], dropped
