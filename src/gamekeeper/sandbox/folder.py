"""The working folder of cases: empty before each, whatever the one before did to it.

All work goes through a handle opened at the start and never through a path: a case of the same user could put a link
to somebody's home where the folder was.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import stat

_CASE = "case"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CaseFolder:
    """An empty folder inside `base`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.handle = os.open(base, _OPEN)
        self._make()

    def _make(self) -> None:
        os.mkdir(_CASE, 0o700, dir_fd=self.handle)
        self.case = os.open(_CASE, _OPEN, dir_fd=self.handle)
        self.identity = self._look()

    def _look(self) -> tuple[int, ...]:
        """Changes if anything in the folder, beside it or about it does: the time of a change cannot be set."""
        found, around = os.stat(_CASE, dir_fd=self.handle, follow_symlinks=False), os.fstat(self.handle)
        return found.st_ino, found.st_dev, found.st_ctime_ns, around.st_ctime_ns

    def enter(self) -> None:
        """Make it the working folder of this process."""
        os.fchdir(self.case)

    def clean(self) -> bool:
        """Leave it empty, with its first owner and mode; whether it had to be made anew."""
        try:
            if self._look() == self.identity:
                return False
        except OSError:
            self.identity = ()  # gone or closed up: made anew below
        os.close(self.case)
        empty(self.handle)
        self._make()
        return True


def remove(base: str) -> None:
    """Delete a folder and all that it holds."""
    handle = os.open(base, _OPEN)
    try:
        empty(handle)
    finally:
        os.close(handle)
    os.rmdir(base)


def empty(handle: int) -> None:
    """Delete all that an open folder holds.

    Nested folders are first moved up, because a case may nest deeper than a path can say or a recursion go.
    """
    count = 0
    names = os.listdir(handle)
    while names:
        name = names.pop()
        if not _is_folder(name, handle):
            os.unlink(name, dir_fd=handle)
            continue
        inner = os.open(name, _OPEN, dir_fd=handle)
        try:
            for found in os.listdir(inner):
                _is_folder(found, inner)
                count += 1
                os.rename(found, f"{count}.moved", src_dir_fd=inner, dst_dir_fd=handle)
                names.append(f"{count}.moved")
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=handle)


def _is_folder(name: str, handle: int) -> bool:
    """Whether it is a folder; if so, opened up: a folder without write permission can be neither emptied nor moved."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
        return False
    os.chmod(name, 0o700, dir_fd=handle)
    return True
