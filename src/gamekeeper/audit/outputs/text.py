"""The report as plain lines, for a terminal, a test's message, a log.

A line starts with words of ours and holds no line end: what a grader says in an exception can be no line of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec

from gamekeeper.audit.finding import COULD_NOT_LOOK, Fault, Finding, Report
from gamekeeper.audit.quoting import one_line, quoted

P = ParamSpec("P")

Lines = Callable[P, Iterator[str]]


def _each_one_line(told: Lines[P]) -> Lines[P]:
    """What is yielded takes one line each, whatever the target said in it."""

    @wraps(told)
    def lines_of(*given: P.args, **named: P.kwargs) -> Iterator[str]:
        return map(one_line, told(*given, **named))

    return lines_of


def headline(report: Report) -> str:
    counts = (
        f"{len(report.findings)} findings, {len(report.faults)} faults"
        if report.findings or report.faults
        else "nothing found"
    )
    return one_line(f"{report.outcome.upper()}: {report.target} ({report.kind}); {counts}")


def general(found: Finding | Fault) -> str:
    """What it is, without what the target said and the numbers of this case."""
    return found.what.partition(",")[0].partition(":")[0] if isinstance(found, Fault) else found.what


@_each_one_line
def lines(report: Report) -> Iterator[str]:
    """All of it, findings first."""
    yield headline(report)
    if report.outcome == COULD_NOT_LOOK:
        yield f"  why: {report.reach.why}"
        yield f"  what to supply: {report.reach.needs}"
        if report.families:  # it was reached, and too little could be tried
            yield from summary(report)
        return
    for finding in report.findings:
        yield from finding_lines(finding)
    for fault in report.faults:
        yield from fault_lines(fault)
    yield from summary(report)


def pay_line(f: Finding) -> str:
    """What was paid, and what honesty and nothing are."""
    return f"{f.reward:g}; an honest reply {f.honest_reward:g}, nothing {f.floor:g}; on {f.share:.0%} of the examples"


@_each_one_line
def finding_lines(f: Finding) -> Iterator[str]:
    yield f"  [{f.severity}] {f.id}"
    yield f"    {f.what}"
    yield f"    reply to example {f.example}: {quoted(f.reply)}"
    yield f"    paid {pay_line(f)}"
    if f.evidence:
        yield f"    the target says: {f.evidence}"
    yield f"    change: {f.fix}"
    if f.repro:
        yield f"    again: {f.repro}"


@_each_one_line
def fault_lines(f: Fault) -> Iterator[str]:
    yield f"  [{f.severity}] {f.id}"
    yield f"    {f.what}"
    if f.replies:
        yield f"    reply to example {f.example}: {quoted(f.replies[-1])}"
    yield f"    change: {f.fix}"


@_each_one_line
def summary(report: Report) -> Iterator[str]:
    """What was looked at, so that "resisted" can be weighed."""
    tried = ", ".join(f"{name} {row['paid']}/{row['tried']}" for name, row in report.families.items())
    reach = report.reach
    pay = f"paid {_number(reach.honest)} against {_number(reach.wrong)}"
    yield f"  reached as {reach.binding}; honest replies: {reach.carrier}, {pay}"
    yield f"  attacks that were paid, rightly or not, of those tried: {tried}"
    layers = ", ".join(report.layers) or "time and memory only"
    yield f"  {report.calls} calls on {report.examples} examples in {report.seconds:g} s; isolated: {layers}"
    yield from (f"  note: {note}" for note in report.notes)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
