"""Landlock: files are closed but for those named, also where there is no mount namespace.

The rules follow the kernel's version of Landlock: what a version does not know it cannot close. Versions 1 and 2 let a
file be emptied by path, or when it is opened for reading; the seccomp filter closes both. No version closes Unix
sockets that have a path, and only 6 and later close abstract ones: the filter closes sockets.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamekeeper.sandbox import kernel
else:
    import kernel

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1  # all rights of version 1
_TCP = 3  # bind and connect
_SCOPES = 3  # abstract sockets and signals, of processes outside
READ = _READ_FILE | _READ_DIR
NAMES = _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE
# All but running programs and making devices and sockets.
WRITE = (_FIRST | _REFER | _TRUNCATE) & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK)
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def enter(rules: Iterable[tuple[str | int, int]]) -> None:
    """Allow what the rules say, a path or an open folder and rights on it and below, and nothing else, for good."""
    abi = kernel.landlock_abi()
    if not abi:
        raise OSError("this kernel has no Landlock, or it is switched off")
    handled = _handled(abi)
    ruleset = kernel.landlock_ruleset(_attr(abi, handled))
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        kernel.landlock_enter(ruleset)
    finally:
        os.close(ruleset)


def _handled(abi: int) -> int:
    more = (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (_IOCTL_DEV if abi >= 5 else 0)
    return _FIRST | more


def _attr(abi: int, handled: int) -> bytes:
    fields = [handled, *([_TCP] if abi >= 4 else []), *([_SCOPES] if abi >= 6 else [])]
    return struct.pack(f"={len(fields)}Q", *fields)


def _allow(ruleset: int, path: str | int, rights: int) -> None:
    try:
        name, folder = (".", path) if isinstance(path, int) else (path, None)
        fd = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return  # not on this system
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        kernel.landlock_allow(ruleset, fd, rights)
    finally:
        os.close(fd)
