"""What a study found, as plain data: tables, heat maps, curves, a threshold, and claims with their verdicts.

Studies fill it, pages and documents print it. Standard library only; no word of games here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gamekeeper.studies.stats import Estimate, Interval, holm, over_seeds, p_value

MARGIN = 0.05
ALPHA = 0.05
ENOUGH = 3
UP, DOWN, FLAT = "rises", "falls", "does not change"
NOT_UP, NOT_DOWN = "does not rise", "holds or rises"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text. `note` says what the numbers are."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Heat:
    """A matrix of estimates; a cell that does not exist or is not known is None. low..high is the colours' range."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[Estimate | None]]
    low: float = -1.0
    high: float = 1.0
    row_name: str = ""
    column_name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve over x: mean, and the interval over seeds where there is one."""

    name: str
    points: Sequence[tuple[float, Estimate]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis: where something is predicted or measured."""

    name: str
    at: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over one axis. `dots` shows the points with whiskers besides the line."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    dots: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the paper (or a prediction), and the differences by seed that speak to it.

    paper: its figure, in words. direction: UP, DOWN, FLAT, NOT_UP or NOT_DOWN.
    room: how far the quantity could have moved in that direction at all, where its scale has an end.
    margin: what is too small to matter, in the quantity's own unit. limits: the differences that can be, at all.
    ours: the paper says nothing of it, and the direction is a prediction of this project.
    """

    what: str
    paper: str
    direction: str
    differences: Sequence[float]
    room: float = math.inf
    margin: float = MARGIN
    limits: Interval = (-math.inf, math.inf)
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim beside what was measured. word: "agrees", "disagrees" or "undecided", and of our own predictions "as
    predicted" or "not as predicted"."""

    claim: Claim
    estimate: Estimate | None
    p: float | None
    word: str
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """A study's answer. `notes` are definitions and warnings; `about` says what it was made of."""

    study: str
    question: str
    tables: Sequence[Table] = ()
    heats: Sequence[Heat] = ()
    plots: Sequence[Plot] = ()
    verdicts: Sequence[Verdict] = ()
    notes: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


# Verdicts


def judged(claims: Sequence[Claim]) -> list[Verdict]:
    """Verdicts on claims, with p values corrected over all that more than one seed speaks to.

    Differences that are all equal have no p value but are judged: they count among the comparisons, as the largest.
    """
    weighed = [1.0 if len(c.differences) > 1 else None for c in claims]
    found = [p_value(c.differences) for c in claims]
    corrected = holm([w if p is None else p for p, w in zip(found, weighed, strict=True)])
    found_by = [over_seeds(c.differences) for c in claims]
    inside = [None if e is None else bounded(e, *c.limits) for c, e in zip(claims, found_by, strict=True)]
    return [_named(_judged(c, e, p)) for c, e, p in zip(claims, inside, corrected, strict=True)]


_OF_OURS = {"agrees": "as predicted", "disagrees": "not as predicted"}


def _named(verdict: Verdict) -> Verdict:
    """Nobody can agree with a paper on what it does not say."""
    return replace(verdict, word=_OF_OURS.get(verdict.word, verdict.word)) if verdict.claim.ours else verdict


def _judged(claim: Claim, found: Estimate | None, p: float | None) -> Verdict:
    if found is None:
        return Verdict(claim, None, None, "undecided", "not measured")
    if found.equal:
        return Verdict(claim, found, None, *_with_room(claim, *_word_of_equals(claim, found)))
    if found.interval is None or p is None:
        return Verdict(claim, found, None, "undecided", "n=1, no interval")
    return Verdict(claim, found, p, *_with_room(claim, *_word(claim, found.mean, found.interval, p)))


def _with_room(claim: Claim, word: str, why: str) -> tuple[str, str]:
    """A quantity that stands at the end of its scale cannot disagree with "rises" by standing still."""
    if word == "disagrees" and claim.direction in (UP, DOWN) and claim.room <= claim.margin and "within" in why:
        return "undecided", f"no room: {claim.room:.3f} to the end of the scale"
    return word, why


def _word_of_equals(claim: Claim, found: Estimate) -> tuple[str, str]:
    """By the value that all seeds share, since nothing can be inferred from a spread that is not seen."""
    if found.n < ENOUGH:
        return "undecided", f"the same in {found.n} seeds only"
    beyond = abs(found.mean) > claim.margin
    word, why = _word(claim, found.mean, (found.mean, found.mean), 0.0 if beyond else 1.0)
    return word, f"{why}, the same in all {found.n} seeds"


