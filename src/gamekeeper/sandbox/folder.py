"""The working folder of cases: empty before each, whatever the one before did to it.

It is emptied, opened up and given fixed times after a case. The time of its last change is not asked, which may be too
coarse to tell (before Linux 6.13, some milliseconds). Where it is a mount of its own, no case can move or replace it,
and its size counts what it holds, so that one look tells whether there is anything to do. Elsewhere a case of the same
user may do all that: there it is cleaned without a look, and made anew if it is lost.

All work goes through handles opened at the start and never through a path: a case could put a link to somebody's home
where the folder was. What is left of one case for the next to see are inode numbers, which the file system counts up.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import stat

CASE = "case"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Read in the far future: where the time of reading is kept "relative" to that of a change, reading does not change it.
_TIMES = (1 << 32, 1 << 30)


class CaseFolder:
    """An empty folder inside `base`, there already or made here."""

    def __init__(self, base: str) -> None:
        self.handle = os.open(base, _OPEN)
        self.closed = False  # set where locks let nobody write or change modes, this process included
        if CASE not in os.listdir(self.handle):
            os.mkdir(CASE, 0o700, dir_fd=self.handle)
        self._open()
        self.safe = os.fstat(self.case).st_dev != os.fstat(self.handle).st_dev  # a mount cannot be moved
        self._restore()
        self.first = self._look()

    def _look(self) -> tuple[int, ...]:
        """All that a case could change. On a tmpfs the size of a folder is a multiple of the number of its entries."""
        found = os.fstat(self.case)
        return found.st_mode, found.st_size, found.st_nlink, found.st_atime_ns, found.st_mtime_ns

    def _open(self) -> None:
        self.case = os.open(CASE, _OPEN, dir_fd=self.handle)
        self.identity = _identity(os.fstat(self.case))

    def enter(self) -> None:
        """Make it the working folder of this process."""
        os.fchdir(self.case)

    def clean(self) -> bool:
        """Leave it empty, with its first mode and fixed times; whether it had to be made anew.

        Raises OSError if that cannot be done: then no further case may run here.
        """
        if self.closed or (self.safe and self._look() == self.first):
            return False
        anew = not (self.safe or self._is_there())
        if anew:
            os.close(self.case)
            os.fchmod(self.handle, 0o700)
            empty(self.handle)
            os.mkdir(CASE, 0o700, dir_fd=self.handle)
            self._open()
        self._restore()
        return anew

    def _is_there(self) -> bool:
        """Whether the folder is where it was, with nothing beside it."""
        try:
            found = os.stat(CASE, dir_fd=self.handle, follow_symlinks=False)
            return _identity(found) == self.identity and os.listdir(self.handle) == [CASE]
        except OSError:
            return False

    def _restore(self) -> None:
        os.fchmod(self.case, 0o700)
        empty(self.case)
        os.utime(self.case, _TIMES)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_dev


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

    Nested folders are first moved up, because a case may nest deeper than a path can say or a recursion go; to names
    that it cannot guess, because a folder of its own under such a name would be in the way.
    """
    names = os.listdir(handle)
    if not names:
        return
    count, chance = 0, os.urandom(12).hex()
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
                moved = f"{chance}.{count}"
                os.rename(found, moved, src_dir_fd=inner, dst_dir_fd=handle)
                names.append(moved)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=handle)


def _is_folder(name: str, handle: int) -> bool:
    """Whether it is a folder; if so, opened up: a folder without write permission can be neither emptied nor moved."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
        return False
    os.chmod(name, 0o700, dir_fd=handle)
    return True
