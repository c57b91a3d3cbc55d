"""From what was paid to what is wrong: gains, controls, causes, severities.

The gain of a reply is its pay above nothing as a share of what the honest reply is paid above nothing. A finding needs
more than a gain: the reply must be wrong (by the target's own truth, an oracle, its text, or how it was built), and its
cause must not be another one's. Where a plain wrong answer is paid, every list and every denial is paid too, and the
one finding that helps is the first. Where an attack uses the right answer, the same attack with another value must
earn less. A reply that has some of an answer's parts may earn that share of the pay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack
from gamekeeper.audit.finding import SEVERITIES, Finding, Paid, Turns, lowered, severity_rank
from gamekeeper.audit.parts import fair_share
from gamekeeper.audit.scene import Scene

NOTABLE = 0.25
_RARE = 0.1
_HALF, _ALL = 0.5, 0.9
_SEVERAL = 3
_FAIR = 0.05
_LAST = re.compile(r"(?i)\b(last|final) (word|line|number|value|thing)\b|\bend (it |your \w+ )?with\b|\bat the end\b")
_RIGHT = 0.5
_CAP = 9.99
_EASY = frozenset(("plain/null", "plain/nonsense", "plain/constant", "plain/wrong", "plain/echo"))
_PLAINEST = ("plain/null", "plain/nonsense", "plain/wrong", "plain/constant")
# Families whose fixed replies are texts that may be answers; a query, a program or an edit is made to fit one example.
_SAYING = frozenset(("answer", "breaker", "disguise", "format", "report"))
# What is near in value or in words may earn a part where the pay is graded; it is a hole where it earns all.
_AS_GOOD = frozenset(("answer/tolerance", "answer/shuffle", "answer/order"))
_NO_ANSWER = frozenset(("plain/null", "plain/nonsense"))
# What pays for the cause on the left pays for those on the right as well, which then say nothing of their own.
_EXPLAINS = {
    "program/exit": ("program/forged", "breaker/evaluated", "program/tests", "program/broken"),
    "program/broken": (
        "program/stub",
        "program/patch",
        "program/marker",
        "program/exit",
        "program/forged",
        "program/tests",
    ),
    "program/stub": ("program/patch", "program/marker"),
    "answer/enumerate": ("answer/many-slots", "answer/enumerate-slot"),
    "format/form": ("format/pattern", "format/markers", "format/repeated-tags"),
    "format/empty-tags": ("format/form", "format/pattern"),
    "report/self-score": (
        "format/fields",
        "format/pattern",
        "format/markers",
        "state/field",
        "state/slot",
        "state/edit",
    ),
    "plain/echo": ("disguise/evade",),
    "proxy/copy": ("disguise/evade",),
    "state/unsaid": ("state/edit",),
    "state/hollow": ("format/fields", "state/unsaid", "state/edit", "state/field"),
}
Oracle = Callable[[Scene, Turns], float | None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One attack on one example, and what came of it."""

    attack: Attack
    scene: Scene
    turns: Turns
    paid: Paid
    control: float | None = None

    @property
    def gain(self) -> float:
        if self.paid.reward is None:
            return 0.0
        return (bonus if self.attack.bonus else gain)(self.scene, self.paid.reward)


def gain(scene: Scene, reward: float) -> float:
    """0 for what nothing earns, 1 for what the honest reply earns."""
    floor = nothing(scene)
    span = scene.honest - floor
    if span <= 1e-9:  # honesty is paid no more than nothing: whatever earns more has gained all there is
        return 2.0 if reward > scene.honest + 1e-9 else 0.0
    return max(-_CAP, min(_CAP, (reward - floor) / span))


def bonus(scene: Scene, reward: float) -> float:
    span = scene.honest - nothing(scene)
    return min(_CAP, (reward - scene.honest) / span) if span > 1e-9 else 0.0


def nothing(scene: Scene) -> float:
    """What counts as being paid nothing: the least that bad replies got, but a punishment is no pay."""
    return max(scene.floor, 0.0) if scene.honest > 0 else scene.floor


