"""Items by id, kept in a temporary file: a data file of any size can be looked up without holding it in memory."""

from __future__ import annotations

import json
import tempfile
from collections import OrderedDict
from collections.abc import Iterable

from gamekeeper.types import Item

_AT_HAND = 256


class Shelf:
    """The items of an iterable, read once."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._file = tempfile.TemporaryFile(prefix="gamekeeper-items-")  # noqa: SIM115 - closed with the shelf
        self._places: dict[str, int] = {}
        self._at_hand: OrderedDict[str, Item] = OrderedDict()
        try:
            for item in items:
                self._places[item.id] = self._file.tell()
                self._file.write(json.dumps(item.to_json()).encode() + b"\n")
        except BaseException:  # closed and raised again
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def get(self, name: str) -> Item | None:
        """The item of that id; the same object while it is at hand, so that work on it can be shared."""
        if name in self._at_hand:
            self._at_hand.move_to_end(name)
            return self._at_hand[name]
        if name not in self._places:
            return None
        self._file.seek(self._places[name])
        item = self._at_hand[name] = Item.from_json(json.loads(self._file.readline()))
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.popitem(last=False)
        return item

    def close(self) -> None:
        self._file.close()
