"""The fork server: a small interpreter that starts once and forks a fresh process for every case.

Why a server: an interpreter takes 15 ms to start, a fork of a small one under 1 ms. Why not fork the caller: it may
hold gigabytes, and its memory holds the expected values. The server is told neither expectations nor other cases: it
reads one case, forks, watches, answers, and only then reads the next.

Layers that hold here (named in the greeting): a process of its own in a session of its own, resource limits, a limit
of CPU and wall time kept from outside, descendants adopted and killed, no new privileges, the server's memory closed
to its children; started by root, it takes a user id that nobody has. What this does not do: hide the file system, the
network or, started by an ordinary user, that user's other processes, which a program could signal. nsjail, bubblewrap
and firejail were considered: each is a fork and an exec per case.

What a fork costs is the pages that it must copy: so few modules, and a rehearsal before the first case.

Standard library only, and no import of the package: it is started by its path, in an empty environment.
"""

from __future__ import annotations

import builtins
import gc
import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper
    from typing import Any, NoReturn

    from gamekeeper.sandbox import child, folder, frame, kernel, limits

    Job = dict[str, Any]
elif __name__ == "__main__":
    # The import path of the untrusted code must hold the standard library and nothing of ours.
    sys.path.insert(0, os.path.dirname(__file__))
    import child
    import folder
    import frame
    import kernel
    import limits

    del sys.path[0]

_CLAIM, _READ, _WRITE, _STARTED_READ, _STARTED_WRITE = 3, 10, 11, 12, 13
_FIRST_FREE, _LAST = 4, 64
_KILL = 9
_SWEEP_S = 5.0
_TICK_S = 0.002
_PIDFD = hasattr(os, "pidfd_open")
_REHEARSAL = "def f(x):\n    return [x + 1, (None, 1.5, 'a')]\n"


class Gone(Exception):
    """The parent process has ended or closed its end."""


