"""The caller's end of the frames: a case becomes bytes, an answer becomes a result.

What comes back was written next to untrusted code, so it is read as one reads a stranger's letter: sizes are bounded,
JSON may be deep or odd, and the claim is a claim.
"""

from __future__ import annotations

import json
import marshal
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gamekeeper.errors import UsageError
from gamekeeper.sandbox import frame
from gamekeeper.sandbox.records import FINISHED, Case, CaseResult, Limits, Opaque, PackedResult, Program
from gamekeeper.sandbox.values import read

_MOST_PARTS = 1_000_000
_LARGE_BYTES = 256
_STOPPED = {
    frame.CPU_TIME: ("timeout", "CPU time"),
    frame.WALL_TIME: ("timeout", "wall time"),
    frame.OUTPUT: ("output-limit", "more output than allowed"),
    frame.MEMORY: ("memory", "all its processes together"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame from the server."""

    kind: int
    number: int
    cpu_s: float
    wall_s: float
    stdout: str
    stderr: str
    claim: bytes
    note: str


class AnswerReader:
    """Cuts a stream into answers."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Answer]:
        """The answers that are complete with this piece."""
        self._held += data
        while len(self._held) >= frame.ANSWER.size:
            kind, number, cpu, wall, *sizes = frame.ANSWER.unpack_from(self._held)
            end = frame.ANSWER.size + sum(sizes)
            if len(self._held) < end:
                return
            texts, at = [], frame.ANSWER.size
            for size in sizes:
                texts.append(bytes(self._held[at : at + size]))
                at += size
            del self._held[:end]
            out, err, claim, note = texts
            yield Answer(kind, number, cpu, wall, _text(out), _text(err), claim, _text(note))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def write_setup(prelude: str, limits: Limits) -> bytes:
    """Limits and a prelude as the server reads them; it numbers the setups in the order in which they come."""
    data = marshal.dumps({"prelude": prelude, "limits": {name: getattr(limits, name) for name in limits.__slots__}})
    return frame.HEAD.pack(frame.SETUP, len(data), 0) + data


def write_case(program: Program, case: Case, setup: int) -> bytes:
    """One case as its process reads it. Nothing of what is expected is in it."""
    job = {
        "source": program.source,
        "kind": program.entry.kind,
        "name": program.entry.name,
        "stdin": case.stdin,
        "args": list(case.args),
    }
    try:
        data = marshal.dumps(job)
    except ValueError:
        raise UsageError("Arguments of a case must be of plain built-in types: numbers, strings, lists ...") from None
    return frame.HEAD.pack(frame.CASE, setup, len(data)) + data


def read_result(program: Program, answer: Answer) -> CaseResult:
    """What an answer says about its case; ValueError if it is no answer to one."""
    if answer.kind in _STOPPED:
        status, detail = _STOPPED[answer.kind]
        value = None
    elif answer.kind == frame.SIGNALLED:
        status, value, detail = _signalled(answer.number)
    elif answer.kind == frame.EXITED:
        status, value, detail = _exited(program.entry.kind, answer.number, answer.claim)
    elif answer.kind == frame.NOT_STARTED:
        status, value, detail = "isolation-failed", None, answer.note
    else:
        raise ValueError(f"a frame of kind {answer.kind}")
    written = len(answer.stdout) + len(answer.stderr) + len(answer.claim)
    result = CaseResult(status, value, answer.stdout, answer.stderr, detail, answer.cpu_s, answer.wall_s, written)
    large = len(answer.claim) > _LARGE_BYTES and status == FINISHED and value is not None
    return PackedResult(result, answer.claim) if large and not isinstance(value, Opaque) else result


def _signalled(number: int) -> tuple[str, Any, str]:
    if number == signal.SIGXCPU:
        return "timeout", None, "CPU time"
    known = {int(s): s.name for s in signal.Signals}
    return "killed", None, known.get(number, f"signal {number}")


def _exited(kind: str, exit_code: int, claim: bytes) -> tuple[str, Any, str]:
    """Status, claimed value and detail of a case whose process exited."""
    try:
        said = json.loads(claim) if claim else {}
        if said.get("memory") is True:
            return "memory", None, "MemoryError"
        if "error" in said:
            return "error", None, str(read(said["error"]))[:500]
        if exit_code:
            return "error", None, f"exit code {exit_code}"
        if kind == "stdin":
            return FINISHED, None, ""
        if "opaque" in said:
            return FINISHED, Opaque(str(read(said["opaque"]))[:80]), ""
        if "value" in said:
            return FINISHED, read(said["value"], _MOST_PARTS), ""
    except (ValueError, AttributeError, TypeError, RecursionError):
        return "error", None, "the claim cannot be read"
    return "error", None, "the process ended before the call returned"
