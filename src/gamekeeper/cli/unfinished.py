"""The parts of an evaluation that was interrupted, in a hidden file beside its --out.

The first line says what was measured and how; after the episodes of each part comes a line that ends it. What follows
the last such line was being written at the kill, and is dropped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.cli import console
from gamekeeper.types import Message, Score

if TYPE_CHECKING:
    from gamekeeper.studies.record import Rollout

_END = {"part": "whole"}


class Unfinished:
    """`done` holds the episodes of whole parts; `keep` adds a part; `drop` removes the file."""

    def __init__(self, out: Path, settings: Any) -> None:
        self.path = out.with_name(f".{out.name}.unfinished")
        self._head = {"settings": hashlib.sha256(json.dumps(settings, default=str).encode()).hexdigest()}
        self.done: list[Rollout] = []
        out.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read() if self.path.exists() else []
        with self.path.open("wb") as file:
            file.writelines(whole or [_line(self._head)])

    def _read(self) -> list[bytes]:
        """The lines up to the last whole part; none if they belong to another evaluation."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        if not lines or lines[0] != _line(self._head):
            console.say(f"an unfinished evaluation with other settings was dropped ({self.path})")
            return []
        ends = [n for n, line in enumerate(lines) if line == _line(_END)]
        whole = lines[: ends[-1] + 1] if ends else lines[:1]
        self.done = [_episode(json.loads(line)) for line in whole[1:] if line != _line(_END)]
        return whole

    def keep(self, part: Sequence[Rollout]) -> None:
        with self.path.open("ab") as file:
            file.writelines([*(_line(row_of(e) | {"group": e.group}) for e in part), _line(_END)])

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


def row_of(episode: Rollout) -> dict[str, Any]:
    """An episode as a line that `gamekeeper score` reads again."""
    asked = [[{"role": m.role, "content": m.content} for m in prompt] for prompt in episode.prompts]
    what = {"item": episode.item_id, "prompts": asked, "replies": list(episode.replies)}
    return {**what, **episode.score.to_json()}


def _line(value: dict[str, Any]) -> bytes:
    return console.to_json(value).encode() + b"\n"


def _episode(row: dict[str, Any]) -> Rollout:
    from gamekeeper.studies.record import Rollout

    prompts = [tuple(Message(m["role"], m["content"]) for m in prompt) for prompt in row["prompts"]]
    score = Score(*(row[k] for k in ("reward", "truth", "exploited", "evidence", "unscored", "facts")))
    return Rollout(row["group"], row["item"], prompts, tuple(row["replies"]), score)
