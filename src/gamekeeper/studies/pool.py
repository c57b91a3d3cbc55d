"""Local workers: processes that stay for many cells, each with its share of the cores.

A worker that dies (killed, out of memory) takes down the cell that it was at, which fails with what is known of the
death, and a new one takes its place.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import Queue

from gamekeeper.studies.disk import disk_errors
from gamekeeper.studies.grid import Event, Task, log_of

_TAIL = 600
_PATIENCE_S = 10.0


def threads_for(workers: int) -> int:
    """Torch threads for each of so many workers: no more in all than there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // max(1, workers))


class Worker:
    """One process, started on first use, and the thread that listens to it."""

    def __init__(self, number: int, threads: int, logs: Path, news: Queue[Event]) -> None:
        self.threads, self.news = threads, news
        self.log = log_of(logs, f"worker-{number}")
        self.busy = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._ears: threading.Thread | None = None

    def start(self, task: Task) -> None:
        self.busy = task.address  # before looking whether it lives, so that a death from here on is reported
        if self._process is None or self._process.poll() is not None:
            self._leave()
            self._process = self._spawn()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died just now; the listener reports that
            self._process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self._process.stdin.flush()

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        with disk_errors(self.log), self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gamekeeper.studies.worker", str(self.threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **settings},
            )
        self._ears = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._ears.start()
        return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith(b"\n"):  # torn by its death
                break
            event = Event(**json.loads(line))
            if event.what != "at":
                self.busy = ""
            self.news.put(event)
        code = process.wait()
        if self.busy:
            address, self.busy = self.busy, ""
            self.news.put(Event(address, "failed", f"its worker died: {ending(code)}.{self._last_words()}"))

    def _last_words(self) -> str:
        text = self.log.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
        return f" It had said: {text} (all of it: {self.log})" if text else ""

    def stop(self) -> None:
        """End the process at once; what it was at can be gone on with."""
        self.busy = ""
        if self._process is not None:
            self._process.kill()
            self._leave()

    def _leave(self) -> None:
        """Let go of a process that has ended or is about to."""
        if self._process is not None and self._ears is not None:
            self._ears.join(_PATIENCE_S)
            heard_out = not self._ears.is_alive()  # else some child of the worker still holds the pipe
            for pipe in (self._process.stdin, self._process.stdout if heard_out else None):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            self._process = self._ears = None


def ending(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"it ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}" + (" (by hand, or for want of memory)" if name == "SIGKILL" else "")


class Pool:
    """`workers` local processes; see `grid.Executor`."""

    def __init__(self, workers: int, logs: Path, threads: int | None = None) -> None:
        self.workers = workers
        self._news: Queue[Event] = Queue()
        each = threads or threads_for(workers)
        self._all = [Worker(n, each, logs, self._news) for n in range(workers)]

    def start(self, task: Task) -> None:
        next(w for w in self._all if not w.busy).start(task)

    def next(self) -> Event:
        return self._news.get()

    def close(self) -> None:
        for worker in self._all:
            worker.stop()
