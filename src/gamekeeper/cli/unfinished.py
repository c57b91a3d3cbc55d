"""The episodes of an evaluation, in a hidden file beside its --out until all are there.

The first line says what was measured and how; after the episodes of each part comes a line that ends it. What follows
the last such line was being written at the kill, and is dropped. A part with unscored episodes ends by another line: an
earlier call's are played again, as what failed (a server, a judge) may have been mended since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.cli import console
from gamekeeper.errors import UsageError
from gamekeeper.types import Score

if TYPE_CHECKING:
    from gamekeeper.studies.record import Rollout


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a part's lines are in the file, and the first of its groups."""

    group: int
    start: int
    end: int


class Unfinished:
    """`done` holds the episodes of whole parts, without prompts and replies; `keep` adds a part; `finish` ends."""

    def __init__(self, out: Path, settings: Any) -> None:
        check_out(out)
        self.out, self.path = out, out.with_name(f".{out.name}.unfinished")
        self._head = _line({"settings": hashlib.sha256(json.dumps(settings, default=str).encode()).hexdigest()})
        self._parts: list[_Part] = []
        self.done: list[Rollout] = []
        out.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or not self._reopened():
            self.path.write_bytes(self._head)

    def _reopened(self) -> bool:
        """Takes in what is there; False if not even the first line is whole."""
        with self.path.open("rb+") as file:
            head = file.readline()
            if not head.endswith(b"\n"):
                return False
            if head != self._head:
                raise UsageError(
                    f"{self.path} holds an unfinished evaluation with other settings. Give the settings of then, or "
                    "another --out, or remove that file to start afresh."
                )
            whole = start = file.tell()
            rows: list[Rollout] = []
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole_before, whole = whole, whole + len(line)
                if line in (_END, _AGAIN):
                    if line == _END and rows:
                        self._parts.append(_Part(rows[0].group, start, whole_before))
                        self.done += rows
                    rows, start = [], whole
                else:
                    rows.append(_episode(json.loads(line)))
            file.truncate(start)
        return True

    def keep(self, part: Sequence[Rollout]) -> None:
        """Adds a part."""
        lines = b"".join(_line({"group": e.group, **row_of(e)}) for e in part)
        start = self.path.stat().st_size
        with self.path.open("ab") as file:
            file.write(lines + (_AGAIN if any(e.score.unscored is not None for e in part) else _END))
        self._parts.append(_Part(part[0].group, start, start + len(lines)))

    def finish(self) -> None:
        """Writes all episodes to --out, in order, and removes the file."""
        part = self.out.with_name(f".{self.out.name}.part")
        with part.open("wb") as file:
            file.writelines(self._rows())
        part.replace(self.out)
        self.path.unlink()

    def _rows(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for part in sorted(self._parts, key=lambda p: p.group):
                file.seek(part.start)
                while file.tell() < part.end:
                    yield file.readline()


def check_out(out: Path) -> None:
    """Raises UsageError for a file that is there and no evaluation wrote."""
    if not out.exists():
        return
    if not out.is_file():
        raise UsageError(f"--out {str(out)!r} is not a file. Give the path of a file.")
    with out.open("rb") as file:
        first = file.read(len(_FIRST))
    if first not in (b"", _FIRST):
        raise UsageError(f"--out {str(out)!r} exists, and was not written by an evaluation. Give another path.")


def row_of(episode: Rollout) -> dict[str, Any]:
    """An episode as a line that `gamekeeper score` reads again, to the same score."""
    asked = [[{"role": m.role, "content": m.content} for m in prompt] for prompt in episode.prompts]
    what = {"item": episode.item_id, "prompts": asked, "replies": list(episode.replies)}
    drawn = {"drawn": list(episode.drawn)} if episode.drawn else {}
    return {**what, **drawn, **episode.score.to_json()}


def _line(value: dict[str, Any]) -> bytes:
    return console.to_json(value).encode() + b"\n"


_FIRST = b'{"group": '
_END, _AGAIN = _line({"part": "whole"}), _line({"part": "again"})


def _episode(row: dict[str, Any]) -> Rollout:
    from gamekeeper.studies.record import Rollout

    score = Score(*(row[k] for k in ("reward", "truth", "exploited", "evidence", "unscored", "facts")))
    return Rollout(row["group"], row["item"], (), (), score)
