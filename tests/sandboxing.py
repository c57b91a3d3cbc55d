"""What the tests of the sandbox share: short ways to run one case, and to look at processes."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.sandbox import Case, CaseResult, Entry, Limits, Program, Sandbox
from gamekeeper.sandbox.limits import processes

F = Entry("function", "f")
QUICK = Limits(cpu_s=0.25, wall_s=5.0, memory_mb=64, output_bytes=1 << 16)


def call(box: Sandbox, source: str, *args: object, limits: Limits = QUICK, entry: Entry = F) -> CaseResult:
    (result,) = box.run_cases(Program(textwrap.dedent(source), entry), [Case(args=args)], limits)
    return result


def feed(box: Sandbox, source: str, stdin: str = "", solver: str = "", prelude: str = "") -> CaseResult:
    program = Program(textwrap.dedent(source), Entry("stdin", solver), prelude)
    (result,) = box.run_cases(program, [Case(stdin=stdin)], QUICK)
    return result


LOWER = {
    "filtered": ("user-namespace", "mount-namespace", "pid-namespace", "network-namespace", "ipc-namespace"),
    "limits": (
        *("user-namespace", "mount-namespace", "pid-namespace", "network-namespace", "ipc-namespace"),
        *("landlock", "seccomp"),
    ),
}
"""What to leave out to come down to a level."""

FIND = """
    import ctypes
    def find(wanted):
        count = 0
        for line in open('/proc/self/maps'):
            span, rights, *_ = line.split()
            low, high = (int(n, 16) for n in span.split('-'))
            if rights.startswith('rw'):
                count += ctypes.string_at(low, high - low).count(wanted)
        return count
"""
"""Source of a program's function that counts a text in all the memory that it can write."""


def at_level(level: str, **options: Any) -> Sandbox:
    """A sandbox at exactly this level; skips aloud where the system does not grant it."""
    box = Sandbox(workers=1, require="limits", without=LOWER.get(level, ()), **options)
    if box.level() != level:
        found = box.level()
        box.close()
        pytest.skip(f"isolation level {level!r} was not tested: this system grants {found!r} ({box.refused()})")
    return box


def idle_processes(box: Sandbox) -> int:
    """The processes of servers that are at no case: each has a launcher and itself."""
    return 2 * len(box._servers)


def own_processes(box: Sandbox) -> int:
    """The fork servers and what was forked from them: they share the command line, which names the working folder."""
    count = 0
    for pid, _, _ in processes():
        try:
            told = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        count += any(server.base in told for server in box._servers)
    return count


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def children_of(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(change: str) -> str:
    """In the place of `forkserver._START`: the same with a change made after the server's modules are loaded."""
    return (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import server\n"
        f"exec({change!r})\n"
        "del sys.path[0]; server.main()"
    )
