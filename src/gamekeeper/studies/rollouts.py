"""Episodes on disk: one row each, in parquet parts while a run goes on and in one file once it is finished.

Parquet strings are UTF-8, which has no lone surrogates, yet a byte-level tokenizer can make a reply hold some. A
surrogate U+DXXX is stored as U+10FFFF and its four hex digits, U+10FFFF itself as U+10FFFF "ffff"; all else as is.
If `rollouts.parquet` exists it is complete, and parts beside it are leftovers of a kill.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.errors import RunError
from gamekeeper.extras import need
from gamekeeper.studies.disk import replacing
from gamekeeper.types import Message, Prompt, Score

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE, PARTS = "rollouts.parquet", "rollouts"
_MARK = "\U0010ffff"
_TO_ESCAPE = re.compile("[\ud800-\udfff\U0010ffff]")
_ESCAPED = re.compile(_MARK + "(d[89a-f][0-9a-f]{2}|ffff)")
_PART = re.compile(r"part-(\d+)-(train|eval)\.parquet")


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode: the prompt before each reply, the replies, the score. The writer stamps step and phase.

    Where the policy was not heard (a server failed), there is one prompt more than there are replies.
    """

    group: int
    item_id: str
    prompts: Sequence[Prompt]
    replies: Sequence[str]
    score: Score
    step: int = 0
    phase: str = "train"
    drawn: tuple[str | int, ...] = ()  # not stored: the seed path of chance events, where the item has any


def escape(text: str) -> str:
    """Text that UTF-8 can hold; see the head of the module."""
    if text.isascii():
        return text
    return _TO_ESCAPE.sub(lambda m: _MARK + (f"{ord(m[0]):04x}" if m[0] != _MARK else "ffff"), text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    if _MARK not in text:
        return text
    return _ESCAPED.sub(lambda m: _MARK if m[1] == "ffff" else chr(int(m[1], 16)), text)


# Rows and tables


def _arrow() -> Any:
    """pyarrow, with its parquet module."""
    return need("games", "Keeping rollouts", "pyarrow", "pyarrow.parquet")


def schema() -> pa.Schema:
    """The columns of a rollout file."""
    pa = _arrow()
    text = pa.string()
    return pa.schema(
        [
            ("step", pa.int32()),
            ("phase", text),
            ("group", pa.int32()),
            ("item_id", text),
            ("prompt", text),
            ("replies", pa.list_(text)),
            ("reward", pa.float64()),
            ("truth", pa.float64()),
            ("exploited", pa.bool_()),
            ("evidence", text),
            ("unscored", text),
            ("facts", text),
        ]
    )


def to_table(step: int, phase: str, rows: Sequence[Rollout]) -> pa.Table:
    """Episodes of one step and phase as a table."""
    pa = _arrow()
    prompts: dict[int, str] = {}  # by identity: the episodes of a group share their first prompt
    columns = [_columns(row, prompts) for row in rows]
    data = {f.name: [c[i] for c in columns] for i, f in enumerate(list(schema())[2:])}
    return pa.table({"step": [step] * len(rows), "phase": [phase] * len(rows), **data}, schema=schema())


def _columns(row: Rollout, prompts: dict[int, str]) -> tuple[Any, ...]:
    key = id(row.prompts)
    if key not in prompts:
        prompts[key] = _json([[{"role": m.role, "content": m.content} for m in prompt] for prompt in row.prompts])
    s = row.score
    return (
        row.group,
        escape(row.item_id),
        prompts[key],
        [escape(r) for r in row.replies],
        s.reward,
        s.truth,
        s.exploited,
        escape(s.evidence),
        None if s.unscored is None else escape(s.unscored),
        _json(dict(s.facts)),
    )


def _json(value: Any) -> str:
    return escape(json.dumps(value, ensure_ascii=False))


def _from_row(row: Mapping[str, Any]) -> Rollout:
    prompts = tuple(
        tuple(Message(m["role"], m["content"]) for m in prompt) for prompt in json.loads(unescape(row["prompt"]))
    )
    unscored = row["unscored"]
    score = Score(
        row["reward"],
        row["truth"],
        row["exploited"],
        unescape(row["evidence"]),
        None if unscored is None else unescape(unscored),
        json.loads(unescape(row["facts"])),
    )
    replies = tuple(unescape(r) for r in row["replies"])
    return Rollout(row["group"], unescape(row["item_id"]), prompts, replies, score, row["step"], row["phase"])


# Files


def part_name(step: int, phase: str) -> str:
    return f"part-{step:05d}-{phase}.parquet"


def write_part(root: Path, table: pa.Table, name: str) -> None:
    folder = root / PARTS
    folder.mkdir(exist_ok=True)
    with replacing(folder / name) as temporary:
        _arrow().parquet.write_table(table, temporary, compression="zstd")


def _parts(root: Path) -> list[tuple[int, Path]]:
    """Parts in the order of time: at one step the batch that led there comes before its evaluation."""
    found = [(m, p) for p in (root / PARTS).glob("part-*.parquet") if (m := _PART.fullmatch(p.name))]
    return [(int(m[1]), p) for m, p in sorted(found, key=lambda f: (int(f[0][1]), f[0][2] == "eval"))]


def join(root: Path) -> None:
    """Puts the parts into one file, one row group each; a kill in between loses nothing."""
    parquet = _arrow().parquet
    if not (root / WHOLE).exists():
        with replacing(root / WHOLE) as new, parquet.ParquetWriter(new, schema(), compression="zstd") as out:
            for table in tables(root):
                out.write_table(table, row_group_size=table.num_rows)
            out.close()  # before the rename, not after it
    shutil.rmtree(root / PARTS, ignore_errors=True)


def drop_after(root: Path, step: int) -> None:
    """Keeps the episodes up to `step`, as parts; a joined file is taken apart for that."""
    if (root / WHOLE).exists():
        shutil.rmtree(root / PARTS, ignore_errors=True)
        for table in tables(root):
            at, phase = table["step"][0].as_py(), table["phase"][0].as_py()
            if at <= step:
                write_part(root, table, part_name(at, phase))
        (root / WHOLE).unlink()
    for at, part in _parts(root):
        if at > step:
            part.unlink()


def tables(root: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of each step and phase in order, one at a time, so that memory stays bounded; none is empty."""
    paths = [root / WHOLE] if (root / WHOLE).exists() else [part for _, part in _parts(root)]
    for path in paths:
        with _readable(path), _opened(path) as file:
            for i in range(file.num_row_groups):
                table = file.read_row_group(i, columns=columns)
                if table.num_rows:
                    yield table


def read(root: Path, rows: Collection[int] | None = None) -> Iterator[Rollout]:
    """Episodes in order, or only those with the given row numbers."""
    start = 0
    for table in tables(root):
        wanted = range(table.num_rows) if rows is None else [i for i in range(table.num_rows) if start + i in rows]
        if wanted:
            yield from map(_from_row, table.take(list(wanted)).to_pylist())
        start += table.num_rows


def _opened(path: Path) -> Any:
    file = _arrow().parquet.ParquetFile(path)
    missing = [name for name in schema().names if name not in file.schema_arrow.names]
    if missing:
        raise RunError(f"{path} lacks the columns {', '.join(missing)}; it was not written by this package.")
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    pa = _arrow()
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise RunError(
            f"{path} cannot be read as a parquet file ({error}). It was damaged after it was written: restore it, or "
            "delete it; the rest of the run stays readable."
        ) from None
