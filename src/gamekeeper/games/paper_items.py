"""Items of the paper level, named by what they hold.

A row's place in a file changes when the file is cut, sorted or cleaned, and an id made from it would then mean another
task. An id here is a hash of the item's fields; rows that repeat an earlier one have the count added.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gamekeeper.types import Item


def items_by_content(game: str, split: str, rows: Iterable[Mapping[str, Any]]) -> list[Item]:
    """One item for each row's fields (JSON values), in order."""
    seen: Counter[str] = Counter()
    found = []
    for fields in rows:
        content = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
        seen[content] += 1
        again = f"-{seen[content]}" if seen[content] > 1 else ""
        found.append(Item(f"{game}-paper-{content}{again}", game, split, fields))
    return found
