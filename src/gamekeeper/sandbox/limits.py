"""Resource limits of the process of a case, and the clocks and counts that they need.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import resource
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_MB = 1 << 20
_STACK = 120 * _MB  # deep recursion through C frames (functools.cache) is honest; there is no room for more below it
_REPORT_ROOM = 32 * _MB  # a program that ran out of memory may still say so
_RECOUNT_S = 5.0
LOOK_S = 0.02
"""How often a running case is looked at."""
_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")
Plan = list[tuple[int, tuple[int, int]]]


def own_size(file: int) -> int:
    """The address space of this process in bytes; a generous guess where /proc does not tell."""
    try:
        return int(os.pread(file, 64, 0).split()[0]) * _PAGE
    except OSError:
        return 512 * _MB


def together(most: int) -> tuple[int, float]:
    """Resident bytes and CPU seconds of all processes of this process namespace but the first; no more than `most`
    bytes are counted, and nothing where there is one process only.

    The limits of address space and CPU time are those of each process; a case that starts others has them once.
    """
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    except OSError:
        return 0, 0.0
    pages = ticks = 0
    for pid in pids if len(pids) > 1 else ():
        try:
            with open(f"/proc/{pid}/stat") as file:
                words = file.read().rpartition(")")[2].split()
            ticks += sum(map(int, words[11:15]))  # its own, and those of children that it has waited for
            pages += int(words[21])
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
        if pages * _PAGE > most:
            break
    return pages * _PAGE, ticks / _TICKS


def plan(limits: Mapping[str, Any], size: int, task_limit: int) -> Plan:
    """The limits as the kernel takes them, worked out before the fork: pages that only the server touches cost once.

    size: the address space of the interpreter itself, which does not count as the program's.
    """
    memory = size + limits["memory_mb"] * _MB
    seconds = int(limits["cpu_s"]) + 1  # whole seconds only: the server's watch is finer, this is the backstop
    wanted = (
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_FSIZE", limits["output_bytes"] + 1, limits["output_bytes"] + 1),
        ("RLIMIT_NOFILE", limits["files"], limits["files"]),
        ("RLIMIT_NPROC", task_limit, task_limit),
        # Programs that recurse raise it themselves, which must not fail; it counts as address space in any case.
        ("RLIMIT_STACK", _STACK, resource.RLIM_INFINITY),
        ("RLIMIT_AS", memory, memory + _REPORT_ROOM),
    )
    found = [_below(getattr(resource, name), soft, hard) for name, soft, hard in wanted if hasattr(resource, name)]
    return [(which, pair) for which, pair in found if resource.getrlimit(which) != pair]


def settle() -> None:
    """Put in force what is the same for all cases, so that they inherit it."""
    apply([_below(resource.RLIMIT_CORE, 0, 0), _below(resource.RLIMIT_STACK, _STACK, resource.RLIM_INFINITY)], 0)


def _below(which: int, soft: int, hard: int) -> tuple[int, tuple[int, int]]:
    """A limit, never above what holds already."""
    most = resource.getrlimit(which)[1]
    if most != resource.RLIM_INFINITY:
        hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    return which, (soft, hard)


def apply(wanted: Plan, more_memory: int) -> None:
    """Put a plan in force for this process and its children, with room for an input that is held already."""
    for which, pair in wanted:
        if more_memory and which == resource.RLIMIT_AS and pair[1] != resource.RLIM_INFINITY:
            pair = (pair[0] + more_memory, pair[1] + more_memory)
        try:
            resource.setrlimit(which, pair)
        except ValueError:  # macOS has RLIMIT_AS and RLIMIT_STACK but refuses some values
            if which not in (resource.RLIMIT_AS, resource.RLIMIT_STACK):
                raise


def free_memory() -> None:
    """Make room for a report after the program has run out."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def cpu_seconds(pid: int) -> float:
    """CPU time of another process, from the clock that Linux keeps for it; 0 where there is none."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class TaskLimit:
    """The limit of processes and threads, which the kernel counts by user and not by case.

    alone: only the server and the case count. unneeded: the case can start no process, and memory bounds its threads.
    """

    def __init__(self, alone: bool, unneeded: bool) -> None:
        self.alone, self.unneeded = alone, unneeded
        self._count, self._counted_at = 0, float("-inf")

    def is_stale(self) -> bool:
        """Whether the user's other processes have to be counted again."""
        return not (self.alone or self.unneeded) and time.monotonic() - self._counted_at > _RECOUNT_S

    def allowing(self, more: int) -> int:
        """The limit under which a case may start `more` of its own."""
        if self.alone:
            return 2 + more
        if self.unneeded:
            return resource.RLIM_INFINITY
        if self.is_stale():
            self._count, self._counted_at = _tasks_of(os.geteuid()), time.monotonic()
        return self._count + 1 + more if self._count else resource.RLIM_INFINITY


def counted_alone(layers: list[str]) -> bool:
    """Whether the kernel counts the processes of this server and its cases apart from all others."""
    if "other-user" in layers:
        return True
    try:
        version = tuple([int(part) for part in os.uname().release.split(".")[:2]])
    except ValueError:
        return False
    return "user-namespace" in layers and version >= (5, 14)


def _tasks_of(uid: int) -> int:
    """Processes and threads of a user; 0 where /proc does not tell."""
    return sum(threads for _, owner, threads in processes() if owner == uid)


def processes() -> Iterator[tuple[int, int, int]]:
    """Every process that /proc shows: its id, its real user id and its number of threads.

    The owner of the folder /proc/N would not do: it is root for a process that hides its memory.
    """
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for name in names:
        try:
            with open(f"/proc/{name}/status") as file:
                lines = file.read().split("\n")
        except OSError:
            continue  # it has ended meanwhile
        words = {line.split(":")[0]: line.split() for line in lines if line.startswith(("Uid:", "Threads:"))}
        if len(words) == 2:
            yield int(name), int(words["Uid"][1]), int(words["Threads"][1])
