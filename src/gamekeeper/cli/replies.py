"""Files of replies: lines `{"item": ITEM-OR-ID, "replies": [...]}`, read one at a time and trusted in nothing.

An id of a pocket item is enough to make the item again; an id of the paper's data is looked up in the file. Chance
events (an audit coin, say) are those of the item, or of the seed path that `eval` wrote as "drawn", so that its
episodes get the scores that they had. With a seed they are drawn anew for each line, by address, so that scoring twice
gives the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from gamekeeper.cli import console
from gamekeeper.cli.shelf import Shelf
from gamekeeper.errors import DataError, UsageError
from gamekeeper.seeds import rng
from gamekeeper.types import Item

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

MAX_LINE = 64 * 2**20
FORM = 'A line is {"item": ITEM-OR-ID, "replies": ["...", ...]}'
_ID = re.compile(r"(?P<game>.+)-(?P<version>\d{1,9})-(?P<split>[a-z]+)-(?P<seed>-?\d{1,20})-(?P<index>\d{1,18})")


@dataclass(frozen=True, slots=True)
class Raw:
    """A line as it stands in the file; `data` is None where it is too long to be read."""

    number: int
    data: bytes | None
    end: int  # its last byte's place in the file, for progress

    def digest(self, settings: str) -> str:
        """What tells this line under these settings from any other."""
        return hashlib.sha256(settings.encode() + b"\n" + (self.data or b"").rstrip(b"\r\n")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Episode:
    """A line that has been read.

    own: the item was given in full, and may be malformed inside. unheard: why the policy's last reply is missing, in an
    episode of `eval` whose server failed; nobody knows its worth.
    """

    number: int
    item: Item
    replies: tuple[str, ...]
    own: bool
    unheard: str | None = None


def raw_lines(stream: BinaryIO) -> Iterator[Raw]:
    """The lines that are not blank. A line over the limit is passed over without being held in memory."""
    number = end = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        end += len(line)
        if len(line) <= MAX_LINE:
            if line.strip():
                yield Raw(number, line, end)
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)
            end += len(line)
        yield Raw(number, None, end)


class Reader:
    """Turns lines into episodes of a game; every complaint names the file and the line."""

    def __init__(self, game: BaseGame, source: str, split: str, seed: int | None, limit: int | None = None) -> None:
        self.game, self.source, self.split, self.seed, self.limit = game, source, split, seed, limit

    def episode(self, raw: Raw) -> Episode:
        """Raises DataError on anything that is not a line of replies."""
        number = raw.number
        data = self._json(raw)
        if not isinstance(data, dict):
            self.fail(number, f"it is a JSON {_kind(data)}, not an object. {FORM}.")
        for key in ("item", "replies"):
            if key not in data:
                self.fail(
                    number,
                    f"it has no {key!r}, only {', '.join(map(repr, list(data)[:8])) or 'no key at all'}. {FORM}.",
                )
        replies = data["replies"]
        if not isinstance(replies, list) or not all(isinstance(r, str) for r in replies):
            self.fail(
                number, f'"replies" must be a list of texts, one a turn, got {_short(replies)}. Write e.g. ["..."].'
            )
        own = isinstance(data["item"], dict)
        item = self._own_item(number, data["item"]) if own else self._item_by_id(number, data["item"])
        realized = self._realized(item, number, own, data.get("drawn"))
        return Episode(number, realized, tuple(replies), own, _unheard(data))

    def fail(self, number: int, problem: str) -> NoReturn:
        raise DataError(f"{self.source}:{number}: {problem}")

    def _json(self, raw: Raw) -> Any:
        if raw.data is None:
            self.fail(raw.number, f"the line is longer than {MAX_LINE // 2**20} MiB. Is it one JSON object a line?")
        try:
            text = raw.data.decode("utf-8-sig" if raw.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            advice = (
                "It looks like UTF-16; save the file as UTF-8."
                if b"\x00" in raw.data[:64]
                else "Save the file as UTF-8."
            )
            self.fail(raw.number, f"byte {error.start} is not UTF-8 (0x{raw.data[error.start]:02x}). {advice}")
        try:
            return json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            self.fail(raw.number, _syntax(text, error))
        except RecursionError:
            self.fail(raw.number, f"the JSON is nested too deeply. {FORM}.")
        except ValueError as error:  # a number with thousands of digits; NaN
            self.fail(raw.number, f"{error}. {FORM}.")

    # Items

    def _own_item(self, number: int, data: dict[str, Any]) -> Item:
        for key, kind in (("id", str), ("game", str), ("split", str), ("fields", dict)):
            if not isinstance(data.get(key), kind):
                wanted = "an object" if kind is dict else "a text"
                self.fail(
                    number,
                    f'"item" needs {key!r} to be {wanted}, as `gamekeeper items {self.game.name} --json` prints it; '
                    f"got {_short(data.get(key))}.",
                )
        if data["game"] != self.game.name:
            self.fail(
                number, f"the item belongs to the game {data['game']!r}, not {self.game.name!r}. Score each game apart."
            )
        return Item.from_json(data)

    def _item_by_id(self, number: int, name: Any) -> Item:
        if not isinstance(name, str):
            self.fail(number, f'"item" must be an item or its id, got {_short(name)}. {FORM}.')
        if self.game.level == "paper":
            item = self._paper.get(name)
            if item is None:
                self.fail(
                    number, f"no item {name[:80]!r} in {self.game.data} ({self.split}: {len(self._paper)} items)."
                )
            return item
        return self._pocket_item(number, name)

    def _pocket_item(self, number: int, name: str) -> Item:
        from gamekeeper.games.base import SPLITS

        found = _ID.fullmatch(name)
        game = self.game
        if found is None or found["split"] not in SPLITS:
            example = f"{game.name}-{game.version}-test-0-7"
            self.fail(
                number,
                f"{name[:80]!r} is no item id of {game.name}; ids look like {example!r}. For the paper's, give --data.",
            )
        if found["game"] != game.name:
            self.fail(
                number,
                f"the item {name!r} belongs to the game {found['game']!r}, not {game.name!r}. Score each game apart.",
            )
        if int(found["version"]) != game.version:
            self.fail(
                number,
                f"the item {name!r} is of version {found['version']} of the game, but this is version {game.version}. "
                "Make the items and the replies again.",
            )
        return game.item_at(found["split"], int(found["seed"]), int(found["index"]))

    @cached_property
    def _paper(self) -> Shelf:
        from gamekeeper.games.paper_report import Described

        found = Described(self.game, self.split, self.limit)
        try:
            shelf = Shelf(found)
        except DataError as error:  # of the data, which no line is to blame for
            raise UsageError(str(error)) from error
        console.say(found.report.in_short())
        return shelf

    def close(self) -> None:
        if "_paper" in vars(self):
            self._paper.close()

    def _realized(self, item: Item, number: int, own: bool, drawn: Any) -> Item:
        """The item with chance drawn anew for this line, if a seed was given; else as an evaluation drew it."""
        if self.seed is not None:
            path: list[Any] = ["score", self.game.name, self.seed, item.id, number]
        elif drawn is None:
            return item
        elif isinstance(drawn, list) and all(type(part) in (str, int) for part in drawn):
            path = drawn
        else:
            self.fail(number, f'"drawn" must be the seed path that an evaluation wrote, got {_short(drawn)}.')
        try:
            return self.game.realize(item, rng(*path))
        except Exception as error:  # the user's item: a game may fail on it in any way
            if not own:
                raise
            self.fail(number, broken_item(error))


def _unheard(data: dict[str, Any]) -> str | None:
    """Why there is a prompt without a reply, in a line that `eval` wrote."""
    asked, why = data.get("prompts"), data.get("unscored")
    cut = isinstance(asked, list) and len(asked) > len(data["replies"])
    return why if cut and isinstance(why, str) else None


def broken_item(error: Exception) -> str:
    return (
        f"the item's fields are not those of the game ({type(error).__name__}: {str(error)[:120]}). "
        "Give the item as `gamekeeper items --json` prints it, or its id."
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    if "\x00" in text:
        place = text.index("\x00") + 1
        return f"it holds a NUL byte (column {place}). Inside a text write \\u0000; is the file saved as UTF-8?"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"the JSON ends too early (column {error.colno}): the line is cut off. {FORM}."
    return f"it is not JSON: {error.msg} (column {error.colno}). {FORM}."


def _kind(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), "null")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
