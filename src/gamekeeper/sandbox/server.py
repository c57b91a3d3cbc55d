"""The fork server: a small interpreter that starts once, inside the isolation, and forks a process for every case.

Why a server: an interpreter takes 12 ms to start, a fork of a small one under 1 ms. Why not fork the caller: it may
hold gigabytes, and its memory holds the expected values. The server is told no expectations and never sees a case: its
process reads the source and the input itself, and what it wrote goes from file to pipe without passing through here. So
no later case finds an earlier one in the memory that it inherits.

What a fork costs is the pages that are touched after it, on both sides. So the server does little for a case, keeps
what it needs ready made, and rehearses before the first one. Tried and given up, because they made no difference or
were slower: mapping the interpreter's code privately, so that forks copy its page tables; a new interpreter without
ctypes after the isolation is up.

Standard library only, and no import of the package: it is started in an empty environment, its folder on the path
only while it is imported, so that the untrusted code finds the standard library and nothing of ours.
"""

from __future__ import annotations

import _signal
import builtins
import gc
import marshal
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import TextIOWrapper
    from typing import Any, NoReturn

    from gamekeeper.sandbox import child, ending, frame, kernel, launch, limits, stage, syscalls
else:
    import child
    import ending
    import frame
    import kernel
    import launch
    import limits
    import stage
    import syscalls

_CLAIM, _READ, _WRITE, _STARTED_READ, _STARTED_WRITE = 3, 10, 11, 12, 13
_OUTPUTS = (1, 2, _CLAIM)
_FIRST_FREE, _LAST = 4, 64
_REHEARSAL = "def f(x):\n    return [x + 1, (None, 1.5, 'a')]\n"


class Setup:
    """Limits and a prelude, worked out once for all the cases that have them."""

    def __init__(self, wanted: dict[str, Any], measure: Callable[[], int], tasks: limits.TaskLimit) -> None:
        self.bounds, self.tasks = wanted["limits"], tasks
        self.cpu_s, self.wall_s, self.output = (self.bounds[k] for k in ("cpu_s", "wall_s", "output_bytes"))
        self.memory = self.bounds["memory_mb"] << 20
        self.trouble = ""
        self.module = child.main_module(self._run(wanted["prelude"]))
        self.size = measure()
        self._plan = limits.plan(self.bounds, self.size, tasks.allowing(self.bounds["processes"]))

    def _run(self, prelude: str) -> dict[str, Any]:
        """The names that the prelude leaves."""
        if not prelude:
            return {}
        space: dict[str, Any] = {"__name__": "prelude"}
        try:
            exec(compile(prelude, "<prelude>", "exec"), space)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the caller's own code: it hears of it with each case
            self.trouble = f"the prelude failed: {type(error).__name__}: {error}"
        return {k: v for k, v in space.items() if k not in ("__name__", "__builtins__")}

    @property
    def plan(self) -> limits.Plan:
        if self.tasks.is_stale():
            self._plan = limits.plan(self.bounds, self.size, self.tasks.allowing(self.bounds["processes"]))
        return self._plan


