"""Which layers of isolation hold, each proved by trying to break it.

For each layer a program attacks what that layer protects: once with the layer off, as a control, and once with it on,
all other layers off but those that it cannot do without. "holds" means that the attack got through without the layer
and did not with it. Where even the control is stopped, something else of this system is in the way: then the layer is
up but not proved by this. The kernel is asked for nothing but what the attack wants.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamekeeper.sandbox.forkserver import ServerLost
from gamekeeper.sandbox.layers import LAYERS
from gamekeeper.sandbox.pool import Sandbox
from gamekeeper.sandbox.records import Case, Entry, Limits, Program

HOLDS, UNPROVED, BROKEN, REFUSED = "holds", "not proved", "BROKEN", "refused"
_LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_mb=64, output_bytes=1 << 16, processes=8)
_SHM_KEY = 0x67616D65
_ORPHAN_S = 0.6


@dataclass(frozen=True)
class Finding:
    """A layer's state: holds, not proved (up, but its control is stopped too), BROKEN, or refused by the system."""

    layer: str
    state: str
    detail: str


@dataclass(frozen=True)
class Probe:
    """An attack: f(where) answers True if it got through, and so does a trace that it leaves.

    needs: layers without which this one cannot be put up; they are on in the control too. has_control: whether the
    layer can be left out at all, and leaving it out lets the attack through.
    """

    source: str
    needs: tuple[str, ...] = ()
    has_control: bool = True


_LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_FILTER = (
    "import struct\nclass P(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('c', ctypes.c_char_p)]\n"
    "def f(where):\n    code = P(1, struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n"
    "    return libc.prctl(22, 2, ctypes.byref(code), 0, 0) != 0  # allowed to those only that can gain no right\n"
)
_ORPHAN = (
    "import os, time\ndef f(where):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n"
    f"        time.sleep({_ORPHAN_S / 2}); open(where['trace'], 'w').close(); os._exit(0)\n    os.wait()\n"
)
_ROOT = _LIBC + (
    "import os\ndef f(where):\n    acts = (lambda: os.chroot('/'), lambda: os.setuid(0),\n"
    "            lambda: os.chown(where['open'], 1, 1))\n"
    "    for act in acts:\n        try: act(); return True\n        except OSError: pass\n"
    "    return libc.mount(b'x', b'/', b'tmpfs', 0, None) == 0\n"
)
_SIGNAL = (
    "import os\ndef f(where):\n    try: os.kill(where['pid'], 0)\n    except PermissionError: pass\n    return True\n"
)
_READ = "def f(where): return bool(open(where['open']).read())\n"
_SOCKETS = (  # of the network, and to a Unix socket of somebody's, which Landlock lets be reached
    "import socket\ndef f(where):\n    kind = socket.AF_UNIX, socket.SOCK_DGRAM\n"
    "    acts = (socket.socket, lambda: socket.socketpair(*kind)[0].sendto(b'x', where['mailbox']))\n"
    "    for act in acts:\n        try: act(); return True\n        except OSError: pass\n"
)
_MARK = "import builtins\ndef f(where):\n    seen = hasattr(builtins, 'm'); builtins.m = 1; return seen\n"
_ENVIRONMENT = "import os\ndef f(where): return bool(open(f'/proc/{os.getppid()}/environ', 'rb').read(1))\n"
PROBES = {
    "process": Probe(_MARK, (), False),
    "limits": Probe("def f(where): return len(bytearray(600 << 20)) > 0\n", (), False),
    "other-user": Probe("def f(where): return open(where['private'], 'a') is not None\n"),
    "adopted-orphans": Probe(_ORPHAN),
    "no-new-privileges": Probe(_LIBC + _FILTER),
    "hidden-server": Probe(_ENVIRONMENT),
    "user-namespace": Probe(_ROOT, ("mount-namespace",), False),
    "mount-namespace": Probe(_READ, ("user-namespace",)),
    "pid-namespace": Probe(_SIGNAL, ("user-namespace",)),
    "network-namespace": Probe(
        "import socket\ndef f(where): return bool(socket.create_connection(('127.0.0.1', where['port']), 2))\n",
        ("user-namespace",),
    ),
    "ipc-namespace": Probe(_LIBC + "def f(where): return libc.shmget(where['key'], 0, 0) >= 0\n", ("user-namespace",)),
    "landlock": Probe(_READ, ("no-new-privileges",)),
    "seccomp": Probe(_SOCKETS, ("no-new-privileges",)),
}


def examine() -> Iterator[Finding]:
    """Try to break each layer in turn. Raises ServerLost if no program can be run at all."""
    with Sandbox(workers=1, require="limits") as box:
        refused = box.refused()
    with _targets() as where:
        for layer, about in LAYERS.items():
            if layer in refused:
                yield Finding(layer, REFUSED, refused[layer])
            else:
                yield _finding(layer, about, where)


def _finding(layer: str, about: str, where: dict[str, Any]) -> Finding:
    probe = PROBES[layer]
    on = {"process", "limits", "other-user", *probe.needs}
    try:
        with_layer = _gets_through(probe, on | {layer}, where)
        without = probe.has_control and _gets_through(probe, on - {layer}, where)
    except ServerLost as lost:
        return Finding(layer, UNPROVED, f"it could not be tried alone: {lost}")
    if with_layer:
        return Finding(layer, BROKEN, f"an attack got through, though it is up: {about}")
    if probe.has_control and not without:
        return Finding(layer, UNPROVED, f"up, but the attack fails without it, too: {about}")
    return Finding(layer, HOLDS, about)


def _gets_through(probe: Probe, on: set[str], where: dict[str, Any]) -> bool:
    """Whether the attack succeeds where only these layers are up."""
    trace = Path(where["trace"])
    trace.unlink(missing_ok=True)
    with Sandbox(workers=1, require="limits", without=set(LAYERS) - on) as box:
        cases = [Case(args=(where,)), Case(args=(where,))]
        results = box.run_cases(Program(probe.source, Entry("function", "f")), cases, _LIMITS)
        failed = next((r for r in results if r.status == "isolation-failed"), None)
        if failed is not None:
            raise ServerLost(failed.detail)
        if "trace" in probe.source:
            time.sleep(_ORPHAN_S)
    return any(r.value is True for r in results) or trace.exists()


@contextmanager
def _targets() -> Iterator[dict[str, Any]]:
    """What attacks aim at: files, a port, a process and shared memory of the caller's own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gamekeeper-doctor-")))
        folder.chmod(0o777)
        for name, mode in (("open", 0o644), ("private", 0o600)):
            (folder / name).write_text("secret")
            (folder / name).chmod(mode)
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        mailbox = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        mailbox.bind(str(folder / "mailbox"))
        (folder / "mailbox").chmod(0o777)
        other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        stack.callback(other.kill)
        stack.callback(_segment())
        yield {
            **{name: str(folder / name) for name in ("open", "private", "trace", "mailbox")},
            "port": server.getsockname()[1],
            "pid": other.pid,
            "key": _SHM_KEY,
        }


def _segment() -> Any:
    """A segment of shared memory, and what removes it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "shmget"):
        return lambda: None
    number = libc.shmget(_SHM_KEY, 64, 0o1600)
    return lambda: libc.shmctl(number, 0, None)
