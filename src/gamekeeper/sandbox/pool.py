"""The caller's side: a few fork servers, cases dealt out to them, results gathered and read with suspicion.

A server that dies or falls silent is replaced. The case that it was at is tried once more in a fresh one; if that one
goes down too, the case is to blame and its result is "killed". Where no server can be had at all, results say
"isolation-failed" with the reason: the caller must not take that for the program's failure.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gamekeeper.errors import UsageError
from gamekeeper.sandbox import frame
from gamekeeper.sandbox.limits import processes
from gamekeeper.sandbox.records import Case, CaseResult, Limits, Program
from gamekeeper.sandbox.wire import Answer, AnswerReader, read_result, write_case

_SERVER = Path(__file__).with_name("server.py")
_START_S = 30.0
_GRACE_S = 10.0
_AHEAD_BYTES = 1 << 16
_AHEAD_CASES = 16
_TRIES = 2
Work = tuple[int, Program, Case]
Job = tuple[Program, Sequence[Case]]
DEFAULT_LIMITS = Limits()


class ServerLost(Exception):
    """A fork server that cannot start, has died, or has stopped answering."""


class ForkServer:
    """One server process and the cases that have been sent to it."""

    def __init__(self) -> None:
        try:
            self.base = tempfile.mkdtemp(prefix="gamekeeper-")
        except OSError as error:
            raise ServerLost(f"no folder for the fork server: {error}") from None
        self.layers: tuple[str, ...] = ()
        self.waiting: deque[Work] = deque()
        self.outgoing = bytearray()
        self.reader = AnswerReader()
        self.heard = time.monotonic()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", str(_SERVER), self.base],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self.base, ignore_errors=True)
            raise ServerLost(f"the fork server cannot be started: {error}") from None
        self.to, self.of = (stream.fileno() for stream in (self.process.stdin, self.process.stdout) if stream)
        os.set_blocking(self.to, False)
        os.set_blocking(self.of, False)
        self.layers = self._greeting()

    def _greeting(self) -> tuple[str, ...]:
        deadline = time.monotonic() + _START_S
        try:
            while True:
                for answer in self.receive():
                    if answer.kind != frame.GREETING:
                        raise ServerLost(f"the fork server failed to start: {answer.note}")
                    return tuple(answer.note.split(","))
                left = deadline - time.monotonic()
                if left <= 0 or not _ready({self.of: select.POLLIN}, left):
                    raise ServerLost(f"the fork server did not answer within {_START_S:g} s")
        except ServerLost:
            self.kill()
            raise

    def push(self, work: Work, limits: Limits) -> None:
        if not self.waiting:
            self.heard = time.monotonic()
        self.waiting.append(work)
        self.outgoing += write_case(work[1], work[2], limits)

    def flush(self) -> None:
        """Write as much as the pipe takes."""
        try:
            while self.outgoing:
                del self.outgoing[: os.write(self.to, memoryview(self.outgoing)[: 1 << 20].tobytes())]
        except BlockingIOError:
            return
        except OSError as error:
            raise ServerLost(f"the fork server is gone: {error}") from None

    def receive(self) -> Iterator[Answer]:
        """The answers that have arrived."""
        while True:
            try:
                data = os.read(self.of, 1 << 20)
            except BlockingIOError:
                return
            if not data:
                raise ServerLost("the fork server is gone")
            self.heard = time.monotonic()
            yield from self.reader.feed(data)

    def kill(self) -> None:
        """End the process, what is left of its case, and its folder."""
        self.process.kill()
        self.process.wait()
        if self.waiting and "other-user" in self.layers:
            _kill_user(frame.NOBODY + self.process.pid)
        self.forget()
        shutil.rmtree(self.base, ignore_errors=True)

    def forget(self) -> None:
        """Close our ends without ending the process: it ends on its own when all holders of the pipe have."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.process.returncode = self.process.returncode if self.process.returncode is not None else 0


def _ready(events: dict[int, int], seconds: float) -> bool:
    """Wait until one of the descriptors is ready. Not `select`: that takes none above 1,023."""
    poll = select.poll()
    for fd, mask in events.items():
        poll.register(fd, mask)
    return bool(poll.poll(1000 * seconds))


def _kill_user(uid: int) -> None:
    """Kill every process of a user: a case that brought its server down has no one else to end it."""
    for _ in range(100):
        found = [pid for pid, owner, _ in processes() if owner == uid]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    # A fixed hash seed: the order of a set of strings must not change a score from one run to the next.
    kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}
    return {"PYTHONHASHSEED": "0", **kept}


