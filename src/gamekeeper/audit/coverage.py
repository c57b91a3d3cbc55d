"""Whether enough was tried for "resisted" to say something.

Attacks are interleaved by technique, so that a budget that runs out has looked a little everywhere. A verdict needs
that first turn: of every technique that was asked for and fits the target, one attack was played. A share of all
attacks would say less: most of them are variants, of which a technique has one or a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gamekeeper.audit.attacks import FAMILIES, Attack
from gamekeeper.audit.clock import ATTACKS
from gamekeeper.audit.judge import Shot
from gamekeeper.audit.range import SCREENED, Range

_SPARE = 1.25


def shortfall(
    attacks: Sequence[Attack], shots: Sequence[Shot], looked: set[str], shooting: Range, only: Sequence[str]
) -> tuple[str, str] | None:
    """Why what was tried does not carry a verdict, and what would help; None if it does.

    looked: what was looked at besides the battery, by the names of `attacks.OTHERS`.
    """
    asked = [a for a in attacks if not only or any(map(a.is_of, only))]
    late = {a.id for a in shooting.untried}
    techniques = {a.cause for a in asked}
    tried = {a.cause for a in asked if a.id not in late}
    if tried != techniques:
        why = f"there was time for {len(tried)} of {len(techniques)} techniques, and they found nothing"
        return why, f"Raise --seconds to about {_enough(asked, shooting)} (now {shooting.clock.seconds:g})."
    untold = unlooked(shots, looked, only)
    if only and len(untold) == len(only):
        return f"nothing of {', '.join(untold)} could be tried on this target", _other_ways(shooting)
    return None


def unlooked(shots: Sequence[Shot], looked: set[str], only: Sequence[str]) -> list[str]:
    """The names asked for of which nothing was played."""
    played = {shot.attack.id: shot.attack for shot in shots}.values()
    return [n for n in only if n.partition("/")[0] not in looked and not any(a.is_of(n) for a in played)]


def _other_ways(shooting: Range) -> str:
    if shooting.out_of_time:
        return f"Raise --seconds (now {shooting.clock.seconds:g}): what was asked for comes after the time was up."
    return f"Leave --only out, or name another family: {', '.join(FAMILIES)}."


def _enough(asked: Sequence[Attack], shooting: Range) -> str:
    """About how many seconds the first turn takes, by what calls cost so far."""
    first = {a.cause: n for n, a in reversed(list(enumerate(asked, 1)))}
    calls = max(first.values()) * min(SCREENED, len(shooting.scenes))
    needed = (shooting.began + calls * shooting.clock.each) / ATTACKS * _SPARE
    return f"{math.ceil(max(needed, shooting.clock.seconds * 2) / 10) * 10}"
