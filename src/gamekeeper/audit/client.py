"""The auditor's end of the child: starting it without the caller's secrets, asking it, and leaving nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gamekeeper.audit import jail, wire
from gamekeeper.audit.finding import Example, Paid
from gamekeeper.audit.quoting import one_line
from gamekeeper.audit.target import Call, Grader, Limits, Spec
from gamekeeper.audit.worker import START_S, SWEEP_S, as_json, serve
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.sandbox.folder import remove
from gamekeeper.types import to_plain

_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TZ", "SYSTEMROOT")
_OURS = ("PYTHONHASHSEED", "TMPDIR")  # processes are told apart by the one, and write where the other says
_START = "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); from gamekeeper.audit.worker import main; main()"
_BATCH = 512
_NOT_LOADED = {
    "timeout": f"did not load within {START_S:g} s",
    "died": "ended its process while loading",
    "garbled": "wrote into the audit's own pipe while loading",
}


class ChildTarget:
    """A target in a process of its own. adapter: the module whose `open_grader` is called there; or a grader at hand,

    which then lives in a fork of this process (for functions that exist in no file, such as a test's closure).
    """

    truths = False

    def __init__(self, spec: Spec, adapter: str | Grader, limits: Limits, hash_seed: int = 0) -> None:
        self.spec, self.adapter, self.limits, self.hash_seed = spec, adapter, limits, hash_seed
        self.name, self.notes = spec.name, []  # type: tuple[str, list[str]]
        self._named = _named(limits.environment)
        self._scratch = tempfile.mkdtemp(prefix=jail.SCRATCH)
        self._pid, self._process = 0, None  # type: tuple[int, subprocess.Popen[bytes] | None]
        self.calls = 0
        to_child, self._to = os.pipe()
        self._of, from_child = os.pipe()
        try:
            try:
                self._start(to_child, from_child)
            finally:
                os.close(to_child)
                os.close(from_child)
            self._greet()
        except BaseException:  # an interrupt as well: the child and its folder must not stay behind
            self.close()
            raise

    def _job(self) -> dict[str, Any]:
        return {
            "spec": to_plain(self.spec),
            "adapter": self.adapter if isinstance(self.adapter, str) else "",
            "keep": [self.spec.folder, sys.prefix, sys.base_prefix, *filter(None, sys.path)],
            "network": self.limits.network,
            "memory_mb": self.limits.memory_mb,
            "own_home": "HOME" not in self._named,
        }

    def _start(self, reading: int, writing: int) -> None:
        if not isinstance(self.adapter, str):
            self._fork(reading, writing)
            return
        path, start = [*filter(None, sys.path), self.spec.folder], [sys.executable, "-B", "-c", _START]
        self._process = subprocess.Popen(
            [*start, json.dumps(path), str(reading), str(writing), self._scratch],
            env=self._environment(),
            pass_fds=(reading, writing),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._pid = self._process.pid

    def _fork(self, reading: int, writing: int) -> None:
        job = self._job()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of the caller are not used after the fork
            self._pid = os.fork()
        if self._pid == 0:
            try:  # whatever fails, the child must not go on with the caller's work
                os.close(self._to)
                os.close(self._of)
                kept = self._environment()
                os.environ.clear()
                os.environ.update(kept)
                jail.forget_environment()
                sys.dont_write_bytecode = True
                os.setsid()
                serve(reading, writing, self._scratch, job, self.adapter)  # type: ignore[arg-type]
            finally:
                os._exit(1)

    def _environment(self) -> dict[str, str]:
        kept = {k: os.environ[k] for k in _KEPT if k in os.environ}
        fixed = {"PYTHONHASHSEED": str(self.hash_seed), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
        quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        return {**kept, **fixed, **quiet, **self._named}

    def _greet(self) -> None:
        try:
            if self._process is not None:
                wire.send(self._to, self._job())
            said = wire.receive(self._of, START_S)
        except (wire.Silent, BrokenPipeError) as end:
            what = _NOT_LOADED.get(str(end), _NOT_LOADED["died"])
            raise CouldNotLook(f"The target {self.name!r} {what}. Import it by hand to see why.") from None
        if "error" in said:
            if said.get("usage") == 2:
                raise UsageError(one_line(said["error"].partition(": ")[2]))
            raise CouldNotLook(f"The target {self.name!r} does not load: {one_line(said['error'])}")
        self.kind, self.layers = str(said["kind"]), tuple(said["layers"])
        self.bindings: Sequence[str] = said["bindings"]
        self.answers: list[str] = said["answers"]
        self._source, self._own = str(said["source"]), [Example.from_json(e) for e in said["examples"]]

    # The protocol

    def source(self) -> str:
        return self._source

    def examples(self) -> list[Example]:
        return self._own

    def use(self, examples: Sequence[Example], binding: int = 0) -> None:
        self._in_use = (examples, binding)
        self._ask({"op": "use", "examples": [as_json(e) for e in examples], "binding": binding}, 60.0)

    def grade(self, calls: Sequence[Call], *, alone: bool = False, wall_s: float | None = None) -> list[Paid]:
        wall, results = wall_s or self.limits.wall_s, []  # type: tuple[float, list[Paid]]
        for start in range(0, len(calls), _BATCH):
            part = calls[start : start + _BATCH]
            said = self._ask({"op": "grade", "calls": part, "alone": alone, "wall_s": wall}, 60 + wall * 2 * len(part))
            results += [_paid(r) for r in said["results"]]
        self.calls += len(calls)
        return results

    def grade_together(self, calls: Sequence[Call]) -> list[Paid]:
        wall = self.limits.wall_s * max(1, len(calls))
        said = self._ask({"op": "together", "calls": list(calls), "wall_s": wall}, 60 + wall)
        self.calls += len(calls)
        return [_paid(r) for r in said["results"]]

    def again(self) -> ChildTarget:
        """A second child of the same target under another hash seed; a fork keeps the seed of its parent."""
        other = ChildTarget(self.spec, self.adapter, self.limits, hash_seed=self.hash_seed + 1)
        try:
            other.use(*self._in_use)
        except BaseException:  # nobody else knows of it
            other.close()
            raise
        return other

    def _ask(self, message: Mapping[str, Any], seconds: float) -> Any:
        try:
            wire.send(self._to, message)
            return wire.receive(self._of, seconds)
        except (wire.Silent, OSError) as end:
            raise CouldNotLook(
                f"The child process of the target {self.name!r} was lost ({end}). "
                "Raise --memory, or audit with fewer families (--only)."
            ) from None

    def close(self) -> None:
        fds, self._to, self._of = (self._to, self._of), -1, -1  # a second time, the numbers may be another's
        for fd in fds:
            with suppress(OSError):
                os.close(fd)
        if self._pid:
            _stop(self._pid)
        if self._process is not None:
            self._process.wait()  # it has ended; this tells the object so
        self._process, self._pid = None, 0
        with suppress(OSError):
            remove(self._scratch)

    def __enter__(self) -> ChildTarget:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _named(names: Sequence[str]) -> dict[str, str]:
    """The variables that the user passes by name. UsageError if one cannot be passed."""
    for name in names:
        key, mark, _ = name.partition("=")
        if mark:
            raise UsageError(
                f"--env {name} gives a value, and it takes a name. Write: {name} gamekeeper ... --env {key}"
            )
        if name in _OURS:
            raise UsageError(f"--env {name}: the audit needs this variable for itself. Leave it out.")
        if name not in os.environ:
            raise UsageError(f"--env {name}: no such variable is set. Write: {name}=... gamekeeper ... --env {name}")
    return {name: os.environ[name] for name in names}


def _stop(pid: int) -> None:
    """Ask the child to end all that the target started; end the child alone if it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + 2 * SWEEP_S
        while time.monotonic() < until:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(0.002)


def _paid(result: Sequence[Any]) -> Paid:
    reward, error, end, seconds = result
    return Paid(reward, error, end, seconds)
