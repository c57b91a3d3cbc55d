"""Which files a program may read: the interpreter's standard library, shared libraries, chosen packages, no more.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import sys

LIBRARY = os.path.dirname(os.__file__)
PACKAGES = "/packages"
HIDDEN = ("site-packages", "dist-packages")
"""Folders of installed packages: a grader's own code may be in there."""

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def readable() -> list[str]:
    """Folders and files that the standard library needs, without packages."""
    shared = [path for path in _shared_libraries() if not path.startswith(_SYSTEM)]
    return [*(p for p in (*_SYSTEM, *_FILES) if os.path.exists(p)), LIBRARY, *shared]


def _shared_libraries() -> list[str]:
    """Those beside the interpreter, as conda has them, and those that it has loaded, wherever they are."""
    folder = os.path.join(sys.base_prefix, "lib")
    try:
        names = os.listdir(folder)
    except OSError:
        names = []
    found = [os.path.join(folder, name) for name in names if ".so" in name]
    try:
        with open("/proc/self/maps") as maps:
            words = [line.split(None, 5) for line in maps]
    except OSError:
        words = []
    mapped = [w[5].strip() for w in words if len(w) == 6 and ".so" in w[5] and not w[5].startswith(LIBRARY)]
    return sorted({os.path.realpath(path) for path in [*found, *mapped] if os.path.isfile(path)} | set(found))


def entries(folder: str) -> list[str]:
    """What a folder of the library holds, but for installed packages."""
    return [os.path.join(folder, name) for name in os.listdir(folder) if name not in HIDDEN]


def hidden() -> list[str]:
    """Folders of packages that lie inside a readable one."""
    roots = [LIBRARY, "/usr/lib/python3", f"/usr/lib/python3.{sys.version_info[1]}"]
    found = [os.path.join(root, name) for root in roots for name in HIDDEN]
    return [path for path in dict.fromkeys(found) if os.path.isdir(path) and not os.path.islink(path)]
