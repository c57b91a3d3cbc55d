"""What a data file holds: rows by kind, duplicates, and rows that are not what they should be.

Made while the rows pass, so that a file of any size is described in the memory of its rows' hashes. Nothing is quoted
from a row; it is named by its number and its item's id.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from gamekeeper.types import Item

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame


@dataclass(frozen=True, slots=True)
class Doubt:
    """A row of which something is wrong. `played`: whether it is an item all the same."""

    row: int
    item: str
    why: str
    played: bool


@dataclass
class DataReport:
    """What was found in the rows so far."""

    file: str
    rows: int = 0
    items: int = 0
    duplicates: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    measures: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "rows": self.rows,
            "items": self.items,
            "duplicates": self.duplicates,
            "counts": {kind: dict(found.most_common()) for kind, found in self.counts.items()},
            "doubts": [{"row": d.row, "item": d.item, "why": d.why, "played": d.played} for d in self.doubts],
            "measures": self.measures,
        }

    def reasons(self) -> Counter[tuple[str, bool]]:
        """How many rows for each (what is wrong, whether they are played)."""
        return Counter((d.why, d.played) for d in self.doubts)

    def in_short(self) -> str:
        """One line for people."""
        parts = [f"{self.items} items of {self.rows} rows"]
        parts += [f"{self.duplicates} of them repeat a prompt"] if self.duplicates else []
        parts += [f"{n} {'doubtful' if played else 'left out'}: {why}" for (why, played), n in self.reasons().items()]
        return f"{self.file}: {'; '.join(parts)}"


class Described:
    """The items of a game's data file, one at a time, and a report that grows as they pass."""

    def __init__(self, game: BaseGame, split: str, limit: int | None = None) -> None:
        self._game, self._split, self._limit = game, split, limit
        self._seen: set[bytes] = set()
        self.report = DataReport(str(game.data_file(split)))

    def __iter__(self) -> Iterator[Item]:
        """The first `limit` items, those that the game leaves out not counted."""
        return islice(self._played(), self._limit)

    def _played(self) -> Iterator[Item]:
        for row, item in enumerate(self._game.paper_rows(self._split)):
            if self._take(row, item):
                yield item

    def _take(self, row: int, item: Item) -> bool:
        report, game = self.report, self._game
        left_out = game.left_out(item)
        why = left_out or game.doubt(item)
        report.rows += 1
        report.items += left_out is None
        report.duplicates += self._repeats(item)
        if why is not None:
            report.doubts.append(Doubt(row, item.id, why, left_out is None))
        for kind, value in game.kinds(item).items():
            report.counts.setdefault(kind, Counter())[value] += 1
        if measured := game.measures(item):
            report.measures[item.id] = dict(measured)
        return left_out is None

    def _repeats(self, item: Item) -> bool:
        asked = json.dumps(item.fields.get("messages"), sort_keys=True).encode()
        digest = hashlib.sha256(asked).digest()[:12]
        again = digest in self._seen
        self._seen.add(digest)
        return again


def describe(game: BaseGame, split: str, limit: int | None = None) -> DataReport:
    """What a game's data file holds, up to its first `limit` items."""
    found = Described(game, split, limit)
    for _ in found:
        pass
    return found.report
