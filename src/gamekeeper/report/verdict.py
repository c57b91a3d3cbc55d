"""What happened, in one sentence computed from the record: never more than the numbers say."""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.report.text import count, label, number
from gamekeeper.report.view import Side, Value, value_of

# A change smaller than this is called none.
STILL = 0.02
# Reward and truth are said to part when the distance between them has grown by this much.
PARTED = 0.1


def verdict(side: Side, named: bool = False) -> str:
    """Reward, truth and exploit of one run in plain words; with `named`, after the run's name."""
    if named:
        return f"{_capital(side.name)}: {sentence(side)}"
    return _capital(sentence(side))


def sentence(side: Side) -> str:
    """The same, beginning in lower case."""
    parts = [p for p in (_outcome(side), _exploit(side)) if p]
    if side.run.metrics and parts:
        return f"{_opening(side)}{'; '.join(parts)}."
    return "no step has been recorded."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _opening(side: Side) -> str:
    """How far the run got, unless it is finished."""
    if side.over:
        return ""
    where = f"after {count(side.steps, 'step')}" + (f" of {side.planned:,}" if side.planned else "")
    return {
        "failed": f"the run failed {where}; until then, ",
        "stopped": f"the run was stopped {where}; until then, ",
    }.get(side.run.status, f"so far, {where}, ")


def _outcome(side: Side) -> str:
    first, last = side.ends
    truth = "truth" if value_of(last or first, "truth") else "itp"
    moves = [(n, value_of(first, n), value_of(last, n)) for n in ("reward", truth)]
    told = [(n, move(_name(n), a, b), direction(a, b)) for n, a, b in moves if a is not None or b is not None]
    if not told:
        return ""
    where = "" if side.tested or last is None else " in the training batches"
    if len(told) == 1:
        return told[0][1] + where
    link = "and" if told[0][2] == told[1][2] else "while"
    return f"{told[0][1]} {link} {told[1][1]}{where}"


def _name(metric: str) -> str:
    return "truth" if metric == "truth" else label(metric)


def direction(first: Value | None, last: Value | None) -> str:
    """rose, fell, stayed, unclear where the intervals allow no change, or "" when it is not known."""
    if first is None or last is None:
        return ""
    change = last.value - first.value
    if abs(change) < STILL:
        return "stayed"
    if _overlap(first, last):
        return "unclear"
    return "rose" if change > 0 else "fell"


def move(name: str, first: Value | None, last: Value | None) -> str:
    """How one number went, in words."""
    if first is None or last is None:
        known = first or last
        return f"{name} was {number(known.value)}" if known else f"{name} is not known"
    way = direction(first, last)
    if way == "stayed":
        return f"{name} stayed near {number(last.value)}"
    if way == "unclear":
        return f"{name} did not clearly change ({number(first.value)} to {number(last.value)})"
    return f"{name} {way} from {number(first.value)} to {number(last.value)}"


def _overlap(first: Value, last: Value) -> bool:
    if first.interval is None or last.interval is None:
        return False
    return first.interval[0] <= last.interval[1] and last.interval[0] <= first.interval[1]


def _exploit(side: Side) -> str:
    found = side.dynamics
    if found is None:
        return "whether the exploit appeared is not known" if side.steps else ""
    if found.base >= found.bar:
        return f"the exploit was there before training ({label(side.emergence)} {number(found.base)})"
    not_yet = "has not" if side.run.status == "running" else "had not"
    if found.first_appearance is None:
        if not side.run.series(side.emergence):
            return ""
        return f"the exploit {'never' if side.over else not_yet} appeared"
    if found.domination is None:
        end = "never came to dominate" if side.over else f"{not_yet} come to dominate"
        return f"the exploit first appeared at step {found.first_appearance} and {end}"
    if found.domination == found.first_appearance:
        return f"the exploit appeared at step {found.domination} and dominated from there"
    return f"the exploit first appeared at step {found.first_appearance} and dominated from step {found.domination}"


def parted(sides: Sequence[Side]) -> str:
    """The headline above the figure."""
    return "Reward and truth part" if any(map(_parts, sides)) else "Reward and truth"


def _parts(side: Side) -> bool:
    """Whether reward rose, truth did not, and the distance between them grew by more than a little."""
    (r0, t0), (r1, t1) = [[value_of(end, name) for name in ("reward", "truth")] for end in side.ends]
    if r0 is None or r1 is None or t0 is None or t1 is None:
        return False
    grown = (r1.value - t1.value) - (r0.value - t0.value)
    return direction(r0, r1) == "rose" and direction(t0, t1) != "rose" and grown >= PARTED