class Server:
    """The loop and what it keeps between cases: names of preludes, an empty working folder, the layers that hold."""

    def __init__(self, base: str) -> None:
        self.preludes: dict[str, dict[str, Any]] = {"": {}}
        self.parent = os.pidfd_open(os.getppid()) if _PIDFD else -1
        self.reaped: tuple[int, Any] | None = None
        self.layers = ["process", "limits", *_close_in(base)]
        self.tasks = limits.TaskLimit(alone="other-user" in self.layers)
        self.folder = folder.CaseFolder(base)
        self._rehearse()
        self._settle()

    def _rehearse(self) -> None:
        """Run a program of our own here, so that what Python sets up on first use is not set up in every case."""
        job = {"source": _REHEARSAL, "kind": "function", "name": "f", "args": [1]}
        main, report = sys.modules["__main__"], _reporter(os.open(os.devnull, os.O_WRONLY))
        for _ in range(16):
            child.run(job, {}, report, limits.free_memory)
        sys.modules["__main__"] = main

    def _settle(self) -> None:
        """Measure the server's own size, and keep the collector off its pages: a touched page is copied by a fork."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self.size = limits.own_size()

    # Talking to the parent

    def serve(self) -> None:
        """Answer cases until the parent is gone."""
        try:
            _send(frame.note(frame.GREETING, ",".join(self.layers)))
            while True:
                (size,) = frame.CASE.unpack(self._receive(frame.CASE.size))
                self._answer(marshal.loads(self._receive(size)))
        except Gone:
            return

    def _receive(self, size: int) -> bytes:
        parts = []
        while size:
            self._await_parent()
            part = os.read(_READ, min(size, 1 << 20))
            if not part:
                raise Gone
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _await_parent(self) -> None:
        if not _PIDFD:
            return
        poll = select.poll()
        poll.register(_READ, select.POLLIN)
        poll.register(self.parent, select.POLLIN)
        if not any(fd == _READ for fd, _ in poll.poll()):
            raise Gone

    # One case

    def _answer(self, job: Job) -> None:
        files: list[int] = []
        try:
            names = self._names(job["prelude"])
            files.extend([_scratch(), _scratch(), _scratch(), _scratch()])
            reply = self._case(job, names, files)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - nothing of the program runs in this process: any failure is ours
            reply = frame.note(frame.NOT_STARTED, f"{type(error).__name__}: {error}")
        for file in files:
            os.close(file)
        _send(reply)
        # Last, so that a folder that cannot be cleaned costs this server its life and not the case its result.
        self.folder.clean()

    def _names(self, prelude: str) -> dict[str, Any]:
        if prelude not in self.preludes:
            space: dict[str, Any] = {"__name__": "prelude"}
            exec(compile(prelude, "<prelude>", "exec"), space)
            del space["__name__"], space["__builtins__"]
            self.preludes[prelude] = space
            self._settle()
        return self.preludes[prelude]

    def _case(self, job: Job, names: dict[str, Any], files: list[int]) -> bytes:
        if job["stdin"]:
            _write_all(files[0], job["stdin"].encode("utf-8", "surrogatepass"))
            os.lseek(files[0], 0, os.SEEK_SET)
        bounds = job["limits"]
        wanted = limits.plan(bounds, self.size, self.tasks.allowing(bounds["processes"]))
        _has_started()  # a mark left by a case that failed half-way must not count for this one
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._become_case(job, names, files, wanted)
        try:
            reason = self._watch(pid, bounds["cpu_s"], bounds["wall_s"], start)
            wall = time.monotonic() - start
        finally:
            status, cpu = self._end(pid)
        if not _has_started():
            return frame.note(frame.NOT_STARTED, "the process of the case could not be set up")
        texts = [os.pread(file, bounds["output_bytes"] + 1, 0) for file in files[1:]]
        kind, number = _outcome(reason, status)
        if reason is None and max(len(texts[0]), len(texts[2])) > bounds["output_bytes"]:
            kind = frame.OUTPUT
        return frame.answer(kind, number, (cpu, wall), tuple([text[: bounds["output_bytes"]] for text in texts]))

    def _watch(self, pid: int, cpu_s: float, wall_s: float, start: float) -> int | None:
        """Wait for the case to end; the reason to stop it, if there is one."""
        poll = select.poll()
        poll.register(_READ, 0)  # reports a hang-up only
        case = os.pidfd_open(pid) if _PIDFD else -1
        for fd in (self.parent, case) if _PIDFD else ():
            poll.register(fd, select.POLLIN)
        try:
            left = min(cpu_s, wall_s)
            while True:
                ready = [fd for fd, _ in poll.poll(1000 * (max(left, 0.001) if _PIDFD else _TICK_S))]
                if case in ready or (not _PIDFD and self._has_ended(pid)):
                    return None
                if ready:
                    raise Gone
                used, passed = limits.cpu_seconds(pid), time.monotonic() - start
                if used >= cpu_s or passed >= wall_s:
                    return frame.CPU_TIME if used >= cpu_s else frame.WALL_TIME
                left = min(cpu_s - used, wall_s - passed)
        finally:
            if _PIDFD:
                os.close(case)

    def _has_ended(self, pid: int) -> bool:
        got, status, usage = os.wait4(pid, os.WNOHANG)
        if got:
            self.reaped = status, usage
        return bool(got)

    def _end(self, pid: int) -> tuple[int, float]:
        """Kill what is left of the case and reap it; the exit status and the CPU seconds of its first process."""
        if self.reaped is None:
            _kill(os.kill, pid)
        _kill(os.killpg, pid)
        status, usage = self.reaped or os.wait4(pid, 0)[1:]
        self.reaped = None
        deadline = time.monotonic() + _SWEEP_S
        while not _swept() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return status, usage.ru_utime + usage.ru_stime

    def _become_case(self, job: Job, names: dict[str, Any], files: list[int], wanted: limits.Plan) -> NoReturn:
        """In the new process: put every limit in place, tell the server so, run the program."""
        try:
            os.setsid()
            self.folder.enter()
            for target, source in enumerate(files):
                os.dup2(source, target)
            limits.apply(wanted)
            kernel.die_with_parent()
            if "random" in sys.modules:
                sys.modules["random"].seed(0)  # a fork takes a seed from the system; a score must not depend on it
            gc.enable()
            os.write(_STARTED_WRITE, b"1")
            os.closerange(_FIRST_FREE, _LAST)
            code = child.run(job, names, _reporter(_CLAIM), limits.free_memory)
        except BaseException:  # noqa: BLE001 - nothing may unwind into the server's loop; the exit code tells
            code = 125
        os._exit(code)


def _close_in(base: str) -> list[str]:
    """Put in place what holds for the server and all its cases; the names of the layers that the system grants."""
    layers = []
    uid = frame.NOBODY + os.getpid()
    if os.geteuid() == 0:
        os.chown(base, uid, uid)
        if kernel.leave_root(uid, os.__file__):
            layers.append("other-user")
        else:
            os.chown(base, 0, 0)
    for name, hold in (
        ("adopted-orphans", kernel.adopt_orphans),
        ("no-new-privileges", kernel.no_new_privileges),
        ("hidden-server", kernel.hide_memory),
    ):
        if hold():
            layers.append(name)
    return layers


def _outcome(reason: int | None, status: int) -> tuple[int, int]:
    if reason is not None:
        return reason, 0
    if os.WIFSIGNALED(status):
        return frame.SIGNALLED, os.WTERMSIG(status)
    return frame.EXITED, os.WEXITSTATUS(status)


def _has_started() -> bool:
    """Whether the process of the case got as far as the program. Only said before the program runs, so that no
    program can claim that it was never started and go ungraded."""
    try:
        return os.read(_STARTED_READ, 16) == b"1"
    except BlockingIOError:
        return False


def _kill(how: Callable[[int, int], None], pid: int) -> None:
    try:
        how(pid, _KILL)
    except (ProcessLookupError, PermissionError):
        return


def _swept() -> bool:
    """Kill adopted descendants; True when none is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return True
    for pid in kernel.children():
        _kill(os.kill, pid)
    return False


