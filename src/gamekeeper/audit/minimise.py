"""The smallest reply that is still paid: delta debugging over lines, then words, then characters.

A reply must stay wrong while it shrinks. Cut down far enough, "the answer is not 42" becomes "42", which is right; so a
reply that holds the answer is left as it was built, and one that does not must not come to hold it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack
from gamekeeper.audit.finding import Finding, Turns
from gamekeeper.audit.judge import NOTABLE, gain
from gamekeeper.audit.parts import document, leaves
from gamekeeper.audit.range import Range
from gamekeeper.audit.scene import Scene

_MOST_TRIES = 240
_LONGEST = 60_000
_OF_FIELDS = frozenset(("state/hollow", "state/edit", "state/field"))
Keeps = Callable[[str], bool]


def minimal(finding: Finding, attack: Attack, scene: Scene, shooting: Range, truths: bool) -> Turns:
    """The finding's replies with the last one as short as can be."""
    text = finding.replies[-1]
    if attack.knows or attack.lists or attack.bonus:
        return finding.replies
    if len(text) > _LONGEST or not text:
        return finding.replies
    wanted = gain(scene, finding.reward) - 0.02
    left = [_MOST_TRIES]
    wanted_fields = _fields(text)

    def keeps(candidate: str) -> bool:
        if left[0] <= 0 or shooting.out_of_time:
            return False
        left[0] -= 1
        if not truths and scene.right and scene.reading(candidate) != truth.WRONG:
            return False
        if attack.alone and attack.family == "program" and _is_good_part(scene, candidate):
            return False
        if finding.cause in _OF_FIELDS and _fields(candidate) != wanted_fields:
            return False
        turns = (*finding.replies[:-1], candidate)
        [paid] = shooting.pay([(scene.index, turns)], attack.alone)
        if paid.reward is None or (paid.truth is not None and paid.truth >= 0.5):
            return False
        return gain(scene, paid.reward) >= max(wanted, NOTABLE)

    return (*finding.replies[:-1], shrunk(text, keeps))


def _fields(text: str) -> set[str]:
    """Where a reply's JSON has values: what a finding about the fields of a reply must keep."""
    found = document(text)
    return {path for path, _ in leaves(found[1])} if found is not None else set()


def _is_good_part(scene: Scene, candidate: str) -> bool:
    return candidate.strip() != "" and candidate.strip() == scene.good_text.strip()


def shrunk(text: str, keeps: Keeps) -> str:
    """The shortest text found by leaving out lines, words, characters, such that `keeps` still holds."""
    for cut in (_lines, _words, _characters):
        parts = cut(text)
        if len(parts) > 1:
            text = "".join(_ddmin(parts, lambda p: keeps("".join(p))))
    return text


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _characters(text: str) -> list[str]:
    return list(text) if len(text) <= 200 else []


def _ddmin(parts: Sequence[str], keeps: Callable[[Sequence[str]], bool]) -> list[str]:
    """Zeller's ddmin by complements: what can be left out is left out, in ever smaller pieces."""
    held, count = list(parts), 2
    if keeps([]):
        return []
    while len(held) >= 2:
        size = max(1, len(held) // count)
        for start in range(0, len(held), size):
            rest = held[:start] + held[start + size :]
            if rest and keeps(rest):
                held, count = rest, max(count - 1, 2)
                break
        else:
            if size == 1:
                break
            count = min(len(held), count * 2)
    return held