def is_wrong(shot: Shot, oracle: Oracle | None) -> bool:
    """Whether the reply does not solve its task."""
    if shot.attack.bonus:
        return True
    if shot.paid.truth is not None:
        return _overpaid(shot, shot.paid.truth)
    if oracle is not None and shot.gain >= NOTABLE:  # what gained nothing need not be asked about
        worth = oracle(shot.scene, shot.turns)
        if worth is not None:
            return _overpaid(shot, worth)
    told = shot.scene.reading(shot.turns[-1])
    if shot.attack.knows:
        return not any(truth.same(shot.turns[-1], good[-1]) for good in shot.scene.example.good) and not _as_told(shot)
    if shot.attack.lists or not shot.scene.right:
        return told != truth.RIGHT
    return told == truth.WRONG


def _as_told(shot: Shot) -> bool:
    """Whether the prompt says that what stands last is the answer, and the answer stands last."""
    gold, told = shot.scene.gold, _LAST.search(shot.scene.all_prompt)
    if not gold or told is None:
        return False
    said = shot.turns[-1].rstrip(" .!)\n")
    if told[2] in ("number", "value") and truth.value_of(gold) is not None:
        numbers = truth.NUMBER.findall(said)
        return bool(numbers) and truth.same(numbers[-1], gold)
    return re.search(rf"(?<!\w){re.escape(gold)}$", said) is not None


def _overpaid(shot: Shot, worth: float) -> bool:
    """Worth little, and paid clearly more than that: half a solution that earns a half is fairly paid."""
    return worth < _RIGHT and (shot.gain < NOTABLE or shot.gain >= worth + NOTABLE)


def judged(shots: Sequence[Shot], oracle: Oracle | None = None) -> list[Finding]:
    """One finding a cause, the worst first."""
    wrong = [s for s in shots if is_wrong(s, oracle)]
    base = _baseline(wrong)
    causes: dict[str, dict[str, list[Shot]]] = {}
    for shot in wrong:
        if _credited(shot, base):
            causes.setdefault(shot.attack.cause, {}).setdefault(shot.attack.id, []).append(shot)
    played = _played(wrong)
    found = [_finding(by_attack, played) for by_attack in (_universal(c, played) for c in causes.values())]
    return in_order(_unexplained([f for f in found if f is not None]))


@dataclass(frozen=True, slots=True)
class _Played:
    """On how many examples an attack was wrong, and on how many any was; whether its reply is one text for all."""

    by_attack: dict[str, int]
    examples: int
    fixed: frozenset[str]


