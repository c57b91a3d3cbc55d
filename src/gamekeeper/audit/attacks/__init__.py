"""The families of attacks, one file each. What a family tries depends on what was mined and on the first example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gamekeeper.audit.attacks import (
    answers,
    breakers,
    disguises,
    formats,
    plain,
    programs,
    proxies,
    reports,
    states,
    tables,
    workspaces,
)
from gamekeeper.audit.attacks.base import Attack, Family, Technique
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene
from gamekeeper.errors import UnknownName

FAMILIES: Mapping[str, Family] = {
    "plain": plain.attacks,
    "answer": answers.attacks,
    "format": formats.attacks,
    "state": states.attacks,
    "report": reports.attacks,
    "proxy": proxies.attacks,
    "disguise": disguises.attacks,
    "breaker": breakers.attacks,
    "table": tables.attacks,
    "program": programs.attacks,
    "workspace": workspaces.attacks,
}
_FOR_PROGRAMS, _AHEAD = ("program", "workspace"), 4
OTHERS = ("data", "context", "search", "learner", "incentive", "fault")
"""What does not come from a list of replies."""


def battery(mined: Mined, first: Scene, only: Sequence[str] = ()) -> list[Attack]:
    """All attacks, interleaved by cause, so that a budget that runs out has looked a little everywhere.

    Where replies are run as programs, those come more often: there they matter most and cost most.

    only: families ("answer"), causes ("answer/hedge") or single attacks by their id.
    """
    check_only(only)
    causes: dict[str, list[Attack]] = {}
    ahead = _AHEAD if mined.runs_code or mined.shell else 1
    for attack in _named_apart(a for make in FAMILIES.values() for a in make(mined, first)):
        if not only or chosen(attack, only):
            causes.setdefault(attack.cause, []).append(attack)
    return list(_interleaved([(ahead if c[0].family in _FOR_PROGRAMS else 1, c) for c in causes.values()]))


def _named_apart(attacks: Iterable[Attack]) -> Iterator[Attack]:
    """Each attack by a name of its own: two texts of a source may begin alike, and shots are counted by name."""
    seen: Counter[str] = Counter()
    for attack in attacks:
        seen[attack.id] += 1
        times = seen[attack.id]
        yield attack if times == 1 else replace(attack, variant=f"{attack.variant} #{times}")


def chosen(attack: Attack, only: Sequence[str]) -> bool:
    # What explains other findings is always tried, or a part of the battery would name another cause than the whole.
    return attack.baseline or any(map(attack.is_of, only))


def check_only(only: Sequence[str]) -> None:
    for name in only:
        family = name.partition("/")[0]
        if family not in FAMILIES and family not in OTHERS:
            raise UnknownName("family of attacks", name, [*FAMILIES, *OTHERS])


def _interleaved(lists: Sequence[tuple[int, Sequence[Attack]]]) -> Iterator[Attack]:
    """From each list as many in its turn as is said before it, until all are empty."""
    for turn in range(max((len(attacks) for _, attacks in lists), default=0)):
        for each, attacks in lists:
            yield from attacks[turn * each : (turn + 1) * each]


__all__ = ["FAMILIES", "OTHERS", "Attack", "Technique", "battery", "check_only", "chosen"]
