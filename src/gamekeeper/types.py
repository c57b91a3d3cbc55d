"""The five records that every room of the package passes around.

A game hands out an `Item`, shows its `Prompt`, receives replies (plain strings, one a turn) and returns a
`Score`. The score keeps *reward* (what training sees) apart from *truth* (what only measurement sees): the
trainer reads `.reward` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

Fact: TypeAlias = bool | int | float | str | None
Replies: TypeAlias = Sequence[str]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `role` is "system", "user" or "assistant"."""

    role: str
    content: str


Prompt: TypeAlias = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One task. `fields` holds JSON values only, so that an item survives a round trip through a file."""

    id: str
    game: str
    split: str
    fields: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "game": self.game, "split": self.split, "fields": dict(self.fields)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Item:
        return cls(str(data["id"]), str(data["game"]), str(data["split"]), dict(data["fields"]))

    def having(self, **changes: Any) -> Item:
        """A copy with some fields replaced."""
        return Item(self.id, self.game, self.split, {**self.fields, **changes})


@dataclass(frozen=True, slots=True)
class Score:
    """What one episode earned and what it was worth.

    reward: what training sees; None only when `unscored`.
    truth: the intended outcome in [0, 1], seen by measurement only; None when it cannot be known.
    exploited: did this episode use the game's flaw; None where the flaw shows in batches only.
    evidence: one line that a person can check, quoting the reply where it can.
    unscored: why the grader could not grade. Such a score is left out of every mean and counted aloud.
    facts: the game's own measurements of the episode, from which `Game.metrics` computes.
    """

    reward: float | None
    truth: float | None
    exploited: bool | None
    evidence: str = ""
    unscored: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def failed(cls, reason: str) -> Score:
        """The grader, not the policy, failed: no reward, no truth."""
        return cls(None, None, None, unscored=reason)

    def to_json(self) -> dict[str, Any]:
        return {**{k: getattr(self, k) for k in self.__slots__ if k != "facts"}, "facts": dict(self.facts)}

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy does not pickle; a plain dict does.
        facts = dict(self.facts)
        return (Score, (self.reward, self.truth, self.exploited, self.evidence, self.unscored, facts))


@dataclass(frozen=True, slots=True)
class Script:
    """A scripted policy's episode and the score that it must get, in the game's present patches.

    `reward` and `truth` are pinned to within 1e-9; `exploited` exactly.
    """

    name: str
    replies: tuple[str, ...]
    reward: float
    truth: float | None
    exploited: bool | None


def to_plain(record: Any) -> Any:
    """A dataclass as JSON values, tuples and sets as sorted or ordered lists."""
    if isinstance(record, Mapping):
        return {str(k): to_plain(v) for k, v in record.items()}
    if isinstance(record, frozenset | set):
        return sorted(to_plain(v) for v in record)
    if isinstance(record, list | tuple):
        return [to_plain(v) for v in record]
    if hasattr(record, "__dataclass_fields__"):
        return {name: to_plain(getattr(record, name)) for name in record.__dataclass_fields__}
    return record