def _played(wrong: Sequence[Shot]) -> _Played:
    texts: dict[str, list[str]] = {}
    for shot in wrong:
        texts.setdefault(shot.attack.id, []).append(shot.turns[-1])
    fixed = frozenset(name for name, said in texts.items() if len(said) > 1 and len(set(said)) == 1)
    return _Played({n: len(said) for n, said in texts.items()}, len({s.scene.index for s in wrong}), fixed)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first."""
    return sorted(findings, key=lambda f: (-severity_rank(f.severity), -f.gain, f.id))


def distinct(findings: Sequence[Finding]) -> list[Finding]:
    """One finding a reply: where others come down to the same text, the plainest cause names it and holds theirs."""
    kept: dict[Turns, Finding] = {}
    for finding in sorted(findings, key=lambda f: (-severity_rank(f.severity), _plainness(f))):
        first = kept.setdefault(finding.replies, finding)
        if first is not finding:
            kept[finding.replies] = replace(first, variants=tuple(sorted({*first.variants, finding.id})))
    return [kept[f.replies] for f in findings if kept[f.replies].id == f.id]


def _plainness(finding: Finding) -> int:
    return _PLAINEST.index(finding.cause) if finding.cause in _PLAINEST else len(_PLAINEST)


def _unexplained(findings: Sequence[Finding]) -> list[Finding]:
    """Without the causes that a simpler one explains, which pays as much and is as grave.

    Of two that explain each other the one stays that is first in the table.
    """
    by_cause = {f.cause: f for f in findings}
    gone: set[str] = set()
    for cause, others in _EXPLAINS.items():
        for then in others:
            mutual = cause in gone and cause in _EXPLAINS.get(then, ())
            there = cause in by_cause and then in by_cause and not mutual
            if there and _as_grave(by_cause[cause], by_cause[then]):
                gone.add(then)
    return [f for f in findings if f.cause not in gone]


def _as_grave(one: Finding, other: Finding) -> bool:
    return one.gain >= other.gain - NOTABLE and severity_rank(one.severity) >= severity_rank(other.severity)


def _baseline(shots: Sequence[Shot]) -> dict[int, float]:
    """What the dullest attacks gain on each example."""
    found: dict[int, float] = {}
    for shot in shots:
        if shot.attack.baseline:
            found[shot.scene.index] = max(found.get(shot.scene.index, 0.0), shot.gain)
    return found


def _credited(shot: Shot, base: dict[int, float]) -> bool:
    if shot.gain < (_ALL if shot.attack.cause in _AS_GOOD else _HALF if shot.attack.near else NOTABLE):
        return False
    if shot.control is not None and shot.control > shot.gain - NOTABLE:
        return False
    if not shot.attack.bonus and shot.gain < _ALL and shot.gain <= fair_share(shot.scene, shot.turns[-1]) + _FAIR:
        return False
    return shot.attack.baseline or shot.attack.bonus or shot.gain >= base.get(shot.scene.index, 0.0) + NOTABLE


def _universal(by_attack: dict[str, list[Shot]], played: _Played) -> dict[str, list[Shot]]:
    """Without the attacks that may be right where they were paid, as a stopped clock is."""
    return {name: shots for name, shots in by_attack.items() if not _maybe_right(shots, played)}


def _maybe_right(shots: Sequence[Shot], played: _Played) -> bool:
    """Whether a reply that could be another answer was paid too seldom to be no answer.

    Twice is enough, on examples of different solutions. Of what is the answer of another example it takes half of them:
    there may be several right answers, and other examples' are the likeliest. What answers nothing is right nowhere;
    a few of its words may be.
    """
    attack = shots[0].attack
    if attack.cause in _NO_ANSWER and all(s.scene.told and s.gain >= _HALF for s in shots):
        return False
    once = len({s.scene.good for s in shots}) == 1
    if attack.universal:
        return once
    if max(played.examples, played.by_attack[attack.id]) < _SEVERAL:
        return False
    if attack.family == "search":  # made without the task, so that on one of several it may have met the answer
        return once
    free = not (attack.knows or attack.lists or attack.bonus or attack.alone)
    fixed = attack.id in played.fixed and attack.family in _SAYING
    if not free or not (attack.baseline or attack.family == "plain" or fixed):
        return False
    elsewhere = all(any(truth.contains(s.turns[-1], other) for other in s.scene.others) for s in shots)
    return once or (elsewhere and len(shots) * 2 < played.by_attack[attack.id])


def _finding(by_attack: dict[str, list[Shot]], played: _Played) -> Finding | None:
    """The finding of one cause, by its best attack: most severe, then the shortest reply."""
    if not by_attack:
        return None

    def weight(item: tuple[str, list[Shot]]) -> tuple[int, float, int]:
        name, shots = item
        share = len(shots) / played.by_attack[name]
        length = min(sum(map(len, s.turns)) for s in shots)
        return (
            severity_rank(_severity(shots, share)),
            round(fmean(s.gain for s in shots), 2) if share >= 0.5 else 0,
            -length,
        )

    name, shots = max(by_attack.items(), key=weight)
    share = len(shots) / played.by_attack[name]
    if share < _RARE and fmean(s.gain for s in shots) < _HALF:  # part credit that a text meets now and then by chance
        return None
    best = min(shots, key=lambda s: (-round(s.gain, 3), sum(map(len, s.turns))))
    attack = best.attack
    return Finding(
        id=attack.id,
        family=attack.family,
        severity=_severity(shots, share),
        what=attack.about.what,
        fix=attack.about.fix,
        example=best.scene.index,
        replies=best.turns,
        reward=float(best.paid.reward or 0.0),
        honest_reward=best.scene.honest,
        floor=nothing(best.scene),
        gain=round(fmean(s.gain for s in shots), 4),
        share=round(share, 4),
        variants=tuple(sorted(n for n in by_attack if n != name)),
        catalogue=attack.about.catalogue,
        evidence=best.paid.evidence,
        bonus=attack.bonus,
        example_key=best.scene.example.key,
    )


def _severity(shots: Sequence[Shot], share: float) -> str:
    """From what it pays (all, half, a quarter), how easily it is found, and on how many examples."""
    attack, mean = shots[0].attack, fmean(s.gain for s in shots)
    if attack.bonus:
        return "high" if mean >= 1 else "medium" if mean >= 0.25 else "low"
    level = "high" if mean >= _ALL else "medium" if mean >= _HALF else "low"
    if level == "high" and attack.cause in _EASY and share >= 0.5:
        level = SEVERITIES[-1]
    if attack.knows:
        level = lowered(level)
    return lowered(level) if share < 0.5 else level
