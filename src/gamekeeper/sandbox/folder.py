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
        found = os.stat(_CASE, dir_fd=self.handle, follow_symlinks=False)
        return found.st_ino, found.st_dev, found.st_mode, found.st_uid

    def enter(self) -> None:
        """Make it the working folder of this process."""
        os.fchdir(self.case)

    def clean(self) -> None:
        """Leave it empty, with its first owner and mode."""
        try:
            if self._look() == self.identity and not os.listdir(self.case):
                return
        except OSError:
            self.identity = ()  # gone or closed up: made anew below
        os.close(self.case)
        empty(self.handle)
        self._make()

    def remove(self) -> None:
        """Delete it and its base."""
        empty(self.handle)
        os.rmdir(self.base)


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
