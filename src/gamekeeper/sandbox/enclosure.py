"""A small world of its own for the fork server: new namespaces, and a root that holds the interpreter and little else.

Two ways in. An ordinary user makes a user namespace first, which grants the right to make the others. Root makes the
others with its own rights and then becomes a user id that nobody has, in a user namespace without any right: its
interpreter may lie where only root can look (/root), so the root must be built before root is given up.

    /                read-only tmpfs
    (library)        the standard library and shared libraries, at their own paths, read-only; packages masked
    /packages        packages that the caller allows, read-only
    /dev             null, zero, full, random, urandom; stdin, stdout, stderr, fd; shm is the working folder
    /proc            this namespace's processes only
    /work            holds `case`, a tmpfs of bounded size: the working folder, which is also /tmp
    (no name)        tmpfs for the files that hold input and outputs, for the server only

bubblewrap, nsjail and unshare(1) were considered: each is a program to install, and each starts one program, where a
fork server inside must be set up in steps and keep its pipes.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gamekeeper.sandbox import folder, kernel, places
else:
    import folder
    import kernel
    import places

WORK = "/work"
CASE = f"{WORK}/{folder.CASE}"
WORK_OPTIONS = "size=64m,nr_inodes=8k"
OVERFLOW_ID = 65534
_QUIET = kernel.NO_SUID | kernel.NO_DEV
_QUIET_ATTR = kernel.NO_SUID_ATTR | kernel.NO_DEV_ATTR
_FLAGS = {"pid": kernel.NEW_PID, "network": kernel.NEW_NET, "ipc": kernel.NEW_IPC | kernel.NEW_UTS}


def leave(spaces: frozenset[str], with_user: bool) -> None:
    """Leave the caller's namespaces; a new process namespace begins with the next child."""
    flags = sum(flag for name, flag in _FLAGS.items() if name in spaces)
    if with_user:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(flags | kernel.NEW_USER)
        _map(uid, gid)
    else:
        kernel.unshare(flags)


def _map(uid: int, gid: int) -> None:
    """One user and one group exist in the new user namespace; root, if it is root outside, goes by another number."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid or OVERFLOW_ID} {uid} 1")):
        _tell(name, text)
    _tell("gid_map", f"{gid or OVERFLOW_ID} {gid} 1")


def _tell(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


def become_nobody(uid: int, with_user: bool) -> None:
    """From root to a user id that nobody has, in a user namespace of its own if asked."""
    kernel.become(uid)
    if with_user:
        kernel.show_memory()  # the change of user hid it, and hidden processes cannot write their own maps
        kernel.unshare(kernel.NEW_USER)
        _map(uid, uid)


def build(base: str, packages: list[str], owner: int) -> tuple[bool, int]:
    """Build the new root on the empty folder `base` and move into it; whether it has a /proc, and a handle on a folder
    for nameless files.

    owner: the user id that will own the working folder and the other.
    """
    kernel.unshare(kernel.NEW_MOUNT)
    kernel.mount(None, "/", None, kernel.RECURSIVE | kernel.PRIVATE)
    kernel.mount("tmpfs", base, "tmpfs", _QUIET, "size=1m,nr_inodes=4k,mode=0755")
    for path in places.readable():
        _show(base, path)
    for path in packages:
        _bind(path, f"{base}{places.PACKAGES}/{os.path.basename(path)}")
    for path in places.hidden():
        if os.path.isdir(base + path):
            kernel.mount("tmpfs", base + path, "tmpfs", _QUIET, "size=0,nr_inodes=1,mode=0555")
    has_proc = _system_folders(base, owner)
    os.chdir(base)
    kernel.pivot_root_here()
    kernel.restrict_mount("/", kernel.READ_ONLY | _QUIET_ATTR, below=False)
    mine = f"mode=0700,uid={owner},gid={owner}"
    files = _nameless(mine)
    kernel.mount("tmpfs", CASE, "tmpfs", _QUIET | kernel.NO_EXEC, f"{WORK_OPTIONS},{mine}")
    return has_proc, files


def _nameless(options: str) -> int:
    """A folder that no path leads to. With it the server needs no memfd_create, so that the filter can close that call:
    many processes could hold much memory in such files, which no limit of the kernel's counts."""
    kernel.mount("tmpfs", CASE, "tmpfs", _QUIET | kernel.NO_EXEC, options)
    handle = os.open(CASE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    kernel.detach(CASE)
    return handle


def _show(base: str, path: str) -> None:
    """The same path inside as outside, read-only; a link stays a link."""
    if os.path.islink(path):
        os.makedirs(os.path.dirname(base + path), exist_ok=True)
        if not os.path.lexists(base + path):
            os.symlink(os.readlink(path), base + path)
    elif not os.path.exists(base + path):
        _bind(path, base + path)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(source, target, None, kernel.BIND | kernel.RECURSIVE)
    kernel.restrict_mount(target, kernel.READ_ONLY | _QUIET_ATTR)


def _system_folders(base: str, owner: int) -> bool:
    for name in ("dev", "proc", WORK[1:], CASE[1:]):
        os.mkdir(f"{base}/{name}")
    for path in places.DEVICES:
        if os.path.exists(path):
            os.close(os.open(base + path, os.O_CREAT | os.O_WRONLY, 0o644))
            kernel.mount(path, base + path, None, kernel.BIND)
    links = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
    for name, end in links.items():
        os.symlink(f"/proc/self/fd{end}", f"{base}/dev/{name}")
    os.symlink(CASE, f"{base}/tmp")
    os.symlink(CASE, f"{base}/dev/shm")
    return _mount_proc(f"{base}/proc")


def _mount_proc(path: str) -> bool:
    """Refused in containers that mask parts of their own /proc; then /dev/stdin has nothing to point to."""
    for options in ("subset=pid", None):
        try:
            kernel.mount("proc", path, "proc", _QUIET | kernel.NO_EXEC, options)
            return True
        except OSError:
            continue
    return False