def _reporter(file: int) -> Callable[[str], None]:
    send = os.write

    def report(claim: str) -> None:
        data = memoryview(claim.encode())
        try:
            while data:
                data = data[send(file, data) :]
        except OSError:  # too long: the server sees the size
            return

    return report


def _send(data: bytes) -> None:
    try:
        _write_all(_WRITE, data)
    except BrokenPipeError:
        raise Gone from None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _scratch() -> int:
    """An anonymous file in memory, gone when the last process lets go of it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("case")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _arrange_files() -> None:
    """Move the pipes away from 0 and 1, and put files of a case's kind in their place, so that the streams that a case
    inherits are ready made."""
    os.dup2(0, _READ)
    os.dup2(1, _WRITE)
    for fd, target in zip(os.pipe(), (_STARTED_READ, _STARTED_WRITE), strict=True):
        os.dup2(fd, target)
        os.close(fd)
    os.set_blocking(_STARTED_READ, False)
    file = _scratch()
    for target in (0, 1, 2):
        os.dup2(file, target)
    os.close(file)
    sys.stdin = sys.__stdin__ = _stream(0, "r", "strict")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "w", "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")  # type: ignore[misc]


def _stream(fd: int, mode: str, errors: str) -> TextIOWrapper:
    # Not closed here on purpose: it lives as long as the process, and every case inherits it.
    return open(fd, mode, encoding="utf-8", errors=errors, closefd=False)  # type: ignore[return-value]


def main(base: str) -> None:
    """Serve; on the way out remove the working folder, which the parent may no longer be there to do."""
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # the site module, left out, would add them
    os.environ.clear()
    sys.argv = [""]
    _arrange_files()
    try:
        server = Server(base)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it: there is no other reader
        _send(frame.note(frame.FAILED, f"{type(error).__name__}: {error}"))
        return
    try:
        server.serve()
    finally:
        server.folder.remove()


if __name__ == "__main__":
    main(sys.argv[1])
