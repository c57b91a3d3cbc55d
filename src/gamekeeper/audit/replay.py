"""Old findings against the grader of now: is what was paid for still paid for?

The reach comes first again, for a grader that pays nothing is no repair; then the isolation that an audit would ask
for, since a reply out of a report is an attack as much as one that was just made. A finding is closed only if its own
example was found again and its reply was graded there and paid next to nothing. Where the grader raises, or does not
answer in time, nothing was repaired as far as can be seen: it may pay again as soon as it answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gamekeeper.audit.auditor import Examples, check_taken, spec_of
from gamekeeper.audit.clock import Clock
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.finding import COULD_NOT_LOOK, Example, Finding, Paid, Reach, Report
from gamekeeper.audit.isolation import too_open
from gamekeeper.audit.judge import NOTABLE, bonus, gain
from gamekeeper.audit.mining import mine
from gamekeeper.audit.pay_tables import PREFIX
from gamekeeper.audit.reach import survey
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.settings import Settings
from gamekeeper.audit.target import Target
from gamekeeper.audit.targets import CHILDREN, open_target
from gamekeeper.audit.targets.function import name_of
from gamekeeper.errors import UsageError

_AGAIN = "run the audit again with --json, and verify that report"


@dataclass(frozen=True, slots=True)
class Replay:
    """An old finding against the target of now. closed: what it gains now is no longer notable.

    error: why nothing can be said of it; then it is not closed.
    """

    finding: Finding
    reward: float | None
    gain: float
    closed: bool
    error: str = ""


def verify_fix(
    target: str | Callable[..., Any], old: Report, examples: Examples = (), settings: Settings | None = None
) -> tuple[Reach, list[Replay]]:
    """Replay the findings of an old report, if the target is reached and shut in well enough.

    Raises UsageError if the report is of another target or seed, or holds no verdict.
    """
    _check(old, target if isinstance(target, str) else name_of(target))
    settings = replace(settings or Settings(), seed=_seed(settings or Settings(), old.seed))
    given = as_examples(examples)
    check_taken(target, given, settings)
    spec = spec_of(given, settings)
    with_target = open_target(target, replace(spec, count=_count(old, spec.count)), settings.limits)
    try:
        rows = _rows(given, old, settings.most_examples) or with_target.examples()
        found = survey(with_target, rows, mine(with_target.source()), settings.seed, Clock(settings.seconds))
        if not found.reach.reached:
            return found.reach, []
        if refusal := too_open(with_target, found.scenes, settings):
            return replace(found.reach, reached=False, why=refusal[0], needs=refusal[1]), []
        scenes = {s.example.key: s for s in reversed(found.scenes)}
        known = {e.key for e in rows}
        return found.reach, [_replayed(with_target, f, scenes, known) for f in old.findings]
    finally:
        with_target.close()


# Which report fits


def _check(old: Report, name: str) -> None:
    if name.partition(":")[0] == PREFIX:
        raise UsageError(f"A pay table has no replies to replay. Run the audit again: gamekeeper audit {name}")
    if not same_target(old.target, name):
        raise UsageError(
            f"The report is of {old.target!r}, not of {name!r}. Name the target that was audited, or {_AGAIN}."
        )
    if old.outcome == COULD_NOT_LOOK:
        raise UsageError(
            f"The report reached no verdict on {old.target!r}: there is nothing to verify. Audit it first."
        )


def same_target(one: str, other: str) -> bool:
    """Whether two names stand for one target; a file may be named by another path, or as a module."""
    a, b = _parts(one), _parts(other)
    return one == other or (a[0] == b[0] and a[2] == b[2] and bool(a[1] and b[1]) and _same_file(a[1], b[1]))


def _parts(name: str) -> tuple[str, str, str]:
    """The kind, the file and the function that a name is made of; no file where it is a name of a library's."""
    where, _, function = name.rpartition(":")
    kind, colon, rest = where.partition(":")
    if kind in (*CHILDREN, "game"):
        return kind, rest if colon else "", function
    return "", where, function


def _same_file(one: str, other: str) -> bool:
    """One file, if both are there; else the shorter path must be how the longer one ends."""
    a, b = (Path(p if p.endswith(".py") else p.replace(".", "/") + ".py") for p in (one, other))
    if a.exists() and b.exists():
        return a.samefile(b)
    tails = [[p for p in Path(os.path.normpath(path)).parts if p != ".."][::-1] for path in (a, b)]
    return all(x == y for x, y in zip(*tails, strict=False))


def _seed(settings: Settings, old: int) -> int:
    """The report's, unless another was asked for: other items and other values would be replayed."""
    typed = any(word.partition("=")[0] == "--seed" for word in settings.command)
    if settings.seed != old and (typed or settings.seed != Settings().seed):
        raise UsageError(
            f"The report was made with seed {old}, and seed {settings.seed} is asked for. "
            f"Leave the seed out, or {_AGAIN}."
        )
    return old


def _count(old: Report, usual: int) -> int:
    """As many items of a target that makes its own as reach to the last one that a finding is of."""
    return max([usual, *(f.example + 1 for f in old.findings)])


def _rows(given: Sequence[Example], old: Report, most: int) -> list[Example]:
    """The examples that an audit would take, and those of the findings wherever they stand."""
    wanted = {f.example_key for f in old.findings}
    return [e for n, e in enumerate(given) if n < most or e.key in wanted]


# One finding


def _replayed(target: Target, finding: Finding, scenes: Mapping[str, Scene], known: set[str]) -> Replay:
    scene = scenes.get(finding.example_key)
    if scene is None or finding.family in ("incentive", "data"):
        return Replay(finding, None, 0.0, False, _why_not(finding, known))
    [paid] = target.grade([(scene.index, finding.replies)], alone=True)
    if said := _failed(paid):
        return Replay(finding, None, 0.0, False, said)
    # What three bad replies earn may be more than the least that the whole battery was paid.
    scene = replace(scene, floor=min(scene.floor, finding.floor))
    now = (bonus if finding.bonus else gain)(scene, paid.reward) if paid.reward is not None else 0.0
    return Replay(finding, paid.reward, round(now, 4), now < NOTABLE)


def _why_not(finding: Finding, known: set[str]) -> str:
    if finding.family in ("incentive", "data"):
        return "it is not of one reply: run the audit again"
    if not finding.example_key:
        return f"the report does not say what its example was, it is of an older version: {_AGAIN}"
    if finding.example_key in known:
        return "the known-good reply to its example is not paid any more: look at that first"
    return f"its example is not among those given: give the ones that were audited, or {_AGAIN}"


def _failed(paid: Paid) -> str:
    """How the grader failed to answer, "" if it did. It pays nothing then, and is not seen to refuse the reply."""
    if paid.end == "timeout":
        return "the grader does not answer in time now; raise --timeout, or repair that first"
    if paid.end:
        return "the reply ends the grader's process now; repair that first"
    return f"the grader raises now: {paid.error}; if that is meant, pay nothing instead" if paid.error else ""
