"""The files that an audit is asked to leave: looked at before it begins, and written after, whatever becomes of one.

An audit takes minutes. A folder that is not there or a name typed twice must not be noticed at its end, and one file
that cannot be written must cost neither the verdict nor the other files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gamekeeper.errors import UsageError

Texts = Sequence[tuple[Path, Callable[[], str]]]


def check_places(outputs: Mapping[str, Path], inputs: Mapping[str, Path]) -> None:
    """UsageError if an output cannot be written, or is another output's file or an input's. Option -> its file."""
    for option, path in outputs.items():
        _check_writable(option, path)
    taken = dict(inputs)
    for option, path in outputs.items():
        for other, place in taken.items():
            if _same(path, place):
                raise UsageError(
                    f"{option} {str(path)!r} would overwrite what {other} names. Give each file a path of its own."
                )
        taken[option] = path


def _check_writable(option: str, path: Path) -> None:
    """A folder that is missing will be made, so the nearest one that is there counts."""
    if os.path.isdir(path):
        raise UsageError(f"{option} {str(path)!r} is a folder. Give the path of a file.")
    if os.path.exists(path):
        if not os.access(path, os.W_OK):
            raise UsageError(
                f"{option} {str(path)!r} may not be written. Change its permissions, or give another path."
            )
        return
    folder = next(p for p in path.absolute().parents if os.path.exists(p))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{option} {str(path)!r} cannot be written: no file can be made in {str(folder)!r}. Give another path."
        )


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file. What is no file, such as /dev/null, takes any number of texts."""
    if os.path.exists(one) and not os.path.isfile(one):
        return False
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def write_all(texts: Texts) -> list[str]:
    """Write each of them; what could not be written, as messages."""
    failed = []
    for path, text in texts:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(), encoding="utf-8")
        except OSError as error:
            why = error.strerror or type(error).__name__
            failed.append(f"{str(path)!r} cannot be written: {why}. Give a path that can be, on a disk with space.")
    return failed
