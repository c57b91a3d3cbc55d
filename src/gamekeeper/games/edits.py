"""The edit syntax of the tamper game: `<modify_key>field</modify_key><modify_value>new content</modify_value>`.

What counts as an edit, where the reference takes any match of a regular expression anywhere in the reply:
- A key holds no "<", and the spaces around it do not count; its letter case does. A value runs to the first closing
  tag, so that source code may hold "<". Only white space stands between the two.
- What is quoted is no edit: within thoughts (`rewards.parsers.without_thinking`), within a code fence, that is between
  lines that begin with ```, and in a sentence that puts quotation marks or backticks right around it. A fence inside a
  value belongs to the value.
- Tags that are not closed, nested or out of order are text.

One pass over the reply, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gamekeeper.rewards.parsers import without_thinking

_FENCE = re.compile(r"^[ \t]{0,3}```", re.MULTILINE)
_NEXT = re.compile(r"<modify_key>([^<]*)</modify_key>\s*<modify_value>|" + _FENCE.pattern, re.MULTILINE)
_CLOSE = "</modify_value>"
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FENCED = re.compile(r"\s*```[^\n]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Edit:
    """One update of one field."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"<modify_key>{self.key}</modify_key><modify_value>{self.value}{_CLOSE}"


def edits_in(reply: str) -> list[Edit]:
    """The edits of a reply, in order."""
    return list(_edits(without_thinking(reply)))


def _edits(text: str) -> Iterator[Edit]:
    at = 0
    while found := _NEXT.search(text, at):
        if found[1] is None:
            closing = _FENCE.search(text, found.end())
            if closing is None:
                return
            at = closing.end()
            continue
        end = text.find(_CLOSE, found.end())
        if end < 0:
            return
        at = end + len(_CLOSE)
        if not _quoted(text, found.start(), at):
            yield Edit(found[1].strip(), text[found.end() : end])


def _quoted(text: str, start: int, end: int) -> bool:
    """Whether a quotation mark stands right before and its fellow right after."""
    return start > 0 and _QUOTES.get(text[start - 1]) == text[end : end + 1]


def last_value(edits: list[Edit], key: str) -> str | None:
    """The value of a field's last edit; None if it has none."""
    return next((edit.value for edit in reversed(edits) if edit.key == key), None)


def source_in(value: str) -> str:
    """Source code as it is meant: without a code fence around it."""
    fenced = _FENCED.fullmatch(value)
    return (fenced[1] if fenced else value).strip("\n")


def number_in(value: str) -> float | None:
    """A finite decimal number; None for anything else: words, nan, inf, 1e999, digits with underscores."""
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) != float("inf") else None
