"""The throw-away child in which the target lives: it loads the grader once and forks for each batch of calls.

A fork is cheap and forgets: a payload that ends its process, patches `builtins` or never returns takes one fork with
it and no more. Its result travels over a pipe of its own, one message a call, so that calls before a death are kept.
"""

from __future__ import annotations

import builtins
import importlib
import json
import math
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from gamekeeper.audit import jail, wire
from gamekeeper.audit.finding import Example
from gamekeeper.audit.rewards import as_reward
from gamekeeper.audit.target import Grader, Spec
from gamekeeper.sandbox import kernel
from gamekeeper.sandbox.folder import remove

START_S = 120.0
SWEEP_S = 5.0
_BY_PATH = " (calls run in an empty folder: open what lies in yours by its full path, or when the module is loaded)"


def main() -> None:
    """Entry of the fresh interpreter: the two descriptors are on the command line, the job is the first message."""
    reading, writing, scratch = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    serve(reading, writing, scratch, wire.receive(reading), None)


def serve(reading: int, writing: int, scratch: str, job: dict[str, Any], grader: Grader | None) -> None:
    """Isolate, load and answer, until the other end closes its pipe."""
    kernel.adopt_orphans()
    auditor, jailed = os.getppid(), os.fork()
    if jailed:
        os.close(reading)
        os.close(writing)
        _keep_house(auditor, jailed, scratch)
    kernel.die_with_parent()
    layers = jail.enter(scratch, job["keep"], job["network"])
    pid = os.fork()
    if pid:
        os.close(reading)
        os.close(writing)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        os._exit(0)
    kernel.die_with_parent()
    home = "/tmp" if "files" in layers else scratch  # it stands there even if the layer turns out not to hold
    layers = jail.lock(layers)
    _settle(home, job["own_home"])
    jail.limit(job["memory_mb"])
    server = Server(reading, writing, grader)
    with suppress(wire.Silent, BrokenPipeError):
        server.start(job, layers)
        server.loop()
    os._exit(0)


