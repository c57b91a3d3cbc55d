"""What goes into the sandbox and what comes out: plain frozen records and the verdict words.

A `CaseResult` says what the program did and what it claims to have computed; it never says whether that is right.
`judge_value` and `judge_output` compare in the caller's process. Expected values have no place in any of the records
that travel, so a program cannot find them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.sandbox.values import read

VERDICTS = ("passed", "wrong", "error", "timeout", "memory", "output-limit", "killed", "isolation-failed")
FINISHED = "finished"
KINDS = ("stdin", "function", "method")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a program is entered.

    stdin     the source runs as `__main__` and reads the case's input. With a name "Class.method", that method is
              called when the top-level code printed nothing, and what it returns is printed.
    function  the top-level function `name` is called with the case's arguments.
    method    `name` is "Class.method": called on a fresh instance with the case's arguments.
    """

    kind: str = "stdin"
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownName("entry kind", self.kind, KINDS)
        dots = self.name.count(".")
        if (self.kind == "function" and (not self.name or dots)) or (self.kind == "method" and dots != 1):
            raise UsageError(f"A {self.kind} entry cannot be named {self.name!r}. Write 'f' or 'Class.method'.")


STDIN = Entry()


@dataclass(frozen=True, slots=True)
class Program:
    """Untrusted source and its entry. `prelude` is the caller's own code, run once in the warm server: its names are
    at hand for the source, as `typing` is on LeetCode."""

    source: str
    entry: Entry = STDIN
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """The input of one run: text for a stdin program, else arguments of plain built-in types."""

    stdin: str = ""
    args: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.stdin, str) or not isinstance(self.args, tuple):
            raise UsageError(
                f"A case is Case(stdin=TEXT) or Case(args=TUPLE), got {type(self.stdin).__name__} as stdin and "
                f"{type(self.args).__name__} as args."
            )


_LEAST = {"cpu_s": 0.01, "wall_s": 0.01, "memory_mb": 8, "output_bytes": 0, "processes": 0, "files": 8}
_MOST = {"cpu_s": 1e6, "wall_s": 1e6}
_MOST_WHOLE = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may use, with all the processes that it starts. Memory is the program's own, beyond that of the
    interpreter. Seconds go up to 1e6."""

    cpu_s: float = 2.0
    wall_s: float = 10.0
    memory_mb: int = 256
    output_bytes: int = 1 << 20
    processes: int = 16
    files: int = 64

    def __post_init__(self) -> None:
        for name, low in _LEAST.items():
            value, high = getattr(self, name), _MOST.get(name, _MOST_WHOLE)
            kinds, what = ((int, float), "a number") if name in _MOST else ((int,), "a whole number")
            if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
                raise UsageError(
                    f"Limits.{name} must be {what} of at least {low} and at most {high:.10g}, got {value!r}."
                )


@dataclass(frozen=True, slots=True)
class Opaque:
    """Stands for a returned value that is not of plain built-in types; equal to nothing that a test expects."""

    type_name: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one case did. `status` is "finished" or a failure word of VERDICTS; value and stdout are only claims.

    written: how many bytes the case wrote, its claim included.
    """

    status: str
    value: Any = None
    stdout: str = ""
    stderr: str = ""
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    written: int = 0


class PackedResult(CaseResult):
    """A result with a large value, which is held as the text of the claim and read each time that it is asked for.

    Decoded, a claim may be thirty times its size; a caller may hold the results of thousands of cases at once.
    """

    __slots__ = ("claim",)
    claim: bytes

    def __init__(self, result: CaseResult, claim: bytes) -> None:
        for one in fields(result):
            if one.name != "value":
                object.__setattr__(self, one.name, getattr(result, one.name))
        object.__setattr__(self, "claim", claim)

    @property
    def value(self) -> Any:
        return read(json.loads(self.claim)["value"])

    def __reduce__(self) -> tuple[Any, ...]:
        return CaseResult, tuple(getattr(self, one.name) for one in fields(self))


def same_value(got: Any, expected: Any) -> bool:
    """Equal, and of exactly the same types all the way down, keys and members of sets too: 1, 1.0 and True are three
    values."""
    if type(got) is not type(expected):
        return False
    if isinstance(got, list | tuple):
        return len(got) == len(expected) and all(map(same_value, got, expected))
    if isinstance(got, dict):
        theirs = {_typed(k): v for k, v in expected.items()}
        same_keys = len(got) == len(theirs) and all(_typed(k) in theirs for k in got)
        return same_keys and all(same_value(v, theirs[_typed(k)]) for k, v in got.items())
    if isinstance(got, set | frozenset):
        return set(map(_typed, got)) == set(map(_typed, expected))
    return bool(got == expected)


def _typed(key: Any) -> Any:
    """A key that equals another only if all its parts are of the same types."""
    if isinstance(key, tuple):
        return type(key), tuple(map(_typed, key))
    if isinstance(key, frozenset):
        return type(key), frozenset(map(_typed, key))
    return type(key), key


def same_lines(got: str, expected: str) -> bool:
    """The whole outputs agree line by line; runs of blanks and blank lines at the end do not count."""
    return output_lines(got) == output_lines(expected)


def output_lines(text: str) -> list[list[str]]:
    """Each line's words, without blank lines at the end."""
    lines = [line.split() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def judge_value(result: CaseResult, expected: Any, same: Callable[[Any, Any], bool] = same_value) -> str:
    """The verdict on a called function: one of VERDICTS."""
    if result.status != FINISHED:
        return result.status
    return "passed" if same(result.value, expected) else "wrong"


def judge_output(result: CaseResult, expected: str, same: Callable[[str, str], bool] = same_lines) -> str:
    """The verdict on a program's printed output: one of VERDICTS."""
    if result.status != FINISHED:
        return result.status
    return "passed" if same(result.stdout, expected) else "wrong"
