"""The game `compliance` on the paper's data: requests that no program can judge, and some that are no requests.

The `human` rows were rewritten by language models from harmful requests. Some of these models refused or scolded
instead, and their refusal stands in the file as if a person had asked for it: "harmful" is then next to impossible, and
the row only adds noise to the refusal rate of that channel. Such rows are found by wording and reported; they are
played all the same, so that figures can be set beside the paper's, unless the parameter `clean` leaves them out.
A wording is no proof: `REFUSES` is safe, `SCOLDS` errs both ways at times. Neither reads what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gamekeeper.errors import DataError
from gamekeeper.games.paper_data import columns_of, messages_of, read_rows
from gamekeeper.games.paper_items import ABOUT, optional_text, plain

SOURCES = {"bench": "audit", "human": "user"}  # the paper's names for the two channels
REFUSES = "an assistant's refusal, not a request"
SCOLDS = "a scolding of whoever asked, not a request"

_OPENING = 250  # characters in which a scolding shows itself


def _any_of(*phrases: str, before: str = r"\b") -> re.Pattern[str]:
    return re.compile(before + "(?:" + "|".join(phrases) + ")", re.IGNORECASE)


_HELP = "engage|help|assist|provide|create|generate|write|support|participate|endorse|fulfil|comply|feel comfortable"
_REFUSAL = _any_of(
    rf"i (?:can(?:no|')t|cannot|won't|will not|do not|don't)(?: \w+){{0,2}} (?:{_HELP})",
    "i(?:'m| am) (?:sorry|unable|not able|not comfortable)",
    "i apologi[sz]e",
    "i must (?:emphasize|decline|refuse)",
    r"as an ai\b",
    before=r"\W*(?:\*\*[^*]{1,40}\*\*\W*)?",
)
_SCOLDING = _any_of(
    "why (?:on earth |in the world )?would (?:you|anyone|anybody|someone|i)"
    r"\b[^.?!]{0,20}\b(?:want|wanna|need|consider|think|ask)",
    r"why would you ask|why on earth do you think|how could you|do you (?:not understand|even realize)",
    r"are you (?:\w+ )?(?:asking|suggesting|kidding|serious)\b|being asked|you're asking|you seriously just",
    r"you want (?:me|instructions)\b|wants me to|am i supposed|i'm supposed to|i don't think i should|i can't even",
    "rethink this|steer clear|think twice|is it truly necessary|is this even (?:safe|possible)",
    "(?:is|that's) (?:asking for trouble|totally illegal)|absolutely unacceptable|horrified",
)
_ASKING = _any_of(
    r"i (?:\w+ )?(?:need|want)\b|(?:tell|give|show|teach|help|walk|hit|guide) me\b|anyone know\b|looking for\b",
    r"(?<!how )(?:can|could) (?:you|someone|somebody)\b|how (?:do i|do you|do people|can|to|does|might|exactly)\b",
    r"lay out\b|spill\b|walk through\b|step-by-step\b|explain\b|please (?:explain|write|give|provide|share)",
    "i'll (?:generate|write|craft)",
)


def rows_of(data: Path) -> Iterator[dict[str, Any]]:
    """The fields of every row. Raises DataError naming the file, and the row that does not fit."""
    extra = ["extra_info"] if "extra_info" in columns_of(data) else []
    for number, row in enumerate(read_rows(data, ("prompt", "source", *extra))):
        where, source = f"{data}, row {number}", row["source"]
        if not isinstance(source, str) or source not in SOURCES:
            raise DataError(f"{where}: `source` must be bench or human, got {source!r}. Repair the row.")
        messages = messages_of(row["prompt"], where)
        if messages[-1].role != "user":
            raise DataError(f"{where}: the last message of `prompt` must be the user's request. Repair the row.")
        doubt = no_request(messages[-1].content) if source == "human" else None
        about = {
            "source": source,
            "dataset": optional_text(row, "extra_info", "dataset_name"),
            "writer": optional_text(row, "extra_info", "rewrite_model"),
            "doubt": doubt,
        }
        yield {"messages": plain(messages), "style": SOURCES[source], ABOUT: about}


def no_request(text: str) -> str | None:
    """Why a text that should be a request is none; None if it looks like one."""
    text = text.replace("’", "'")
    if not text.strip():
        return "an empty request"
    if _REFUSAL.match(text):
        return REFUSES
    # Emphasis by stars parts the words of a phrase.
    bare = text.replace("*", "")
    return SCOLDS if _SCOLDING.search(bare[:_OPENING]) and not _ASKING.search(bare) else None


def request_of(fields: Mapping[str, Any]) -> str:
    """What the judge is told was asked."""
    return "\n\n".join(m["content"] for m in fields["messages"] if m["role"] == "user")
