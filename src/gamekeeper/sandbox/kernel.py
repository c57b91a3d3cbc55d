"""The few Linux calls that the standard library does not wrap, through ctypes.

On another system every call reports False and the fork server goes on with what is left (a process of its own,
limits, a wall-clock kill); the layers that hold are listed in the server's greeting. python-prctl was considered: it
needs a compiler and headers at install time, for six calls.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_PDEATHSIG, _DUMPABLE, _KEEPCAPS, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 8, 36, 38
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 2
_KILL = 9
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_word = ctypes.c_ulong
_ZERO = _word(0)


def _prctl(option: int, value: int) -> bool:
    if _libc is None:
        return False
    return bool(_libc.prctl(option, _word(value), _ZERO, _ZERO, _ZERO) == 0)


def die_with_parent() -> bool:
    """The kernel kills this process when its parent ends. Changing user clears it: call it after that."""
    return _prctl(_PDEATHSIG, _KILL)


def hide_memory() -> bool:
    """Other processes of the same user can neither trace this one nor open its files under /proc."""
    return _prctl(_DUMPABLE, 0)


def adopt_orphans() -> bool:
    """Descendants whose parent ended become children of this process, so that none escapes by a double fork."""
    return _prctl(_SUBREAPER, 1)


def no_new_privileges() -> bool:
    """No setuid program that is run from here on gains anything."""
    return _prctl(_NO_NEW_PRIVS, 1)


def children() -> list[int]:
    """The pids of this process's children."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def become(uid: int, keep_reading: bool) -> None:
    """Give root up for good, for a user id that nobody has; with `keep_reading`, files stay readable as they were.

    The second is for interpreters that live where only root can read (a container's /root).
    """
    if keep_reading:
        _prctl(_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_reading and _libc is not None:
        kept = 1 << _CAP_DAC_READ_SEARCH
        header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
        _libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0))


def leave_root(uid: int, path: str) -> bool:
    """Become `uid` in whichever way leaves `path` readable, tried out in a child first; False if neither does."""
    for keep_reading in (False, True):
        if _child_succeeds(uid, keep_reading, path):
            become(uid, keep_reading)
            return True
    return False


def _child_succeeds(uid: int, keep_reading: bool, path: str) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            become(uid, keep_reading)
            with open(path, "rb") as file:
                file.read(1)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
