"""Items of the paper level, named by what they hold.

A row's place in a file changes when the file is cut, sorted or cleaned, and an id made from it would then mean another
task. An id here is a hash of the item's fields; rows that repeat an earlier one have the count added. What is only told
about a row (the field `about`) has no part in its id.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gamekeeper.types import Item, Message

ABOUT = "about"


def items_by_content(game: str, split: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Item]:
    """One item for each row's fields (JSON values), in order."""
    seen: Counter[str] = Counter()
    for fields in rows:
        task = {k: v for k, v in fields.items() if k != ABOUT}
        content = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()[:12]
        yield Item(f"{game}-paper-{content}{again(seen, content)}", game, split, fields)


def again(seen: Counter[str], name: str) -> str:
    """What is added to a name that has come before."""
    seen[name] += 1
    return f"-{seen[name]}" if seen[name] > 1 else ""


def plain(messages: Iterable[Message]) -> list[dict[str, str]]:
    """Messages as JSON values."""
    return [{"role": m.role, "content": m.content} for m in messages]


def told(item: Item, key: str) -> str | None:
    """A text from the field `about`; None if it is not there."""
    about = item.fields.get(ABOUT)
    value = about.get(key) if isinstance(about, Mapping) else None
    return value if isinstance(value, str) else None


def optional_text(row: Mapping[str, Any], *path: str) -> str | None:
    """The text at a nested place of a row that a file may lack or leave empty."""
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value.strip() else None