class Server:
    """The loop and what it keeps between cases: setups, an empty working folder, files for a case to write to."""

    def __init__(self, ground: stage.Stage, parent: int) -> None:
        self.ground = ground
        self.seeing = "pid-namespace" not in ground.held  # other processes are in sight
        self.filtered = self.seeing and "seccomp" in ground.held
        self.tasks = limits.TaskLimit(limits.counted_alone(ground.held), unneeded=self.filtered)
        self.end = ending.Ending(ground, parent, _READ)
        self.setups: list[Setup] = []
        limits.settle()
        self.folder = ground.folder
        self.folder.enter()
        self._rehearse()

    def _rehearse(self) -> None:
        """Run a program of our own here, so that what Python sets up on first use is not set up in every case."""
        job = {"source": _REHEARSAL, "kind": "function", "name": "f", "args": [1]}
        main, report = sys.modules["__main__"], _reporter(os.open(os.devnull, os.O_WRONLY))
        for _ in range(16):
            child.run(job, child.main_module({}), report, limits.free_memory)
        sys.modules["__main__"] = main

    def _settle(self) -> int:
        """The server's own size. The collector is kept off its pages: a touched page is copied by a fork."""
        gc.collect()
        kernel.return_free_memory()
        gc.freeze()
        gc.disable()
        return limits.own_size(self.ground.size_file)

    # Talking to the parent

    def serve(self) -> None:
        """Answer cases until the parent is gone."""
        refused = "".join(f"\n{name}={reason}" for name, reason in self.ground.refused.items())
        _send(frame.note(frame.GREETING, ",".join(["process", "limits", *self.ground.held]) + refused))
        size = frame.HEAD.size
        while True:
            kind, number, length = frame.HEAD.unpack(_receive(size))
            if kind == frame.CASE:
                self._case(self.setups[number], length)
            else:
                self._set_up(marshal.loads(_receive(number)))

    def _set_up(self, wanted: dict[str, Any]) -> None:
        self.setups.append(Setup(wanted, self._settle, self.tasks))

    # One case

    def _case(self, setup: Setup, length: int) -> None:
        plan, start = setup.plan, time.monotonic()
        if setup.trouble:
            _receive(length)
            _send(frame.note(frame.NOT_STARTED, setup.trouble))
            return
        try:
            pid = os.fork()
        except OSError as error:
            self._leave(f"no process for the case: {error}", answer=frame.NOT_STARTED)
        if pid == 0:
            self._become_case(setup, plan, length)
        reason = self.end.watch(pid, setup, start)
        ended = time.monotonic()
        status, cpu = self.end.reap(pid, reason is not None)
        if reason is None and ending.overdrawn(cpu, setup.cpu_s):
            reason = frame.CPU_TIME
        if not _begun():
            self._leave("the process of the case could not be set up", answer=frame.NOT_STARTED)
        trouble = self._clean()  # before the answer: what goes wrong in it is this case's doing and not the next one's
        self._answer(setup.output, reason, status, (cpu, ended - start))
        if trouble:
            self._leave(trouble)

    def _leave(self, why: str, answer: int | None = None) -> NoReturn:
        """End this server between two cases, and say so; after this answer, if there is none yet.

        How much of the last body has been read may not be known; the rest of it must not be read here.
        """
        if answer is not None:
            _send(frame.note(answer, why))
        _send(frame.note(frame.LEAVING, why))
        raise stage.Closed

    def _clean(self) -> str:
        """Make the folder ready for the next case; what is in the way of that."""
        try:
            if self.folder.clean():
                self.folder.enter()
        except OSError as error:
            return f"the working folder cannot be cleaned: {error}"
        return ""

    def _answer(self, most: int, reason: int | None, status: int, times: tuple[float, float]) -> None:
        out, err, claim = wrote = [os.lseek(fd, 0, os.SEEK_END) for fd in _OUTPUTS]
        kind, number = ending.outcome(reason, status)
        if reason is None and (out > most or claim > most):
            kind = frame.OUTPUT
        out, err, claim = sizes = [min(size, most) for size in wrote]
        _send(frame.ANSWER.pack(kind, number, *times, out, err, claim, 0))
        for fd, size in zip(_OUTPUTS, sizes, strict=True):
            _copy(fd, size)
        try:
            for fd in (0, *_OUTPUTS):  # new ones, also where nothing was written: a file's flags could be a message
                _renew(fd, self.ground.files)
        except OSError as error:
            self._leave(f"no files for the next case: {error}")

    def _become_case(self, setup: Setup, plan: limits.Plan, length: int) -> NoReturn:
        """In the new process: read the job, put every limit in place, say so, run the program."""
        try:
            job = marshal.loads(_receive(length))
            if job["stdin"]:
                _feed(job.pop("stdin"))
            if self.seeing:
                os.setsid()
                kernel.die_with_parent()
            limits.apply(plan, 3 * length)
            if self.filtered:
                kernel.install_filter(syscalls.case_filter(kernel.machine(), os.getpid()))
            if "random" in sys.modules:
                sys.modules["random"].seed(0)  # a fork takes a seed from the system; a score must not depend on it
            gc.enable()
            os.write(_STARTED_WRITE, b"1")
            os.closerange(_FIRST_FREE, _LAST)
            code = child.run(job, setup.module, _reporter(_CLAIM), limits.free_memory)
        except BaseException:  # noqa: BLE001 - nothing may unwind into the server's loop; the exit code tells
            code = 125
        os._exit(code)