def _keep_house(auditor: int, jailed: int, scratch: str) -> NoReturn:
    """Wait outside of the jail; when the auditor was killed, nobody else ends the jail and clears its folder."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(jailed, signal.SIGKILL))
    kernel.die_with_parent(signal.SIGTERM)
    if os.getppid() != auditor:
        os.kill(jailed, signal.SIGKILL)
    os.waitpid(jailed, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Orphans().end()
    for _ in range(20):
        if os.getppid() == auditor or not os.path.exists(scratch):
            break
        with suppress(OSError):
            remove(scratch)
        time.sleep(0.05)
    os._exit(0)


def _settle(home: str, own_home: bool) -> None:
    os.chdir(home)
    os.environ["TMPDIR"] = home
    if own_home:
        os.environ["HOME"] = home
    tempfile.tempdir = None
    quiet = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    # In a fork of the caller these may be anything, such as what pytest captures with.
    sys.stdin, sys.stdout, sys.stderr = (open(os.devnull, mode, encoding="utf-8") for mode in "rww")  # noqa: SIM115


class Orphans:
    """What a call started and left behind, for the process that has to end it: such processes become its children.

    Where there is a process space they end with it, but too late for a grader that starts one in each call.
    """

    def __init__(self) -> None:
        kernel.adopt_orphans()
        self._file = kernel.own_file(f"task/{os.getpid()}/children")
        self.spared: frozenset[int] = frozenset()

    def spare(self) -> None:
        """Those of now are not orphans: loading the target started them."""
        self.spared = frozenset(kernel.children(self._file))

    def end(self) -> None:
        """Kill them, then those whom they leave, and so on."""
        until = time.monotonic() + SWEEP_S
        while (found := set(kernel.children(self._file)) - self.spared) and time.monotonic() < until:
            for pid in found:
                _end(pid)


class Server:
    """The loop over requests, and the forks that serve them."""

    def __init__(self, reading: int, writing: int, grader: Grader | None) -> None:
        self.reading, self.writing, self.grader = reading, writing, grader
        self.items: list[Example] = []
        self.binding, self.folder = 0, "/"
        self.orphans = Orphans()

    def start(self, job: dict[str, Any], layers: list[str]) -> None:
        """Load the adapter and say what it is; an error of the target's own import is passed on.

        It is loaded in the caller's folder, where it expects its files, and called elsewhere: replies may write.
        """
        said: dict[str, Any] = {"layers": layers}
        self.folder, home = job["spec"]["folder"], os.getcwd()
        try:
            os.chdir(self.folder)
            if self.grader is None:
                spec = Spec(**job["spec"])
                self.grader = importlib.import_module(job["adapter"]).open_grader(spec)
            spec = job["spec"]
            examples = self.grader.examples(spec["count"], spec["seed"])
            said |= {
                "kind": self.grader.kind,
                "source": self.grader.source(),
                "bindings": list(self.grader.bindings),
                "examples": [as_json(e) for e in examples],
                "answers": getattr(self.grader, "answers", list)(),
            }
        except BaseException as error:  # noqa: BLE001 - the target's import may raise anything, SystemExit included
            said |= {"error": _words_of(error)[:2000], "usage": getattr(error, "exit_code", None)}
        os.chdir(home)
        self.orphans.spare()
        wire.send(self.writing, said)

    def loop(self) -> None:
        while True:
            asked = wire.receive(self.reading)
            if asked["op"] == "use":
                self.items = [Example.from_json(e) for e in asked["examples"]]
                self.binding = asked["binding"]
                wire.send(self.writing, {})
            else:
                wire.send(self.writing, {"results": self.answer(asked)})

    def answer(self, asked: dict[str, Any]) -> list[list[Any]]:
        calls, wall = [(i, tuple(turns)) for i, turns in asked["calls"]], asked["wall_s"]
        if asked["op"] == "together":
            return self._forked([calls], wall, together=True)[0]
        done: list[list[Any]] = []
        while len(done) < len(calls):
            batch = calls[len(done) : len(done) + 1] if asked["alone"] else calls[len(done) :]
            done += self._forked(batch, wall)
        return done

    def _forked(self, work: Sequence[Any], wall: float, together: bool = False) -> list[Any]:
        """Results of the calls up to the first that ends its process, which is the last one returned."""
        ours, theirs = os.pipe()
        folder = tempfile.mkdtemp(prefix="run-")
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            self._child(theirs, folder, work, together)
        os.close(theirs)
        results: list[Any] = []
        try:
            while len(results) < len(work):
                results.append(_checked(wire.receive(ours, wall), len(work[0]) if together else None))
        except wire.Silent as end:
            lost = [None, "", "timeout" if str(end) == "timeout" else "died", wall]
            results.append([lost] * len(work[0]) if together else lost)
        finally:
            os.close(ours)
            _end(pid)
            self.orphans.end()
            with suppress(OSError):
                remove(folder)
        return results

    def _child(self, fd: int, folder: str, work: Sequence[Any], together: bool) -> None:
        kernel.die_with_parent()
        os.close(self.reading)  # what a reply writes to every descriptor must not reach the auditor
        os.close(self.writing)
        os.setsid()
        os.chdir(folder)
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = None
        mine = os.getpid()
        for call in work:
            result = self._together(call) if together else self._one(*call)
            if os.getpid() != mine:
                os._exit(0)  # the target forked and returned in both: one of them is to be heard
            wire.send(fd, result)
        os._exit(0)

    def _one(self, index: int, turns: tuple[str, ...]) -> list[Any]:
        assert self.grader is not None
        clock = time.perf_counter
        started, kept = clock(), [(vars(m), dict(vars(m))) for m in _PATCHABLE]
        try:
            value = _awaited(self.grader.grade(self.items[index], turns, self.binding))
            _restored(kept)
            return [as_reward(value), "", "", clock() - started]
        except BaseException as error:  # noqa: BLE001 - whatever the target raises is what there is to report
            _restored(kept)
            return [None, self._told(error), "", clock() - started]

    def _together(self, calls: Sequence[tuple[int, tuple[str, ...]]]) -> list[list[Any]]:
        assert self.grader is not None
        try:
            examples, turns = [self.items[i] for i, _ in calls], [t for _, t in calls]
            found = list(_awaited(self.grader.grade_together(examples, turns, self.binding)))
            if len(found) != len(calls):
                raise ValueError(f"{len(found)} rewards for {len(calls)} replies")
            return [[as_reward(r), "", "", 0.0] for r in found]
        except BaseException as error:  # noqa: BLE001 - as above
            return [[None, self._told(error), "", 0.0] for _ in calls]

    def _told(self, error: BaseException) -> str:
        name = getattr(error, "filename", None)
        missed = isinstance(error, FileNotFoundError) and isinstance(name, str) and not os.path.isabs(name)
        advice = _BY_PATH if missed and os.path.exists(os.path.join(self.folder, str(name))) else ""
        return _words_of(error)[:300] + advice


def _words_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the target's exception may raise when it is asked for its text
        return f"{type(error).__name__}: (its text cannot be had)"


# A reply that a grader runs in its own process may have replaced what the report of its reward is written with.
_PATCHABLE = (builtins, json, os, struct, math, time, wire)


def _restored(kept: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    for space, before in kept:
        space.update(before)


def _awaited(value: Any) -> Any:
    if isinstance(value, Coroutine):
        import asyncio

        return asyncio.run(value)
    return value


def _checked(result: Any, count: int | None) -> Any:
    """The result, or the list of so many, if it has the form of one: it was written beside untrusted code."""
    rows, wanted = ([result], 1) if count is None else (result, count)
    if not isinstance(rows, list) or len(rows) != wanted or not all(map(_is_row, rows)):
        raise wire.Silent("garbled")
    return result


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and [type(v) for v in row[1:]] == [str, str, float] and _is_reward(row[0])


def _is_reward(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def as_json(example: Example) -> dict[str, Any]:
    return {
        "prompt": example.prompt,
        "answer": example.answer,
        "columns": dict(example.columns),
        "good": [list(g) for g in example.good],
        "bad": [list(b) for b in example.bad],
        "messages": [dict(m) for m in example.messages],
    }
