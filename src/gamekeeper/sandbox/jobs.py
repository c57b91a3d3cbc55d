"""Jobs as JSON: a program, its entry, cases with what is expected, limits; verdicts as JSON.

    {"program": "def f(x): return x + 7", "entry": "function f", "cases": [{"args": [2], "expected": 9}],
     "limits": {"cpu_s": 1.0}, "prelude": ""}
    {"verdicts": ["passed"], "passed": true, "level": "full", "results": [{"verdict": "passed", "value": 9, ...}]}

A case of a stdin program is {"stdin": "2\n", "expected": "9"}. Values that JSON does not know are written as the
sandbox writes them: {"t": [1, 2]} is a tuple, {"s": [...]} a set, {"d": [[key, value]]} a dict, {"b": "00ff"} bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TextIO

from gamekeeper.errors import CouldNotLook, DataError, UsageError
from gamekeeper.sandbox import values
from gamekeeper.sandbox.pool import Sandbox
from gamekeeper.sandbox.records import (
    Case,
    CaseResult,
    Entry,
    Limits,
    Opaque,
    Program,
    judge_output,
    judge_value,
)

_KEYS = {"program", "entry", "cases", "limits", "prelude"}
_CASE_KEYS = {"stdin", "args", "expected"}


@dataclass(frozen=True, slots=True)
class Job:
    """A program and its cases, each with what is expected, which stays with the caller."""

    program: Program
    cases: tuple[Case, ...]
    expected: tuple[Any, ...]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Graded:
    """A case's verdict, one of VERDICTS, and what the case did."""

    verdict: str
    result: CaseResult


def grade(box: Sandbox, job: Job) -> list[Graded]:
    """Run a job and judge each case: values by exact type, outputs line by line."""
    results = box.run_cases(job.program, job.cases, job.limits)
    judge = judge_output if job.program.entry.kind == "stdin" else judge_value
    return [Graded(judge(r, want), r) for r, want in zip(results, job.expected, strict=True)]


def read_jobs(stream: TextIO) -> Iterator[Job]:
    """One job a line; DataError names the line that is none."""
    for number, line in enumerate(stream, 1):
        if line.strip():
            try:
                yield job_of(json.loads(line))
            except (ValueError, RecursionError) as error:
                said = str(error) if isinstance(error, UsageError) else f"not JSON: {error}"
                raise DataError(f"line {number}: {said}") from None


def job_of(data: Any) -> Job:
    """The job that a JSON object describes; UsageError says what it lacks."""
    if not isinstance(data, Mapping) or not isinstance(data.get("program"), str):
        raise UsageError("A job is a JSON object with the source under `program`, and `cases`.")
    _known("job", data, _KEYS)
    entry = entry_of(data.get("entry", "stdin"))
    cases = data.get("cases")
    if not isinstance(cases, list) or not cases:
        raise UsageError("A job needs `cases`: a list of objects with `args` or `stdin`, and `expected`.")
    pairs = [_case(case, entry) for case in cases]
    prelude = data.get("prelude", "")
    if not isinstance(prelude, str):
        raise UsageError(f"`prelude` is source text, got {type(prelude).__name__}.")
    program = Program(data["program"], entry, prelude)
    return Job(program, tuple(c for c, _ in pairs), tuple(e for _, e in pairs), limits_of(data.get("limits", {})))


def entry_of(text: Any) -> Entry:
    """An entry from its text: "stdin", "stdin Class.method", "function f", "method Class.method"."""
    words = text.split() if isinstance(text, str) else []
    if not 1 <= len(words) <= 2:
        raise UsageError(f"The entry {text!r} is none of: stdin, function NAME, method Class.method.")
    return Entry(words[0], words[1] if len(words) == 2 else "")


def limits_of(data: Any) -> Limits:
    known = {f.name for f in fields(Limits)}
    if not isinstance(data, Mapping) or not all(type(v) in (int, float) for v in data.values()):
        raise UsageError(f"`limits` is an object of numbers. Known: {', '.join(sorted(known))}.")
    _known("limit", data, known)
    return Limits(**{k: int(v) if type(v) is float and v.is_integer() else v for k, v in data.items()})


def _known(kind: str, data: Mapping[str, Any], known: set[str]) -> None:
    for key in data:
        if key not in known:
            raise UsageError(f"Unknown key of a {kind}: {key!r}. Known: {', '.join(sorted(known))}.")


def _case(data: Any, entry: Entry) -> tuple[Case, Any]:
    if not isinstance(data, Mapping) or "expected" not in data:
        raise UsageError("A case is an object with `expected` and either `args` or `stdin`.")
    _known("case", data, _CASE_KEYS)
    if not isinstance(data.get("args", []), list):
        raise UsageError("`args` of a case is a list of the arguments, also if there is one only.")
    try:
        expected = values.read(data["expected"])
        args = tuple(values.read(data.get("args", [])))
    except (ValueError, TypeError) as error:
        raise UsageError(f"A case holds a value that cannot be read: {error}.") from None
    if entry.kind == "stdin" and not (isinstance(expected, str) and isinstance(data.get("stdin", ""), str)):
        raise UsageError("A case of a stdin program has texts for `stdin` and `expected`.")
    return Case(data.get("stdin", ""), args), expected


def standard_input() -> TextIO:
    """Standard input, any bytes of which can be read; CouldNotLook where it is closed."""
    if sys.stdin is None:
        raise CouldNotLook("Standard input is closed. Give jobs there, one line of JSON each, or name a file.")
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    return sys.stdin


class Tally:
    """What the reports of all jobs come to."""

    def __init__(self) -> None:
        self.failed = self.not_run = 0
        self.reason = ""

    def add(self, told: Mapping[str, Any]) -> None:
        """Count a job's report in."""
        self.failed += not told["passed"]
        missed = [row["detail"] for row in told["results"] if row["verdict"] == "isolation-failed"]
        self.not_run += len(missed)
        self.reason = self.reason or next(iter(missed), "")

    def exit_code(self) -> int:
        """0 if all passed, 1 if not. CouldNotLook if a case was not run: that says nothing about its program."""
        if self.not_run:
            raise CouldNotLook(f"{self.not_run} cases could not be run: {self.reason}. `gamekeeper doctor` shows more.")
        return 1 if self.failed else 0


def report(graded: Iterable[Graded], level: str) -> dict[str, Any]:
    """What is printed for a job."""
    rows = [_row(one) for one in graded]
    verdicts = [row["verdict"] for row in rows]
    passed = all(word == "passed" for word in verdicts)
    return {"verdicts": verdicts, "passed": passed, "level": level, "results": rows}


def _row(one: Graded) -> dict[str, Any]:
    row = {"verdict": one.verdict, **asdict(one.result)}
    value = one.result.value
    row |= {name: round(row[name], 6) for name in ("cpu_s", "wall_s")}
    row["value"] = {"opaque": value.type_name} if isinstance(value, Opaque) else json.loads(values.write(value))
    return row
