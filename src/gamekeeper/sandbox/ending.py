"""The end of a case: noticing it, forcing it, and making sure that nothing of the case goes on.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gamekeeper.sandbox import frame, kernel, limits, stage
else:
    import frame
    import kernel
    import limits
    import stage

_KILL = 9
_SWEEP_S = 5.0
_TICK_MS = 2
_SLACK_S = 0.1
_PIDFD = hasattr(os, "pidfd_open")


class Ending:
    """Watches cases and reaps them. Where other processes are in sight, only own ones may be killed."""

    def __init__(self, ground: stage.Stage, parent: int, pipe: int) -> None:
        self.seeing = "pid-namespace" not in ground.held
        self.children_file = ground.children_file
        self.poll = select.poll()
        self.poll.register(pipe, 0)  # reports a hang-up only
        if parent >= 0:
            self.poll.register(parent, select.POLLIN)
        self.reaped: tuple[int, Any] | None = None
        self.spent = 0.0

    def watch(self, pid: int, setup: Any, start: float) -> int | None:
        """Wait for the case to end; the reason to stop it, if there is one: a kind of frame."""
        case = os.pidfd_open(pid) if _PIDFD else -1
        if _PIDFD:
            self.poll.register(case, select.POLLIN)
        try:
            left = min(setup.cpu_s, setup.wall_s, limits.LOOK_S)
            while True:
                ready = self.poll.poll(max(1, 1000 * left) if _PIDFD else _TICK_MS)
                if (ready and ready[0][0] == case) or (not _PIDFD and self._has_ended(pid)):
                    return None
                if ready:
                    raise stage.Closed
                used, passed = limits.cpu_seconds(pid), time.monotonic() - start
                reason = self._reason(setup, used, passed)
                if reason is not None:
                    return reason
                left = min(setup.cpu_s - used, setup.wall_s - passed, limits.LOOK_S)
        finally:
            if _PIDFD:
                self.poll.unregister(case)
                os.close(case)

    def _reason(self, setup: Any, used: float, passed: float) -> int | None:
        memory, spent = (0, 0.0) if self.seeing else limits.together(setup.memory)
        if max(used, spent) >= setup.cpu_s:
            return frame.CPU_TIME
        if passed >= setup.wall_s:
            return frame.WALL_TIME
        return frame.MEMORY if memory > setup.memory else None

    def _has_ended(self, pid: int) -> bool:
        got, status, usage = os.wait4(pid, os.WNOHANG)
        if got:
            self.reaped = status, usage
        return bool(got)

    def reap(self, pid: int, running: bool) -> tuple[int, float]:
        """Kill what is left of the case and reap it; the exit status of its first process, the CPU seconds of all."""
        if running:
            _kill(os.kill, pid)
        if self.seeing:
            _kill(os.killpg, pid)
        status, usage = self.reaped or os.wait4(pid, 0)[1:]
        self.reaped, self.spent = None, usage.ru_utime + usage.ru_stime
        deadline = time.monotonic() + _SWEEP_S
        while not self._swept() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return status, self.spent

    def _swept(self) -> bool:
        """Kill adopted descendants, or all in the process namespace; True when none is left."""
        try:
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                self.spent += ended[2].ru_utime + ended[2].ru_stime
        except ChildProcessError:
            return True
        if self.seeing:
            for pid in kernel.children(self.children_file):
                _kill(os.kill, pid)
        else:
            _kill(os.kill, -1)
        return False


def overdrawn(cpu: float, allowed: float) -> bool:
    """Whether a case that ended by itself had used too much CPU time, over all its processes, to be let pass."""
    return cpu > allowed + _SLACK_S


def outcome(reason: int | None, status: int) -> tuple[int, int]:
    """The kind of frame and its number that say how a case ended."""
    if reason is not None:
        return reason, 0
    if os.WIFSIGNALED(status):
        return frame.SIGNALLED, os.WTERMSIG(status)
    return frame.EXITED, os.WEXITSTATUS(status)


def _kill(how: Callable[[int, int], None], pid: int) -> None:
    try:
        how(pid, _KILL)
    except (ProcessLookupError, PermissionError):
        return
