"""Best-effort isolation of the audit's child process, by kernel namespaces where the system allows them.

Inside: no network but loopback, no other process to be seen or killed, the whole file system read-only except a
scratch folder that stands in for /tmp, and no right to undo any of it. What could not be had is missing from the list
of layers, which the report prints. A stop-gap in Python replaces a missing network namespace; it does not bind programs
that the target starts.

There are two steps, as a new process space begins with the next child only: `enter` before that fork, `lock` after it.
The system calls are the sandbox's. Linux only; elsewhere the list is empty and limits of time and memory are all there
is.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gamekeeper.sandbox import kernel

SCRATCH = "gamekeeper-audit-"
"""How the names of scratch folders begin; one audit does not see another's."""
_MOST_BYTES = (1 << 63) - 1
_MEMORY = ("/dev/mem", "/dev/kmem", "/dev/port")
_SMALL, _COPIED = 1 << 20, 1 << 26
_QUIET = kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC


def enter(scratch: str, keep: Iterable[str], network: bool) -> list[str]:
    """Isolate this process; returns the layers that hold once the next child has called `lock`.

    keep: paths that must stay in sight, wherever they lie.
    """
    layers, sockets = [], [] if network else _listening()
    flags = kernel.NEW_MOUNT | kernel.NEW_PID | kernel.NEW_IPC | (0 if network else kernel.NEW_NET)
    if _unshare(flags):
        layers += ["processes", *([] if network else ["network"])]
        if not network:
            _raise_loopback()
        with suppress(OSError):
            _files(scratch)
            if not network:
                _close_sockets(sockets, keep)
            _read_only()
            layers.append("files")
    elif not network:
        _forbid_connecting()
        layers.append("network (Python only)")
    return layers


def lock(layers: list[str]) -> list[str]:
    """In the first process of the new process space: a /proc that shows this space alone, and no right to undo that.

    Returns the layers that hold. Without both, others' files are open by way of their processes, or by a new mount.
    """
    if "processes" not in layers:
        return layers
    rest = ["network"] if "network" in layers else []
    try:
        if "files" not in layers:
            raise OSError("a new /proc would be seen outside")
        _own_proc()
    except OSError:
        layers = rest
    try:
        _drop_rights()
    except OSError:
        layers = rest
    return layers


def _own_proc() -> None:
    """Containers that mask parts of theirs refuse this. The machine's settings in it are root's, right or no right."""
    kernel.mount("proc", "/proc", "proc", _QUIET | (kernel.READ_ONLY if os.geteuid() == 0 else 0))


def _drop_rights() -> None:
    """Root keeps the right to read, as its grader may lie where others must not look; to write it keeps none."""
    if not kernel.no_new_privileges():
        raise OSError("no_new_privileges")
    if os.geteuid() == 0:
        with suppress(OSError):
            kernel.drop_capabilities(keep_reading=True)
            return
    kernel.drop_capabilities()


def _unshare(flags: int) -> bool:
    """Root needs no user namespace. Who does may be let into one and refused a name in it: a child tries that first."""
    if os.geteuid() == 0:
        with suppress(OSError):
            kernel.unshare(flags)
            return True
    trial = os.fork()
    if trial == 0:
        os._exit(0 if _own_user(flags) else 1)
    return os.waitpid(trial, 0)[1] == 0 and _own_user(flags)