def _begun() -> bool:
    """Whether the process got as far as its program. Only said before the program runs, so that no program can claim
    that it was never started and go ungraded."""
    try:
        return bool(os.read(_STARTED_READ, 64))
    except BlockingIOError:
        return False


def _receive(size: int) -> bytes:
    """So many bytes from the parent."""
    data = os.read(_READ, min(size, 1 << 20)) if size else b""
    if len(data) == size:
        return data
    parts = [data]
    while data:
        size -= len(data)
        data = os.read(_READ, min(size, 1 << 20)) if size else b""
        parts.append(data)
    if size:
        raise stage.Closed
    return b"".join(parts)


def _send(data: bytes) -> None:
    try:
        _write_all(_WRITE, data)
    except BrokenPipeError:
        raise stage.Closed from None


def _copy(file: int, size: int) -> None:
    """Send the beginning of a file without taking it into this process's memory, where the system can."""
    at = 0
    try:
        while kernel.LINUX and at < size and (sent := os.sendfile(_WRITE, file, at, size - at)):
            at += sent
        while at < size:  # elsewhere only a socket can be sent to; a file that was cut meanwhile is filled up
            at += os.write(_WRITE, os.pread(file, min(size - at, 1 << 16), at) or b"\0")
    except BrokenPipeError:
        raise stage.Closed from None


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


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _feed(text: str) -> None:
    _write_all(0, text.encode("utf-8", "surrogatepass"))
    os.lseek(0, 0, os.SEEK_SET)


def _renew(fd: int, folder: int) -> None:
    """Put an empty file in a descriptor's place."""
    file = _scratch(folder)
    if file != fd:
        os.dup2(file, fd)
        os.close(file)


def _scratch(folder: int) -> int:
    """A nameless file in memory, gone when the last process lets go of it."""
    if folder >= 0:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600, dir_fd=folder)
    if hasattr(os, "memfd_create"):
        return os.memfd_create("case")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _arrange_files(folder: int) -> None:
    """Move the pipes away from 0 and 1, and put files of a case's kind in their place, so that the streams that a case
    inherits are ready made."""
    os.dup2(0, _READ)
    os.dup2(1, _WRITE)
    for fd, target in zip(os.pipe(), (_STARTED_READ, _STARTED_WRITE), strict=True):
        os.dup2(fd, target)
        os.close(fd)
    os.set_blocking(_STARTED_READ, False)
    for fd in (0, *_OUTPUTS):
        _renew(fd, folder)
    sys.stdin = sys.__stdin__ = _stream(0, "r", "strict")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "w", "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")  # type: ignore[misc]


def _stream(fd: int, mode: str, errors: str) -> TextIOWrapper:
    # Not closed here on purpose: it lives as long as the process, and every case inherits it.
    return open(fd, mode, encoding="utf-8", errors=errors, closefd=False)  # type: ignore[return-value]


def _serve(ground: stage.Stage, parent: int) -> None:
    """In the process that becomes the server: the last layers, then the loop."""
    if ground.packages:
        sys.path.append(ground.package_folder())
    server = Server(ground, parent)
    server.serve()


def main() -> None:
    """Set up and serve; whatever goes wrong before the greeting is told in its place."""
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # the site module, left out, would add them
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # Python's handler would let a case interrupt the server
    os.environ.clear()
    base, wanted, *packages = sys.argv[1:]
    sys.argv = [""]
    ground = stage.Stage(base, frozenset(wanted.split(",")), packages)
    launch.launch(
        ground, lambda: _arrange_files(ground.files), _serve, lambda text: _send(frame.note(frame.FAILED, text))
    )
