"""The caller's side: a few fork servers, cases dealt out to them, results gathered and read with suspicion.

A server that dies or falls silent is replaced. The case that it was at is tried once more, as the first one of a fresh
server, where no other case can be at fault; if that goes down too, the case is to blame and its result is "killed". A
server may also leave, which is nobody's fault. Where no server can be had at all, results say "isolation-failed" with
the reason: the caller must not take that for the program's failure.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import select
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gamekeeper.errors import UsageError
from gamekeeper.sandbox import frame
from gamekeeper.sandbox.forkserver import ForkServer, ServerLeft, ServerLost, Work, ready
from gamekeeper.sandbox.layers import LAYERS, IsolationTooLow, check_level, default_level, level_of, require
from gamekeeper.sandbox.records import Case, CaseResult, Limits, Program
from gamekeeper.sandbox.wire import read_result

_GRACE_S = 10.0
_AHEAD_BYTES = 1 << 16
_AHEAD_CASES = 16
_TRIES = 2
Job = tuple[Program, Sequence[Case]]
DEFAULT_LIMITS = Limits()


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

    def take_back(self, waiting: deque[Work], blame: bool) -> None:
        """Put the cases of a lost server back in front, unless the first has now brought down its second."""
        if waiting and blame:
            at = waiting[0][0]
            self.downs[at] += 1
            if self.downs[at] >= _TRIES:
                self.results[at] = CaseResult("killed", detail="it brought down the fork server, twice")
                waiting.popleft()
        self.todo.extendleft(reversed(waiting))

    def next_is_suspect(self) -> bool:
        """Whether the next case was at hand when a server went down."""
        return self.downs[self.todo[0][0]] > 0

    def in_order(self, missing: str = "") -> list[CaseResult]:
        return [self.results.get(i) or CaseResult("isolation-failed", detail=missing) for i in range(len(self.work))]


_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


class Sandbox:
    """Runs untrusted programs, each case in a process of its own. Safe to share between threads; they take turns.

    workers: how many cases run at once; by default one a core, at most 2. require: the isolation level below which
    nothing runs: `IsolationTooLow`. packages: names of installed packages that programs may import, e.g. numpy.
    without: layers to leave out, for tests of the other layers.
    Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        require: str | None = None,
        packages: Sequence[str] = (),
        without: Collection[str] = (),
    ) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"A sandbox needs at least 1 worker, got {workers}.")
        self.workers = workers or min(2, os.cpu_count() or 1)
        self.required = check_level(require) if require else None
        self.packages = find_packages(packages)
        self.wanted = tuple(name for name in LAYERS if name not in without)
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
        return self._first_server().layers

    def refused(self) -> dict[str, str]:
        """The other layers, each with the system's reason."""
        return self._first_server().refused

    def level(self) -> str:
        """The isolation level that cases run at: one of LEVELS."""
        return level_of(self.layers())

    def _first_server(self) -> ForkServer:
        with self._lock:
            self._check_floor()
            self._grow(1)
            return self._servers[0]

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
            self._check_floor()
            while batch.left:
                self._grow(min(self.workers, batch.left))
                for server in list(self._servers):
                    try:
                        self._exchange(server, batch)
                    except ServerLost as lost:
                        self._servers.remove(server)
                        server.kill()
                        batch.take_back(server.waiting, blame=not isinstance(lost, ServerLeft))
                self._await(batch.limits)
        except ServerLost as lost:
            self._drop_all()
            return batch.in_order(str(lost))
        except BaseException:  # taken down and raised again
            # Interrupted half-way, the servers hold cases of this call: the next call must not read their results.
            self._drop_all()
            raise
        return batch.in_order()

    def _exchange(self, server: ForkServer, batch: _Batch) -> None:
        self._take_in(server, batch)
        self._deal(server, batch)
        try:
            server.flush()
        except ServerLost:
            self._take_in(server, batch)  # it may have answered, and said that it leaves, before it was gone
            raise
        if server.waiting and time.monotonic() - server.heard > batch.limits.wall_s + _GRACE_S:
            raise ServerLost("the fork server has stopped answering")

    def _take_in(self, server: ForkServer, batch: _Batch) -> None:
        """Read the answers that have arrived."""
        for answer in server.receive():
            if answer.kind == frame.LEAVING:
                raise ServerLeft(answer.note)
            if not server.waiting:
                raise ServerLost("the fork server answered without a question")
            index, program, _ = server.waiting[0]
            try:
                batch.results[index] = read_result(program, answer)
            except ValueError as error:
                raise ServerLost(f"the fork server sent nonsense: {error}") from None
            server.waiting.popleft()

    def _deal(self, server: ForkServer, batch: _Batch) -> None:
        """Queue cases at a server as far as there is room."""
        while batch.todo and len(server.waiting) < _AHEAD_CASES and len(server.outgoing) < _AHEAD_BYTES:
            if batch.next_is_suspect() and not server.fresh:
                if server.waiting:
                    return
                raise ServerLeft("a case that brought down its server needs a fresh one")
            server.push(batch.todo.popleft(), batch.limits)

    def _await(self, limits: Limits) -> None:
        """Sleep until a server has news or takes more."""
        busy = [s for s in self._servers if s.waiting]
        if busy:
            silent = max(time.monotonic() - s.heard for s in busy)
            left = max(0.01, limits.wall_s + _GRACE_S - silent + 0.01)
            ready({**{s.of: select.POLLIN for s in busy}, **{s.to: select.POLLOUT for s in busy if s.outgoing}}, left)

    def _check_floor(self) -> None:
        """Before each call: what is required may have been raised since a server was started."""
        for server in self._servers:
            require(server.layers, server.refused, self.required or default_level())

    def _grow(self, count: int) -> None:
        while len(self._servers) < count:
            level = self.required or default_level()  # a misspelt one is told before a server is started
            server = ForkServer(self.wanted, self.packages)
            try:
                require(server.layers, server.refused, level)
            except IsolationTooLow:
                server.kill()  # a server that is not in the list cannot be taken for one that was let in
                raise
            self._servers.append(server)

    def _drop_all(self) -> None:
        while self._servers:
            self._servers.pop().kill()

    def forget(self) -> None:
        """For a forked copy of the process: let go of the servers, which are the original's."""
        self._lock = threading.Lock()
        while self._servers:
            self._servers.pop().forget()