def _own_user(flags: int) -> bool:
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.unshare(flags | kernel.NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        return False
    return True


def _files(scratch: str) -> None:
    """The scratch folder over /tmp, with what lies in /tmp shown in it."""
    kernel.mount(None, "/", None, kernel.RECURSIVE | kernel.PRIVATE)
    with os.scandir("/tmp") as entries:
        _show([e for e in entries if not e.name.startswith(SCRATCH)], scratch)
    kernel.mount(scratch, "/tmp", None, kernel.BIND | kernel.RECURSIVE)


def _read_only() -> None:
    """Of files and of disks: what is written to a device is no matter of mounts, and root needs no right for it."""
    for folder, _, names in os.walk("/dev"):
        for path in (os.path.join(folder, name) for name in names):
            with suppress(OSError):
                if stat.S_ISBLK(os.lstat(path).st_mode) or path in _MEMORY:
                    kernel.mount("/dev/null", path, None, kernel.BIND)
    kernel.restrict_mount("/", kernel.READ_ONLY)
    kernel.allow_mount("/tmp", kernel.READ_ONLY)
    with suppress(OSError):
        kernel.mount("tmpfs", "/dev/shm", "tmpfs", _QUIET)


def _show(entries: Iterable[os.DirEntry[str]], place: str) -> None:
    """Show them in another folder too. Small files are copies there, as graders write again what they left in /tmp."""
    room = _COPIED
    for entry in entries:
        shown = os.path.join(place, entry.name)
        with suppress(OSError):  # of another user, or gone by now
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), shown)
            elif entry.is_dir():
                os.mkdir(shown)
                kernel.mount(entry.path, shown, None, kernel.BIND | kernel.RECURSIVE)
            elif entry.is_file() and entry.stat().st_size <= min(room, _SMALL):
                room -= _copy(entry.path, shown, entry.stat().st_size)
            elif entry.is_file():
                Path(shown).touch()
                kernel.mount(entry.path, shown, None, kernel.BIND)


def _copy(path: str, place: str, size: int) -> int:
    """So many bytes and no more: a file that grows as fast as it is copied would hold up the start."""
    with open(path, "rb") as file:
        Path(place).write_bytes(file.read(size))
    shutil.copymode(path, place)
    return size


def _listening() -> list[str]:
    """Unix sockets that have a path. Read before the network is left: a new one has none of them."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return sorted({"/" + line.partition(" /")[2] for line in lines if " /" in line})


def _close_sockets(known: Iterable[str], keep: Iterable[str]) -> None:
    """A socket with a path is reached in any network: its file is covered, and /run, where services have theirs.

    A filter of system calls cannot tell them from the sockets that `multiprocessing` makes.
    """
    for folder in {os.path.realpath(path) for path in ("/run", "/var/run") if os.path.isdir(path)}:
        _empty(folder, [path for path in map(os.path.realpath, keep) if path.startswith(folder + "/")])
    for path in known:
        with suppress(OSError):  # gone, or of a folder that is closed to this user
            if stat.S_ISSOCK(os.stat(path).st_mode):
                kernel.mount("/dev/null", path, None, kernel.BIND)


def _empty(folder: str, kept: list[str]) -> None:
    """Nothing in a folder but its links, which some systems' search paths lead through, and the paths to be kept."""
    stage = tempfile.mkdtemp(dir="/tmp")
    kernel.mount("tmpfs", stage, "tmpfs", _QUIET, "size=1m,mode=0755")
    with os.scandir(folder) as entries:
        _show([entry for entry in entries if entry.is_symlink()], stage)
    for path in kept:
        place = stage + path.removeprefix(folder)
        if os.path.isdir(path) and not os.path.lexists(place):
            os.makedirs(place)
            kernel.mount(path, place, None, kernel.BIND | kernel.RECURSIVE)
    kernel.mount(stage, folder, None, kernel.BIND | kernel.RECURSIVE)
    kernel.detach(stage)
    os.rmdir(stage)


def _raise_loopback() -> None:
    import fcntl

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))


_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")


def _forbid_connecting() -> None:
    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event in _LOOKUPS or (event in _SENDING and isinstance(args[1], tuple)):  # a Unix socket's address is a text
            raise PermissionError("the audit runs without a network; pass --network to allow it")

    sys.addaudithook(refuse)


def limit(memory_mb: int) -> None:
    """Memory and file size of this process and what it starts."""
    for what, most in ((resource.RLIMIT_AS, min(memory_mb << 20, _MOST_BYTES)), (resource.RLIMIT_FSIZE, 256 << 20)):
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(what)
            resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forget_environment() -> None:
    """Blank what /proc shows of the environment that this process, or the one it is a fork of, was started with.

    Nothing may point there any more: `os.environ` must have been emptied and filled anew.
    """
    with suppress(OSError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[47]), int(fields[48])  # fields 50 and 51, counted from 1 and with the two cut off
        if 0 < start < end:
            ctypes.memset(start, 0, end - start)
