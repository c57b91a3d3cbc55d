"""The tests of a programming problem, and programs run against them, many at once and each only once.

In a batch of rollouts most programs are repeated, so equal (program, case) pairs are run once, and their results are
kept for later batches: the same text always gets the same score, even if a program is not the same twice. What is
kept is what the program computed; it is compared anew with each problem's expectations. Not kept is what may say more
about the machine than about the program: a case that was not run, or whose process was killed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from gamekeeper.errors import CouldNotLook
from gamekeeper.sandbox import FINISHED, STDIN, Case, CaseResult, Entry, Limits, Program, run_many, same_value

NOT_RUN = "isolation-failed"
_NOT_KEPT = (NOT_RUN, "killed")
_KEPT = 100_000
_KEPT_BYTES = 4096
POCKET_LIMITS = Limits(cpu_s=0.2, wall_s=10.0, memory_mb=64, output_bytes=1 << 16)


@dataclass(frozen=True, slots=True)
class Check:
    """One test: the input that a program gets, and what is expected, which it never gets."""

    case: Case
    expected: Any


def same_result(result: CaseResult, expected: Any) -> bool:
    """The value that was returned is the expected one, of exactly its type."""
    return same_value(result.value, expected)


@dataclass(frozen=True, slots=True)
class Problem:
    """How programs are entered and tried. `agrees(result, expected)` decides; it sees finished cases only.

    visible tests are those in the prompt; the truth rests on the hidden ones, if there are any, else on all.
    """

    entry: Entry = STDIN
    visible: tuple[Check, ...] = ()
    hidden: tuple[Check, ...] = ()
    agrees: Callable[[CaseResult, Any], bool] = same_result
    prelude: str = ""
    limits: Limits = POCKET_LIMITS
    packages: tuple[str, ...] = ()
    """Installed packages that programs may import, beside the standard library."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many of a problem's tests a program passed."""

    visible: int
    hidden: int


class Results:
    """Results of cases that were run, the latest `_KEPT` of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, CaseResult] = OrderedDict()

    def of(self, work: Sequence[tuple[Program, Case]], limits: Limits, packages: tuple[str, ...]) -> list[CaseResult]:
        """The result of each case, run if it is not known."""
        keys = [_key(program, case, limits, packages) for program, case in work]
        new = {key: pair for key, pair in zip(keys, work, strict=True) if key not in self._kept}
        ran = run_many([(program, [case]) for program, case in new.values()], limits, packages)
        found = {key: result for key, (result,) in zip(new, ran, strict=True)}
        out = [found[key] if key in found else self._kept[key] for key in keys]
        self._keep(found)
        return out

    def _keep(self, found: dict[bytes, CaseResult]) -> None:
        for key, result in found.items():
            if result.status not in _NOT_KEPT and result.written <= _KEPT_BYTES:
                self._kept[key] = result
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


_results = Results()


def _key(program: Program, case: Case, limits: Limits, packages: tuple[str, ...]) -> bytes:
    text = repr((program.source, program.entry, program.prelude, case, limits, packages))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def outcomes(work: Sequence[tuple[Problem, str]]) -> list[Outcome | CouldNotLook]:
    """How each source does on its problem; CouldNotLook in its place where the sandbox failed."""
    out: dict[int, Outcome | CouldNotLook] = {}
    for box in dict.fromkeys((problem.limits, problem.packages) for problem, _ in work):
        group = [i for i, (problem, _) in enumerate(work) if (problem.limits, problem.packages) == box]
        results = iter(_results.of([pair for i in group for pair in _cases(*work[i])], *box))
        for i in group:
            problem = work[i][0]
            out[i] = _outcome(problem, list(islice(results, len(problem.visible) + len(problem.hidden))))
    return [out[i] for i in range(len(work))]


def _cases(problem: Problem, source: str) -> list[tuple[Program, Case]]:
    program = Program(source, problem.entry, problem.prelude)
    return [(program, check.case) for check in (*problem.visible, *problem.hidden)]


def _outcome(problem: Problem, results: Sequence[CaseResult]) -> Outcome | CouldNotLook:
    failed = [result for result in results if result.status == NOT_RUN]
    if failed:
        return CouldNotLook(f"The sandbox could not run the program: {failed[0].detail}.")
    checks = (*problem.visible, *problem.hidden)
    passed = [r.status == FINISHED and problem.agrees(r, c.expected) for c, r in zip(checks, results, strict=True)]
    seen = len(problem.visible)
    return Outcome(sum(passed[:seen]), sum(passed[seen:]))