def find_packages(names: Sequence[str]) -> tuple[Path, ...]:
    """Where installed packages lie, with the shared libraries that wheels put beside them."""
    found: list[Path] = []
    for name in names:
        origin = _origin(name)
        if origin is None:
            raise UsageError(f"The package {name!r} is not installed. Give names of installed packages, e.g. numpy.")
        place = Path(origin)
        if not place.exists():  # "built-in" or "frozen": no place that could be shown
            raise UsageError(
                f"{name!r} has no files: it comes with Python ({origin}). Programs have it without asking."
            )
        place = place.parent if place.name == "__init__.py" else place
        found += [place, *(p for p in [place.with_name(f"{name}.libs")] if p.is_dir())]
    return tuple(found)


def _origin(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except ValueError:  # of __main__ and the like: there is a module, but nothing to find it by
        return None
    return spec.origin if spec is not None else None


def _forget_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox.forget()


os.register_at_fork(after_in_child=_forget_all)
_shared = Sandbox()
atexit.register(_shared.close)
_others: dict[tuple[str, ...], Sandbox] = {}  # the same with packages at hand, by their names


def require_isolation(level: str | None = None) -> str:
    """Start the process's own shared sandbox now and refuse to go on below a level; the level that holds.

    Raises IsolationTooLow. From here on the shared sandbox requires that level.
    """
    if level is not None:
        _shared.required = check_level(level)
    for box in _others.values():
        box.close()  # started below the level, perhaps
    reached = _shared.level()
    require(_shared.layers(), _shared.refused(), _shared.required or default_level())
    return reached


def _sandbox(packages: tuple[str, ...]) -> Sandbox:
    """The process's own sandbox with these packages at hand; what is required of one is required of all."""
    if not packages:
        return _shared
    if packages not in _others:
        _others[packages] = Sandbox(packages=packages)
        atexit.register(_others[packages].close)
    _others[packages].required = _shared.required
    return _others[packages]


def run_many(
    jobs: Sequence[Job], limits: Limits = DEFAULT_LIMITS, packages: tuple[str, ...] = ()
) -> list[list[CaseResult]]:
    """`Sandbox.run_many` on the process's own shared sandbox with these packages, started on first use."""
    return _sandbox(packages).run_many(jobs, limits)


def run_cases(program: Program, cases: Sequence[Case], limits: Limits = DEFAULT_LIMITS) -> list[CaseResult]:
    """`Sandbox.run_cases` on the process's own shared sandbox, started on first use."""
    return _shared.run_cases(program, cases, limits)
