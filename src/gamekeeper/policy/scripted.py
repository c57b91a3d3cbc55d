"""Scripted policies: a game's own scripts, played as if a policy had said them. They need no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol

from gamekeeper.errors import UnknownName
from gamekeeper.types import Item, Prompt, Replies, Score, Script


class Scripted(Protocol):
    """What this needs of a game."""

    name: ClassVar[str]

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None: ...
    def scripts(self, item: Item) -> list[Script]: ...
    def score(self, item: Item, replies: Replies) -> Score: ...


def scripted_episodes(
    game: Scripted, items: Sequence[Item], name: str
) -> Iterator[tuple[int, Item, list[Prompt], tuple[str, ...]]]:
    """(number, item, prompts, replies) of one script on each item. Raises UnknownName with the scripts there are.

    An item that has no scripts, because nothing said to it can be scored, is played with empty replies: it is counted
    among the unscored, not passed over.
    """
    for number, item in enumerate(items):
        found = {s.name: s.replies for s in game.scripts(item)}
        if not found and game.score(item, silent := _silence(game, item)).unscored is not None:
            found[name] = silent
        if name not in found:
            raise UnknownName(f"script of {game.name}", name, found)
        replies = found[name]
        asked = (game.prompt(item, replies[:turn]) for turn in range(len(replies)))
        yield number, item, [p for p in asked if p is not None], replies


def _silence(game: Scripted, item: Item) -> tuple[str, ...]:
    """An empty reply for each turn of an item."""
    replies: tuple[str, ...] = ()
    while game.prompt(item, replies) is not None:
        replies = (*replies, "")
    return replies