def _word(claim: Claim, mean: float, interval: Interval, p: float) -> tuple[str, str]:
    direction, margin, (low, high) = claim.direction, claim.margin, interval
    clear = p < ALPHA
    small = low >= -margin and high <= margin
    if direction in (UP, DOWN):
        right = mean > 0 if direction == UP else mean < 0
        if clear and right:
            return "agrees", "clear of 0"
        if clear:
            return "disagrees", "clear of 0, the other way"
        return ("disagrees", f"within {margin:g} of 0") if small else ("undecided", "not clear of 0")
    within = {FLAT: small, NOT_UP: high <= margin, NOT_DOWN: low >= -margin}[direction]
    if within:
        side = f"not above {margin:g}" if direction == NOT_UP else f"not below {-margin:g}"
        return "agrees", f"within {margin:g} of 0" if small else side
    beyond = {FLAT: abs(mean), NOT_UP: mean, NOT_DOWN: -mean}[direction] > margin
    return (
        ("disagrees", "clear of 0") if clear and beyond else ("undecided", f"neither clear of 0 nor within {margin:g}")
    )


def comparisons_note(verdicts: Sequence[Verdict]) -> str:
    """How many comparisons there were, said aloud."""
    known = sum(v.p is not None for v in verdicts)
    counted = sum(v.estimate is not None and v.estimate.n > 1 for v in verdicts)
    if not counted:
        return f"Comparisons judged here: {len(verdicts)}, none of more than one seed, so none with a p value."
    return (
        f"Comparisons judged here: {len(verdicts)}, {known} of them with a p value: that of Student's t over seeds, "
        f'corrected by Holm\'s method for {counted} comparisons, those of more than one seed: "clear of 0" is p < '
        f'{ALPHA:g} after it. What is "within {MARGIN:g} of 0", "not above" or "not below" goes by the 95% interval, '
        "which is not corrected: among twenty intervals, one is expected to miss. Where seeds are equal to the last "
        "digit there is no spread to be seen, so neither an interval nor a p value; the verdict then goes by the value "
        f"that {ENOUGH} seeds or more share, and says so."
    )


# Estimates in words


def shown(estimate: Estimate | None, low: float | None = None, high: float | None = None, digits: int = 3) -> str:
    """ "0.987 [0.981, 0.993]"; "n=1, no interval", "all 5 equal, no interval" or "unknown" where that is all.

    low, high: the range of the quantity; an interval does not leave it.
    """
    if estimate is None:
        return "unknown"
    if estimate.interval is None:
        return f"{estimate.mean:.{digits}f} ({no_interval(estimate)})"
    start, end = clipped(estimate.interval, low, high)
    return f"{estimate.mean:.{digits}f} [{start:.{digits}f}, {end:.{digits}f}]"


def no_interval(estimate: Estimate) -> str:
    """Why an estimate has no interval."""
    return f"all {estimate.n} equal, no interval" if estimate.equal else "n=1, no interval"


def clipped(interval: Interval, low: float | None, high: float | None) -> Interval:
    start, end = interval
    return (start if low is None else max(start, low)), (end if high is None else min(end, high))


def steps_of(values: Iterable[int | None]) -> str:
    """Steps of a landmark over seeds: "12 to 15", "never", or of how many seeds it is known."""
    found = list(values)
    known = sorted(v for v in found if v is not None)
    if not known:
        return "never"
    span = f"{known[0]}" if known[0] == known[-1] else f"{known[0]} to {known[-1]}"
    return span if len(known) == len(found) else f"{span} ({len(known)} of {len(found)} seeds)"


def averaged(
    curves: Sequence[Sequence[Sequence[float]]], low: float | None = None, high: float | None = None
) -> list[tuple[float, Estimate]]:
    """The mean curve over seeds, at the steps that all of them have; intervals do not leave low..high."""
    if not curves:
        return []
    tables = [{point[0]: point[1] for point in curve} for curve in curves]
    shared = sorted(set.intersection(*(set(t) for t in tables)))
    means = [(step, over_seeds([t[step] for t in tables])) for step in shared]
    return [(step, bounded(e, low, high)) for step, e in means if e is not None]


def bounded(estimate: Estimate, low: float | None, high: float | None) -> Estimate:
    """The estimate with its interval inside the range of the quantity."""
    if estimate.interval is None:
        return estimate
    return replace(estimate, interval=clipped(estimate.interval, low, high))
