"""The Linux calls that the standard library does not wrap, through ctypes.

Considered instead: python-prctl (needs a compiler and headers at install time), pyseccomp 0.1.2 (a wrapper around the
system's libseccomp, which a slim container lacks, unreleased since 2021) and landlock 1.0.0.dev5 (files only, no
scopes, and as many lines as here). Each would be a dependency of a few calls that have not changed since they were
added to the kernel; none works everywhere from pip alone.

Functions raise OSError with the call's name, but for those that answer a question. On another system all are refused.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

LINUX = sys.platform.startswith("linux")
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
NO_SUID, NO_DEV, NO_EXEC = 2, 4, 8
READ_ONLY, NO_SUID_ATTR, NO_DEV_ATTR = 1, 2, 4  # of mount_setattr

_PDEATHSIG, _DUMPABLE, _KEEPCAPS, _SECCOMP, _DROP_BOUND = 1, 4, 8, 22, 24
_SUBREAPER, _NO_NEW_PRIVS, _AMBIENT = 36, 38, 47
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 2
_KILL = 9
_DETACH = 2
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_ENTER = 442, 444, 445, 446
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MODE_FILTER = 2

_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None
_word = ctypes.c_ulong
_ZERO = _word(0)


def machine() -> str:
    return os.uname().machine


def _prctl(option: int, value: int, more: object = _ZERO) -> bool:
    return _libc is not None and bool(_libc.prctl(option, _word(value), more, _ZERO, _ZERO) == 0)


def _called(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _library() -> ctypes.CDLL:
    if _libc is None:
        raise OSError(errno.ENOSYS, f"{sys.platform} has no such call")
    return _libc


def _syscall(name: str, number: int, *args: object) -> int:
    return _called(name, _library().syscall(_word(number), *args))


# Single processes


def die_with_parent(signal: int = _KILL) -> bool:
    """The kernel kills this process when its parent ends. Changing user clears it: call it after that."""
    return _prctl(_PDEATHSIG, signal)


def hide_memory() -> bool:
    """Other processes of the same user can neither trace this one nor open its files under /proc."""
    return _prctl(_DUMPABLE, 0)


def show_memory() -> bool:
    """Undo `hide_memory`, which the kernel also does on its own when the user changes."""
    return _prctl(_DUMPABLE, 1)


def adopt_orphans() -> bool:
    """Descendants whose parent ended become children of this process, so that none escapes by a double fork."""
    return _prctl(_SUBREAPER, 1)


def no_new_privileges() -> bool:
    """No setuid program that is run from here on gains anything."""
    return _prctl(_NO_NEW_PRIVS, 1)


def return_free_memory() -> None:
    """Give memory that was freed back to the system: what a process does not have a fork need not copy."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(_ZERO)


def own_file(name: str) -> int:
    """A file of this process under /proc, e.g. "statm", held open: readable also when /proc is closed; else -1."""
    try:
        return os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def children(file: int) -> list[int]:
    """The pids of this process's children, from its own file of that name."""
    try:
        return [int(word) for word in os.pread(file, 1 << 16, 0).split()]
    except OSError:
        return []


# Users and what they may


def become(uid: int, keep_reading: bool = False) -> None:
    """Give root up for good, for a user id that nobody has; with `keep_reading`, files stay readable as they were.

    The second is for interpreters that live where only root can read (a container's /root).
    """
    if keep_reading:
        _prctl(_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_reading:
        _set_capabilities(1 << _CAP_DAC_READ_SEARCH)


def has_user(uid: int) -> bool:
    """Whether root can become this user: in a user namespace of a container there may be a few ids, or root's alone."""
    try:
        maps = [_lines(f"/proc/self/{kind}_map") for kind in ("uid", "gid")]
        denied = _lines("/proc/self/setgroups") == [["deny"]]
    except OSError:
        return True  # no namespaces of users, or no /proc: root is root
    return not denied and all(any(int(at) <= uid < int(at) + int(n) for at, _, n in lines) for lines in maps)


def _lines(path: str) -> list[list[str]]:
    with open(path) as file:
        return [line.split() for line in file]


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


def drop_capabilities(keep_reading: bool = False) -> None:
    """Give up every right of root, in this user namespace too, so that no program run from here gets one back.

    With `keep_reading`, all but the right to read any file.
    """
    cap = 0
    while (keep_reading and cap == _CAP_DAC_READ_SEARCH) or _prctl(_DROP_BOUND, cap):
        cap += 1
    _prctl(_AMBIENT, 4)
    _set_capabilities(1 << _CAP_DAC_READ_SEARCH if keep_reading else 0)


def _set_capabilities(kept: int) -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    _called("capset", _library().capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)))


# Namespaces and mounts


def unshare(flags: int) -> None:
    """Leave the caller's namespaces for new ones."""
    _called("unshare", _library().unshare(ctypes.c_int(flags)))


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _called(f"mount {target}", _library().mount(words[0], words[1], words[2], _word(flags), words[3]))


def restrict_mount(path: str, flags: int, below: bool = True) -> None:
    """Add restrictions to a mount, and to all mounts below it if asked, and leave those that it has."""
    attr = struct.pack("4Q", flags, 0, 0, 0)
    where, how = ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint(_AT_RECURSIVE if below else 0)
    _syscall("mount_setattr", _MOUNT_SETATTR, ctypes.c_int(_AT_FDCWD), where, how, attr, _word(len(attr)))


def allow_mount(path: str, flags: int) -> None:
    """Take restrictions off one mount, and off none below it."""
    attr = struct.pack("4Q", 0, flags, 0, 0)
    where, how = ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint(0)
    _syscall("mount_setattr", _MOUNT_SETATTR, ctypes.c_int(_AT_FDCWD), where, how, attr, _word(len(attr)))


def detach(path: str) -> None:
    """Take a mount out of sight; it goes on for those that hold files of it."""
    _called("umount", _library().umount2(os.fsencode(path), _DETACH))


def pivot_root_here() -> None:
    """Make the working folder, which is a mount, the root; the old root is gone."""
    _syscall("pivot_root", _PIVOT_ROOT[machine()], b".", b".")
    detach(".")
    os.chdir("/")


# Landlock and seccomp


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; 0 if none."""
    if _libc is None:
        return 0
    return max(0, int(_libc.syscall(_word(_LANDLOCK_CREATE), None, _ZERO, ctypes.c_uint(1))))


def landlock_ruleset(attr: bytes) -> int:
    return _syscall("landlock_create_ruleset", _LANDLOCK_CREATE, attr, _word(len(attr)), _ZERO)


def landlock_allow(ruleset: int, path: int, access: int) -> None:
    """Allow `access` on what the descriptor `path` is open at, and below it."""
    rule = struct.pack("=Qi", access, path)
    _syscall("landlock_add_rule", _LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), rule, _ZERO)


def landlock_enter(ruleset: int) -> None:
    _syscall("landlock_restrict_self", _LANDLOCK_ENTER, ctypes.c_int(ruleset), _ZERO)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install_filter(code: bytes) -> None:
    """Put a seccomp-bpf program over this process and all that it starts."""
    program = _Program(len(code) // 8, code)
    if not _prctl(_SECCOMP, _MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
