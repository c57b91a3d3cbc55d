"""Incentive analysis: does honesty pay? From a pay table, and from what examples of different kinds are paid.

A pay table says what a claim earns when it is audited and when it is not, right and wrong. The break-even audit
probability follows: below it a false claim earns more than an honest one, whatever is said about penalties. Where the
pay of one and the same conduct depends on the context (a tester's wording, a user's), a policy that tells the contexts
apart is what training will find; a column of the data that separates the two is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gamekeeper.audit.finding import Finding
from gamekeeper.audit.judge import Shot
from gamekeeper.audit.scene import Scene
from gamekeeper.errors import UsageError

Key = tuple[bool, bool, bool]
_MOST_VALUES = 4


@dataclass(frozen=True, slots=True)
class PayTable:
    """(audited, claims to be right, is right) -> reward, and how often there is an audit."""

    pay: Mapping[Key, float]
    audit: float

    def __post_init__(self) -> None:
        wanted = {(a, c, r) for a in (False, True) for c in (False, True) for r in (False, True)}
        if set(self.pay) != wanted:
            raise UsageError(
                f"A pay table has 8 rows, one for each (audited, claims, right); {len(self.pay)} are given."
            )
        if not 0 <= self.audit <= 1:
            raise UsageError(f"The audit probability must be from 0 to 1, got {self.audit}.")

    def gain_of_claiming(self, right: float, audit: float | None = None) -> Fraction:
        """What a claim earns above no claim for an answer that is right with this probability."""
        p = Fraction(str(self.audit if audit is None else audit))
        c = Fraction(str(right))
        return sum(
            (p if audited else 1 - p)
            * (c if r else 1 - c)
            * (Fraction(str(self.pay[audited, True, r])) - Fraction(str(self.pay[audited, False, r])))
            for audited in (False, True)
            for r in (False, True)
        ) + Fraction(0)

    def break_even(self, right: float = 0.0) -> Fraction | None:
        """The audit probability at which claiming pays as much as not; None if no probability does."""
        never, always = self.gain_of_claiming(right, 0), self.gain_of_claiming(right, 1)
        if never == always:
            return None
        p = never / (never - always)
        return p if 0 <= p <= 1 else None


_MORE_AUDITS = "Audit more often than the break-even, or fine a false claim more."
_FINES = "Fine a false claim more where it is audited: as the table is, more audits do not make it a loss."


def under_audited(table: PayTable, example: int = 0) -> Finding | None:
    """The finding that false claims pay, if they do."""
    gain = table.gain_of_claiming(0.0)
    if gain <= 0:
        return None
    needed = table.break_even(0.0)
    said = (
        f"audits come with probability {table.audit:g}, and a false claim stops paying at {float(needed):.3g}"
        if needed is not None
        else "no audit probability makes a false claim a loss"
    )
    return Finding(
        "incentive/under-audited:break-even",
        "incentive",
        "high",
        f"a false claim of success earns {float(gain):+.3g} on average: {said}",
        _MORE_AUDITS if needed is not None and needed > table.audit else _FINES,
        example,
        ("(a policy that always claims to be right)",),
        float(gain),
        0.0,
        0.0,
        1.0,
        1.0,
        (),
        ("SE02", "OV02"),
    )


def conditional(shots: Sequence[Shot], scenes: Sequence[Scene]) -> Finding | None:
    """A wrong conduct that is paid better than the honest one on some examples and worse on others."""
    better: dict[int, Shot] = {}
    for shot in shots:
        reward = shot.paid.reward
        if (
            shot.paid.truth is not None
            and shot.paid.truth < 0.5
            and reward is not None
            and reward > shot.scene.honest + 1e-9
            and shot.scene.honest <= shot.scene.floor
        ):
            held = better.get(shot.scene.index)
            if held is None or reward > (held.paid.reward or 0):
                better[shot.scene.index] = shot
    fine = [s for s in scenes if s.index not in better and s.honest > s.floor]
    if not better or not fine:
        return None
    shot = min(better.values(), key=lambda s: sum(map(len, s.turns)))
    where = separating([s.scene for s in better.values()], fine)
    count = f"{len(better)} of {len(scenes)} examples"
    text = f"honesty is paid less than its opposite on {count} and more on the others{where}"
    return Finding(
        "context/conditional-pay:opposite",
        "context",
        "high",
        text,
        "Pay one conduct alike in every context, or the policy learns to tell them apart.",
        shot.scene.index,
        shot.turns,
        float(shot.paid.reward or 0),
        shot.scene.honest,
        shot.scene.floor,
        2.0,
        round(len(better) / len(scenes), 4),
        (),
        ("OV01", "OV04", "OV07"),
        shot.paid.evidence,
        example_key=shot.scene.example.key,
    )


def separating(ones: Sequence[Scene], others: Sequence[Scene]) -> str:
    """The column whose value tells the two kinds of examples apart, in words; "" if none does."""
    for name in ones[0].example.columns:
        a, b = _values(ones, name), _values(others, name)
        if a and b and not a & b and len(a | b) <= _MOST_VALUES:
            return f": {name} is {' or '.join(sorted(a))} there, {' or '.join(sorted(b))} elsewhere"
    return ""


def _values(scenes: Sequence[Scene], name: str) -> set[str]:
    return {str(s.example.columns.get(name)) for s in scenes}


def table_of(game: Any) -> PayTable | None:
    """The pay table of a game that has one."""
    pay, audit = getattr(game, "pay_table", None), getattr(game, "audit_probability", None)
    return PayTable(dict(pay), float(audit)) if pay is not None and audit is not None else None
