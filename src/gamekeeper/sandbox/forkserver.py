"""The caller's end of one fork server: its process, its pipes, and the cases that it has been sent."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path

from gamekeeper.errors import CouldNotLook
from gamekeeper.sandbox import frame
from gamekeeper.sandbox.layers import LAYERS
from gamekeeper.sandbox.limits import processes
from gamekeeper.sandbox.records import Case, Limits, Program
from gamekeeper.sandbox.wire import Answer, AnswerReader, write_case, write_setup

_FOLDER = Path(__file__).parent
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); import server; del sys.path[0]; server.main()"
_START_S = 30.0
_PIPE_BYTES = 1 << 16
_OPTIONS = ("-s", "-S", "-P", "-B", "-X", "utf8")
Work = tuple[int, Program, Case]


class ServerLost(CouldNotLook):
    """A fork server that cannot start, has died, or has stopped answering."""


class ServerLeft(ServerLost):
    """A fork server that ends between two cases: no case is to blame."""


class ForkServer:
    """One server process and the cases that have been sent to it.

    layers: those that hold; refused: the others with the reason. wanted, packages: what to try and what to show.
    """

    def __init__(self, wanted: Sequence[str] = tuple(LAYERS), packages: Sequence[Path] = ()) -> None:
        _compile_once()
        self.base = _folder(packages)
        self.layers: tuple[str, ...] = ()
        self.refused: dict[str, str] = {}
        self.fresh = True  # it has been sent no case yet
        self.setups: dict[tuple[str, Limits], int] = {}
        self.waiting: deque[Work] = deque()
        self.outgoing = bytearray()
        self.reader = AnswerReader()
        self.heard = time.monotonic()
        try:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *_OPTIONS,
                    "-c",
                    _START,
                    str(_FOLDER),
                    self.base,
                    ",".join(wanted),
                    *map(str, packages),
                ],
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
        self._read_greeting()

    def _read_greeting(self) -> None:
        deadline = time.monotonic() + _START_S
        try:
            while True:
                for answer in self.receive():
                    if answer.kind != frame.GREETING:
                        raise ServerLost(f"the fork server failed to start: {answer.note}")
                    held, *refused = answer.note.split("\n")
                    self.layers = tuple(held.split(","))
                    self.refused = dict(line.split("=", 1) for line in refused)
                    return
                left = deadline - time.monotonic()
                if left <= 0 or not ready({self.of: select.POLLIN}, left):
                    raise ServerLost(f"the fork server did not answer within {_START_S:g} s")
        except ServerLost:
            self.kill()
            raise

    def push(self, work: Work, limits: Limits) -> None:
        if not self.waiting:
            self.heard = time.monotonic()
        self.fresh = False
        self.waiting.append(work)
        _, program, case = work
        key = program.prelude, limits
        if key not in self.setups:
            self.setups[key] = len(self.setups)
            self.outgoing += write_setup(*key)
        self.outgoing += write_case(program, case, self.setups[key])

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
                data = os.read(self.of, _PIPE_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise ServerLost("the fork server is gone")
            self.heard = time.monotonic()
            yield from self.reader.feed(data)
            if len(data) < _PIPE_BYTES:  # all there was: to ask again would cost more than to wait
                return

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


def ready(events: dict[int, int], seconds: float) -> bool:
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


@functools.cache
def _compile_once() -> None:
    """Have the server's modules as bytecode: compiling leaves holes in memory, which make every fork dearer."""
    for path in _FOLDER.glob("*.py"):
        SourceFileLoader(path.stem, str(path)).get_code(path.stem)


def _folder(packages: Sequence[Path]) -> str:
    """A new folder for a server: work for its cases, and links to packages."""
    try:
        base = tempfile.mkdtemp(prefix="gamekeeper-")
        os.mkdir(f"{base}/work", 0o700)
        os.mkdir(f"{base}/packages", 0o755)
        for path in packages:
            os.symlink(path, f"{base}/packages/{path.name}")
    except OSError as error:
        raise ServerLost(f"no folder for the fork server: {error}") from None
    return base


def _environment() -> dict[str, str]:
    # A fixed hash seed: the order of a set of strings must not change a score from one run to the next. Symbols are
    # bound at the start and not in every fork; one thread is all that a numerical library gets in a case.
    fixed = {"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}
    return {**fixed, **kept}