@dataclass
class _Batch:
    """One call's cases: those to do, those done, and how often each was at hand when a server went down."""

    work: list[Work]
    limits: Limits
    todo: deque[Work] = field(init=False)
    results: dict[int, CaseResult] = field(default_factory=dict)
    downs: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.todo = deque(self.work)

    @property
    def left(self) -> int:
        return len(self.work) - len(self.results)

    def take_back(self, waiting: deque[Work]) -> None:
        """Put the cases of a lost server back in front, unless the first has now brought down its second."""
        if waiting:
            at = waiting[0][0]
            self.downs[at] += 1
            if self.downs[at] >= _TRIES:
                self.results[at] = CaseResult("killed", detail="it brought down the fork server, twice")
                waiting.popleft()
        self.todo.extendleft(reversed(waiting))

    def in_order(self, missing: str = "") -> list[CaseResult]:
        return [self.results.get(i) or CaseResult("isolation-failed", detail=missing) for i in range(len(self.work))]


_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


class Sandbox:
    """Runs untrusted programs, each case in a process of its own. Safe to share between threads; they take turns.

    workers: how many cases run at once; by default one a core, at most 2.
    Use it as a context manager, or call `close`.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"A sandbox needs at least 1 worker, got {workers}.")
        self.workers = workers or min(2, os.cpu_count() or 1)
        self._servers: list[ForkServer] = []
        self._lock = threading.Lock()
        _sandboxes.add(self)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the servers; a later run starts new ones."""
        with self._lock:
            self._drop_all()

    def layers(self) -> tuple[str, ...]:
        """The layers of isolation that hold on this machine; ServerLost if no server can be started."""
        with self._lock:
            self._grow(1)
            return self._servers[0].layers

    def run_cases(self, program: Program, cases: Sequence[Case], limits: Limits = DEFAULT_LIMITS) -> list[CaseResult]:
        """The result of each case of one program, in order."""
        return self.run_many([(program, cases)], limits)[0]

    def run_many(self, jobs: Sequence[Job], limits: Limits = DEFAULT_LIMITS) -> list[list[CaseResult]]:
        """The results of each program's cases, in order; one call keeps all workers busy."""
        work = [(program, case) for program, cases in jobs for case in cases]
        with self._lock:
            results = iter(self._run(_Batch([(i, *pair) for i, pair in enumerate(work)], limits)))
        return [[next(results) for _ in cases] for _, cases in jobs]

    def _run(self, batch: _Batch) -> list[CaseResult]:
        try:
            while batch.left:
                self._grow(min(self.workers, batch.left))
                for server in list(self._servers):
                    try:
                        self._exchange(server, batch)
                    except ServerLost:
                        self._servers.remove(server)
                        server.kill()
                        batch.take_back(server.waiting)
                self._await(batch.limits)
        except ServerLost as lost:
            self._drop_all()
            return batch.in_order(str(lost))
        except BaseException:
            # Interrupted half-way, the servers hold cases of this call: the next call must not read their results.
            self._drop_all()
            raise
        return batch.in_order()

    def _exchange(self, server: ForkServer, batch: _Batch) -> None:
        for answer in server.receive():
            if not server.waiting:
                raise ServerLost("the fork server answered without a question")
            index, program, _ = server.waiting[0]
            try:
                batch.results[index] = read_result(program, answer)
            except ValueError as error:
                raise ServerLost(f"the fork server sent nonsense: {error}") from None
            server.waiting.popleft()
        while batch.todo and len(server.waiting) < _AHEAD_CASES and len(server.outgoing) < _AHEAD_BYTES:
            server.push(batch.todo.popleft(), batch.limits)
        server.flush()
        if server.waiting and time.monotonic() - server.heard > batch.limits.wall_s + _GRACE_S:
            raise ServerLost("the fork server has stopped answering")

    def _await(self, limits: Limits) -> None:
        """Sleep until a server has news or takes more."""
        busy = [s for s in self._servers if s.waiting]
        if busy:
            silent = max(time.monotonic() - s.heard for s in busy)
            left = max(0.01, limits.wall_s + _GRACE_S - silent + 0.01)
            _ready({**{s.of: select.POLLIN for s in busy}, **{s.to: select.POLLOUT for s in busy if s.outgoing}}, left)

    def _grow(self, count: int) -> None:
        while len(self._servers) < count:
            self._servers.append(ForkServer())

    def _drop_all(self) -> None:
        while self._servers:
            self._servers.pop().kill()

    def forget(self) -> None:
        """For a forked copy of the process: let go of the servers, which are the original's."""
        self._lock = threading.Lock()
        while self._servers:
            self._servers.pop().forget()


def _forget_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox.forget()


os.register_at_fork(after_in_child=_forget_all)
_shared = Sandbox()
atexit.register(_shared.close)


def run_many(jobs: Sequence[Job], limits: Limits = DEFAULT_LIMITS) -> list[list[CaseResult]]:
    """`Sandbox.run_many` on the process's own shared sandbox, started on first use."""
    return _shared.run_many(jobs, limits)


def run_cases(program: Program, cases: Sequence[Case], limits: Limits = DEFAULT_LIMITS) -> list[CaseResult]:
    """`Sandbox.run_cases` on the process's own shared sandbox, started on first use."""
    return _shared.run_cases(program, cases, limits)
