"""Rows of the paper's parquet files, streamed.

A data file is read batch by batch and page by page, so that memory stays bounded for a file of any size, and only
the columns that were asked for are decoded. Whatever is wrong with the file is found as early as it can be
(existence, form and columns before the first row) and said as a DataError that tells what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gamekeeper.errors import DataError
from gamekeeper.extras import need
from gamekeeper.types import Message

_BATCH_ROWS = 64  # rows decoded at a time: articles and problems are long
_BUFFER_BYTES = 1 << 20  # read-ahead per column; without it a whole column chunk is loaded
_ROLES = ("system", "user", "assistant")


def read_rows(path: Path, columns: Sequence[str], limit: int = -1) -> Iterator[dict[str, Any]]:
    """The first `limit` rows of a parquet file (all of them if below 0), each a dict of the named columns.

    The file and its columns are checked at the call, values as they are read.
    Raises DataError for a file that is missing, unreadable, no parquet file or cut short, and for absent columns.
    """
    path = Path(path)
    _check_columns(path, columns)
    return _rows(path, list(columns), limit)


def columns_of(path: Path) -> list[str]:
    """The names of a parquet file's columns. Raises DataError as `read_rows` does."""
    with _opened(Path(path)) as file:
        return list(file.schema_arrow.names)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    present = columns_of(path)
    absent = [c for c in columns if c not in present]
    if not absent:
        return
    near = {c: get_close_matches(c, present, n=1, cutoff=0.5) for c in absent}
    guesses = "; ".join(f"is {c!r} called {found[0]!r} there?" for c, found in near.items() if found)
    raise DataError(
        f"{path} lacks the column{'s' * (len(absent) > 1)} {', '.join(map(repr, absent))}. "
        f"It has: {', '.join(present) or 'none'}. "
        f"{guesses[:1].upper() + guesses[1:] + ' ' if guesses else ''}"
        "Rename the columns, or give the file that belongs to this game."
    )


def _rows(path: Path, columns: list[str], limit: int) -> Iterator[dict[str, Any]]:
    left = limit if limit >= 0 else None
    if left == 0 or not columns:
        return
    with _opened(path) as file:
        size = _BATCH_ROWS if left is None else min(_BATCH_ROWS, left)
        for batch in file.iter_batches(batch_size=size, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                yield row
                left = None if left is None else left - 1
                if left == 0:
                    return


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The parquet file, with every way in which opening or reading it can fail turned into a DataError."""
    pa = need("games", "Reading the paper's data", "pyarrow", "pyarrow.parquet")
    _check_is_file(path)
    try:
        with pa.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            yield file
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} holds text that is not UTF-8 ({error.reason}). Write the file again with UTF-8 text."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a parquet file; it is of another form, cut short or damaged "
            f"({_first_line(error)}). Fetch it again, or give another file."
        ) from error


def _check_is_file(path: Path) -> None:
    try:
        if path.is_file():
            return
        found = path.exists()
    except (OSError, ValueError) as error:  # a NUL in the name, a name too long, no permission
        raise DataError(f"The path {str(path)!r} cannot be used: {error}. Give the path of a parquet file.") from error
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.parquet"))[:3]
        say = f"one of its files, e.g. {inside[0]}" if inside else "a parquet file; this folder holds none"
        raise DataError(f"{path} is a folder, not a parquet file. Give {say}.")
    what = "is not a regular file" if found else "does not exist"
    raise DataError(f"The data file {path} {what}. Give the path of a parquet file with the paper's columns.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """A `prompt` column's value, a list of role and content, as messages.

    Raises DataError if it is anything else; `where` names the place, e.g. "test.parquet, row 3".
    """
    if not isinstance(value, list) or not value:
        raise DataError(
            f"{where}: `prompt` must be a list of messages with role and content, got {type(value).__name__}. "
            "Repair the row, or give the file that belongs to this game."
        )
    return tuple(_message(entry, where) for entry in value)


def _message(entry: Any, where: str) -> Message:
    role, content = (entry.get("role"), entry.get("content")) if isinstance(entry, Mapping) else (None, None)
    if role not in _ROLES or not isinstance(content, str):
        raise DataError(
            f"{where}: a message of `prompt` must have a role ({', '.join(_ROLES)}) and a text as content, "
            f"got role {role!r} and content of type {type(content).__name__}. Repair the row."
        )
    return Message(role, content)


def text_at(row: Mapping[str, Any], path: Sequence[str], where: str) -> str:
    """The text at a nested place of a row, e.g. ("reward_model", "ground_truth").

    Raises DataError if the place is absent, null or not a text.
    """
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        raise DataError(f"{where}: `{'.'.join(path)}` must be a text, got {type(value).__name__}. Repair the row.")
    return value
