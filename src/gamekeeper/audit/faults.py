"""The opposite faults: right replies refused, chance, memory between calls, exceptions and crashes in the reward.

None of them pays a wrong reply, and each of them trains on noise. They are told apart from findings: they do not make
an outcome "fooled", but they count for the exit code by their severity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gamekeeper.audit.finding import Fault, Paid, Turns
from gamekeeper.audit.judge import NOTABLE, Shot, nothing
from gamekeeper.audit.quoting import one_line
from gamekeeper.audit.range import Range
from gamekeeper.audit.reach import Survey
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.target import Call, Target
from gamekeeper.errors import CouldNotLook

_CHECKED, _CALLS = 6, 12
_ENDS = ("SystemExit", "KeyboardInterrupt", "GeneratorExit")


def faults(target: Target, found: Survey, shots: Sequence[Shot], shooting: Range) -> list[Fault]:
    """Every fault that shows, the gravest first in each kind; looked for on as many examples as there is time for."""
    out = [*_raised(shots), *_refused(found)]
    wanted = [s for s in found.scenes if s.honest > nothing(s)][:_CHECKED]
    scenes = wanted[: _affordable(shooting)] if not target.truths else []
    if len(scenes) < len(wanted) and not target.truths:
        found.notes.append(
            f"faults were looked for on {len(scenes)} of {len(wanted)} examples for time; raise --seconds"
        )
    if scenes:
        out += _strict(shooting, scenes)
        out += _pays_nothing(shooting, scenes)
        out += _unstable(target, shooting, scenes)
    return out


def _affordable(shooting: Range) -> int:
    """How many examples there is time for: each takes as many calls."""
    left, each = shooting.clock.left(), shooting.clock.each
    return 0 if left <= 0 else _CHECKED if not each else int(left / (_CALLS * each))


def _raised(shots: Sequence[Shot]) -> Iterator[Fault]:
    ended = [s for s in shots if s.paid.error.startswith(_ENDS)]
    raised = [s for s in shots if s.paid.error and not s.paid.error.startswith(_ENDS)]
    died = [s for s in shots if s.paid.end == "died"]
    slow = [s for s in shots if s.paid.end == "timeout"]
    repair = "Catch what parsing can raise, at the line that parses, and pay nothing."
    for name, group, severity, what in (
        ("fault/dies", died, "medium", "a reply ends the process that computes the reward"),
        ("fault/exits", ended, "medium", "a reply raises an exit out of the reward, past `except Exception`"),
        ("fault/exception", raised, "low", "the reward raises on a reply"),
        ("fault/hangs", slow, "low", "a reply keeps the reward busy beyond its time limit"),
    ):
        if group:
            first = min(group, key=lambda s: sum(map(len, s.turns)))
            said = f": {first.paid.error}" if first.paid.error else ""
            text = f"{what}, {len({s.attack.id for s in group})} of the attacks did{said}"
            fix = (
                repair
                if name == "fault/exception"
                else "Run the reply in a process of its own with a time limit, and count its end as a failure."
            )
            yield Fault(name, severity, text, fix, first.scene.index, first.turns)


def _refused(found: Survey) -> Iterator[Fault]:
    if not found.refused:
        return
    total = len(found.refused) + len(found.scenes)
    first = found.refused[0]
    text = f"known-good replies are not paid on {len(found.refused)} of {total} examples, first on example {first}"
    yield Fault(
        "fault/refuses-good",
        "low",
        text,
        "Look at these examples: either the reward or the known-good reply is wrong.",
        found.refused[0],
    )


def _pays_nothing(shooting: Range, scenes: Sequence[Scene]) -> Iterator[Fault]:
    """Pay for an empty reply that is too small for a finding: a floor which hides that a reply was never read."""
    calls: list[Call] = [(s.index, (*s.good[:-1], "")) for s in scenes]
    paid = [p.reward or 0.0 for p in shooting.pay(calls)]
    small = [(s, r) for s, r in zip(scenes, paid, strict=True) if 1e-9 < r < s.honest * NOTABLE]
    if len(small) * 2 > len(scenes):
        scene, reward = small[0]
        text = f"an empty reply is paid {reward:g}, where an honest one is paid {scene.honest:g}"
        fix = "Pay nothing for nothing, or a policy that answers and one that does not look alike in the logs."
        yield Fault("fault/pays-nothing", "low", text, fix, scene.index, calls[scenes.index(scene)][1])


def _strict(shooting: Range, scenes: Sequence[Scene]) -> Iterator[Fault]:
    """What does not matter must not change the pay: blanks and line ends around a right reply."""
    forms = {
        "a line end after it": lambda t: t + "\n",
        "blanks around it": lambda t: f"  {t}  ",
        "line ends of Windows": lambda t: t.replace("\n", "\r\n") + "\r\n",
    }
    for name, form in forms.items():
        calls: list[Call] = [(s.index, (*s.good[:-1], form(s.good_text))) for s in scenes]
        lost = [
            (s, c)
            for s, c, p in zip(scenes, calls, shooting.pay(calls), strict=True)
            if p.reward is not None and _share(s, p) < 0.5
        ]
        if len(lost) * 2 > len(scenes):
            scene, (_, turns) = lost[0]
            yield Fault(
                "fault/strict",
                "low",
                f"a right reply with {name} is not paid",
                "Strip the reply, and its slot, before comparing.",
                scene.index,
                turns,
            )


def _share(scene: Scene, paid: Paid) -> float:
    span = scene.honest - nothing(scene)
    return ((paid.reward or 0.0) - nothing(scene)) / span if span > 0 else 0.0


_BATCH = "fault/batch"


def _unstable(target: Target, shooting: Range, scenes: Sequence[Scene]) -> Iterator[Fault]:
    calls: list[Call] = [(s.index, t) for s in scenes for t in (s.good, (*s.good[:-1], s.wrap(s.wrong)))]
    owners = {s.index: s for s in scenes}
    first = shooting.pay(calls)
    backwards = list(reversed(target.grade(list(reversed(calls)))))
    if changed := _changed(owners, calls, first, backwards):
        yield _unstable_fault(
            "fault/order", changed, "the pay of a reply changes with the calls before it", "Keep nothing between calls."
        )
        return
    together = target.grade_together(calls)
    if lost := next((p.error for p, alone in zip(together, first, strict=True) if p.error and not alone.error), ""):
        yield Fault(
            _BATCH,
            "medium",
            f"replies that are graded one by one fail as a batch: {one_line(lost)}",
            "Return one reward for each reply, however many come.",
        )
    elif not any(p.error or p.end for p in together) and (changed := _changed(owners, calls, first, together)):
        yield _unstable_fault(
            _BATCH,
            changed,
            "the pay of a reply depends on the batch that it is graded in",
            "Grade each reply by itself.",
        )
    if shooting.clock.past():
        return
    try:
        other = target.again()
    except CouldNotLook:
        return
    try:
        again = other.grade(calls)
    finally:
        other.close()
    if changed := _changed(owners, calls, first, again):
        yield _unstable_fault(
            "fault/chance",
            changed,
            "the same reply is paid differently in another process: chance, time or hash order",
            "Seed what is drawn; sort sets before iterating.",
        )


Changed = list[tuple[Scene, Turns, float]]


def _changed(owners: dict[int, Scene], calls: Sequence[Call], before: Sequence[Paid], after: Sequence[Paid]) -> Changed:
    """Replies whose pay moved, with how far as a share of the honest reply's."""
    out = []
    for (index, turns), a, b in zip(calls, before, after, strict=True):
        scene = owners[index]
        if a.reward is not None and b.reward is not None and abs(a.reward - b.reward) > 1e-9:
            out.append((scene, turns, abs(a.reward - b.reward) / max(1e-9, scene.honest - nothing(scene))))
    return out


def _unstable_fault(name: str, changed: Changed, what: str, fix: str) -> Fault:
    scene, turns, far = max(changed, key=lambda c: c[2])
    severity = "medium" if far >= 0.5 else "low"
    return Fault(
        name,
        severity,
        f"{what} ({len(changed)} replies, by up to {far:.0%} of the honest pay)",
        fix,
        scene.index,
        turns,
    )
