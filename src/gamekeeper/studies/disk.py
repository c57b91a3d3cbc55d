"""Files that are whole or absent, and disk errors in words.

Whole files are written beside their place, synced and renamed; lines are appended whole and synced. A process
killed at any point therefore leaves the old content or the new one, and at most one torn last line.
Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gamekeeper.errors import RunError

try:
    import fcntl
except ImportError:  # pragma: no cover - without record locks (Windows) a second writer is not noticed
    fcntl = None  # type: ignore[assignment]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LOOK_S = 0.1
_GO_ON = "go on with --resume (a study: by the same command)"


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turns a full disk, a missing permission and other faults of the file system into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(_message(root, error)) from error


def _message(root: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"The disk is full: {root} could not be written further. All that was recorded before and the last "
            f"checkpoint are kept. Free some space, then {_GO_ON}."
        )
    if error.errno in _FORBIDDEN:
        return f"No permission to write to {error.filename or root}. Choose a directory that you may write to."
    return f"{root} could not be written: {error}. What was recorded before is kept; {_GO_ON}."


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, synced, when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:  # removed and raised again
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not every file system can sync a directory
        _sync(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces a file as a whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Lines:
    """Appends JSON lines; one that fails half-way is taken back."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, data: Mapping[str, Any]) -> None:
        line = (json.dumps(data, sort_keys=True, allow_nan=False) + "\n").encode()
        size = os.fstat(self._fd).st_size
        try:
            while line:
                line = line[os.write(self._fd, line) :]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def close(self) -> None:
        os.close(self._fd)


def lock(root: Path, patience_s: float = 0.0) -> int:
    """Keeps a second process out of a directory; returns the handle whose closing lets it in.

    A record lock dies with its process, by SIGKILL too, and forked children do not inherit it. patience_s: how long to
    wait for one that is about to leave.
    """
    handle = os.open(root / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    if fcntl is None:  # pragma: no cover
        return handle
    try:
        while not _taken(handle):
            if patience_s <= 0:
                raise RunError(f"Another process is writing to {root}. Wait for it or stop it, then go on.")
            time.sleep(min(_LOOK_S, patience_s))
            patience_s -= _LOOK_S
    except BaseException:  # released and raised again
        os.close(handle)
        raise
    return handle


def _taken(handle: int) -> bool:
    """Whether the lock is ours now; also where the file system has no locks, as some network ones."""
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
