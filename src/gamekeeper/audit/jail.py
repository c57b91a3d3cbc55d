"""Best-effort isolation of the audit's child process, by kernel namespaces where the system allows them.

Inside: no network but loopback, no other process to be seen or killed, the whole file system read-only except a
scratch folder that stands in for /tmp. What could not be had is missing from the list of layers, which the report
prints. A stop-gap in Python replaces a missing network namespace; it does not bind programs that the target starts.

Standard library only, Linux only; elsewhere the list is empty and limits of time and memory are all there is.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

_NEWNS, _NEWUSER, _NEWPID, _NEWNET, _NEWIPC = 0x20000, 0x10000000, 0x20000000, 0x40000000, 0x08000000
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def enter(scratch: str, keep: Iterable[str], network: bool) -> list[str]:
    """Isolate this process; returns the layers that hold. The caller must fork afterwards to be in the new pid space.

    keep: paths that must stay visible even if they lie under /tmp.
    """
    layers = []
    flags = _NEWNS | _NEWPID | _NEWIPC | (0 if network else _NEWNET)
    if _unshare(flags):
        layers += ["processes", *([] if network else ["network"])]
        if not network:
            _raise_loopback()
        with suppress(OSError):
            _files(scratch, keep)
            layers.append("files")
    elif not network:
        _forbid_connecting()
        layers.append("network (Python only)")
    return layers


def _unshare(flags: int) -> bool:
    if _libc is None:
        return False
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc.unshare(flags) == 0:
        return True
    if _libc.unshare(flags | _NEWUSER) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        return False
    return True


def _mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    if _libc is None:
        raise OSError("mount")
    made = _libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None)
    if made != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _read_only(path: str, on: bool) -> None:
    attributes = struct.pack("4Q", _RDONLY if on else 0, 0 if on else _RDONLY, 0, 0)
    flags = _RECURSIVE if on else 0
    if _libc is None or _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, len(attributes)):
        raise OSError(ctypes.get_errno(), f"mount_setattr {path}")


def _files(scratch: str, keep: Iterable[str]) -> None:
    """Read-only everywhere, with the scratch folder over /tmp."""
    _mount("none", "/", _REC | _PRIVATE)
    for path in sorted({os.path.realpath(p) for p in keep}, key=len):
        inside = os.path.relpath(path, "/tmp")
        place = os.path.join(scratch, inside)
        if inside.startswith("..") or not os.path.exists(path) or os.path.lexists(place):
            continue
        if os.path.isdir(path):
            os.makedirs(place)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            Path(place).touch()
        _mount(path, place, _BIND | _REC)
    _mount(scratch, "/tmp", _BIND | _REC)
    _read_only("/", True)
    _read_only("/tmp", False)
    for kind, place in (("tmpfs", "/dev/shm"), ("proc", "/proc")):
        with suppress(OSError):
            _mount(kind, place, 0, kind)


def _raise_loopback() -> None:
    import fcntl

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))


def _forbid_connecting() -> None:
    def refuse(event: str, args: tuple[Any, ...]) -> None:
        inet = event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple))
        if inet:
            raise PermissionError("the audit runs without a network; pass --network to allow it")

    sys.addaudithook(refuse)


def limit(memory_mb: int) -> None:
    """Memory and file size of this process and what it starts."""
    for what, most in ((resource.RLIMIT_AS, memory_mb << 20), (resource.RLIMIT_FSIZE, 256 << 20)):
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this signal when the parent ends (Linux only)."""
    if _libc is not None:
        _libc.prctl(1, ctypes.c_ulong(number), 0, 0, 0)
