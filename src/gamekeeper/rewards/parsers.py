"""Reading replies: the small, total, linear-time parsers that several games share.

Each takes any text at all and never raises. Nothing here backtracks over the text, so that a reply of a megabyte
costs milliseconds.
"""

from __future__ import annotations

import json
import re

_THINK = re.compile("<(/?)think(?:ing)?>", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"[.!?;:\n]+")


def without_thinking(text: str) -> str:
    """The text without its thoughts: `<think>...</think>` blocks, or `<thinking>`, in any letter case.

    A block ends at the first closing tag after its opening one. One that is never closed takes the rest with it, and a
    closing tag without an opening one takes all before it: the chat template began those thoughts, in the prompt.
    """
    kept: list[str] = []
    start, inside = 0, False
    for tag in _THINK.finditer(text):
        if tag[1]:
            kept = kept if inside else []
            start, inside = tag.end(), False
        elif not inside:
            kept.append(text[start : tag.start()])
            inside = True
    return "".join(kept if inside else [*kept, text[start:]])


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded; marks, spaces and underscores only part them."""
    return _WORD.findall(text.casefold())


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence that has any; full stops, colons, line ends and the like end one."""
    found = (words(part) for part in _SENTENCE_END.split(text))
    return [sentence for sentence in found if sentence]


def excerpt(text: str, most: int = 60) -> str:
    """The start of a text as one quoted line that can be printed anywhere."""
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return json.dumps(cut)
