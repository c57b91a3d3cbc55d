"""Reach first: was the grader reached at all, and can it tell right from wrong?

Before any verdict, a reply that is known to be right must be paid more than replies known to be wrong. The known-good
reply is supplied with the examples or made from the answer, in every shape of `carriers` and under every way of calling
of `binding`. Without it the outcome is *could not look*, with what to supply; silence would be read as "clean".

One case stands apart: where a right reply earns full marks, a wrong one in its shape as much, and nothing earns
nothing, the grader was reached and looks at something else than the answer.

The likeliest shapes come first. A quick grader is tried with all, and the one that tells best is kept; with a slow one,
the first that tells is settled on, and fewer examples are paid, so that there is time left for attacks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from gamekeeper.audit.carriers import PLAIN, Carrier, carriers
from gamekeeper.audit.clock import SHAPES, Clock
from gamekeeper.audit.finding import Example, Paid, Reach, Turns
from gamekeeper.audit.levels import ENOUGH, levelled
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import NONSENSE, Scene, Wrap, gold_of, slot_by_form, slot_of, unlike, wrong_values
from gamekeeper.audit.target import Call, Target

_PROBED = ENOUGH
_FULL, _HALF = 0.99, 0.5
_HUNG, _PATIENCE, _LATE = "timeout", 3, "it took too long"
_NEEDS = (
    "Supply replies that you know to be right as the column `good` of --examples (and wrong ones as `bad`), "
    "or say by --bind which argument is the reply and which the answer."
)
_NEEDS_TIME = (
    "Give a call more time by --timeout; a grader that starts processes or loads a model needs it for its first."
)
_NEEDS_SECONDS = (
    "Raise --seconds. Known-good replies (the column `good` of --examples) and --bind leave fewer shapes and ways of "
    "calling to try."
)


@dataclass
class Survey:
    """What reaching found out: scenes with honest and floor pay, and what the report says of it.

    unpaid: how many examples there was no time for. notes: what was left out later, for the report.
    """

    reach: Reach
    scenes: list[Scene] = field(default_factory=list)
    blind: bool = False
    refused: list[int] = field(default_factory=list)
    binding: int = 0
    paid: dict[Call, Paid] = field(default_factory=dict)
    unpaid: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class _Probes:
    """What is tried on which examples, and until when."""

    target: Target
    examples: Sequence[Example]
    answers: Sequence[str]
    mined: Mined
    clock: Clock
    probed: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.probed = _distinct(self.examples, self.answers)

    def graded(self, calls: Sequence[Call]) -> list[Paid]:
        """What the calls are paid, as far as the time reaches."""
        paid: list[Paid] = []
        while len(paid) < len(calls) and not self.clock.past():
            paid += self.clock.grade(self.target, calls[len(paid) : len(paid) + self.clock.calls()])
        return paid


@dataclass
class _Trial:
    """One way of calling and one shape, with what the probes came to.

    error: why no call of this way came through, or how the first right reply that failed did.
    read: whether the grader came to a reward for any right reply.
    """

    binding: int
    carrier: Carrier | None
    honest: list[float]
    wrong: list[float]
    null: list[float]
    error: str = ""
    read: bool = False

    @property
    def margin(self) -> float:
        return fmean(h - w for h, w in zip(self.honest, self.wrong, strict=True)) if self.honest else 0.0

    @property
    def tells(self) -> bool:
        if not self.honest:
            return False
        better = sum(h > w + 1e-9 for h, w in zip(self.honest, self.wrong, strict=True))
        return better * 2 >= len(self.honest) and self.margin > 1e-9

    @property
    def blind(self) -> bool:
        """As much for (most) wrong replies as for right ones, and less for nothing.

        Replies that are known to be right may be paid half; for those that we made ourselves it must be full marks, or
        the pay could be for something else.
        """
        if not self.honest or not self.null:
            return False
        full = _FULL if self.carrier is not None else _HALF
        paid = sum(w >= min(full, h) for h, w in zip(self.honest, self.wrong, strict=True))
        return min(self.honest) >= full and paid * 2 > len(self.wrong) and max(self.null) < min(self.honest) - 0.4


def survey(target: Target, examples: Sequence[Example], mined: Mined, seed: int, clock: Clock | None = None) -> Survey:
    """Find how to reach the target. Never raises for what the target does."""
    if not examples:
        return Survey(Reach(False, "there are no examples to grade", needs=_no_examples()))
    answers = [gold_of(e) for e in examples]
    if not any(answers) and not any(e.good for e in examples):
        return Survey(Reach(False, "no example has an answer or a known-good reply", needs=_NEEDS))
    probes = _Probes(target, examples, answers, mined, clock or Clock())
    best: _Trial | None = None
    failed: list[_Trial] = []
    for number in range(min(len(target.bindings), 24)):
        target.use(examples, number)
        for trial in _trials(probes, number):
            failed += [trial] if trial.error else []
            best = _better(best, trial)
            if best.tells and probes.clock.past(SHAPES):
                break
        if (
            (best is not None and best.tells)
            or sum(t.error == _HUNG for t in failed) >= _PATIENCE
            or probes.clock.past()
        ):
            break
    if probes.clock.past():
        return _too_slow(probes, [t.error for t in failed])
    return _surveyed(probes, seed, best, _errors(best, failed))


def _errors(best: _Trial | None, failed: Sequence[_Trial]) -> list[str]:
    """How right replies failed, where any way of calling came through; else why the ways failed."""
    came_through = best is not None and bool(best.honest)
    return [t.error for t in failed if bool(t.honest) == came_through]


def _too_slow(probes: _Probes, errors: list[str]) -> Survey:
    """There was no time to find out. A grader that hangs is told of its own limit."""
    if errors[:1] == [_HUNG]:
        return Survey(Reach(False, _why_not(None, errors), needs=_NEEDS_TIME))
    clock, calls = probes.clock, getattr(probes.target, "calls", 0)
    cost = f": {calls} calls, about {clock.each:.2g} s each" if clock.each else ""
    why = f"reach took longer than the {clock.seconds:g} s that the audit has{cost}"
    return Survey(Reach(False, why, needs=_NEEDS_SECONDS))


def _no_examples() -> str:
    return (
        'Give --examples FILE, JSONL with `prompt` and `answer` (and `good` replies): {"prompt": "1+1?", "answer": "2"}'
    )


def _distinct(examples: Sequence[Example], answers: Sequence[str]) -> list[int]:
    """A few examples to probe with, of different answers."""
    first: dict[str, int] = {}
    for index, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        if answer or example.good:
            first.setdefault(answer or str(example.good), index)
    return list(first.values())[:_PROBED]


def _better(best: _Trial | None, trial: _Trial) -> _Trial:
    if best is None:
        return trial
    if trial.tells != best.tells:
        return trial if trial.tells else best
    if trial.tells:
        return trial if trial.margin > best.margin + 1e-9 else best
    if trial.read != best.read:
        return trial if trial.read else best
    return trial if trial.blind and not best.blind else best


def _trials(probes: _Probes, way: int) -> Iterator[_Trial]:
    """The shapes under one way of calling, as far as the time reaches: a few in one batch, the likeliest first."""
    nulls: list[Call] = [(i, (text,)) for i in probes.probed for text in ("", NONSENSE[0])]
    shapes, pairs = _shaped(probes)
    # A right reply first: one that hangs the grader on purpose would say nothing of others.
    if any(p.end == _HUNG for p in probes.graded(pairs[:1])):
        yield _Trial(way, None, [], [], [], _HUNG)
        return
    first = probes.graded([*nulls, *pairs[:2]])
    if len(first) < len(nulls) + 2:
        return
    if all(p.error or p.end for p in first):
        yield _Trial(way, None, [], [], [], first[0].error or first[0].end)
        return
    null, paid = [_number(p) for p in first[: len(nulls) : 2]], first[len(nulls) :]
    each, done = 2 * len(probes.probed), 0
    while done < len(shapes):
        until = done + (max(1, probes.clock.calls(SHAPES) // each) if done else 1)
        paid += probes.graded(pairs[len(paid) : until * each])
        for shape in shapes[done:until]:
            part = paid[done * each : (done + 1) * each]
            if len(part) < each:
                return
            right, wrong = [_number(p) for p in part[::2]], [_number(p) for p in part[1::2]]
            ends = [_failure(p) for p in part[::2]]
            error = next(filter(None, ends), "")
            yield _Trial(way, shape, right, wrong, null, error, read=not all(ends))
            done += 1


def _shaped(probes: _Probes) -> tuple[list[Carrier | None], list[Call]]:
    """The shapes to try, and for each of them a right and a wrong reply to every example that is probed."""
    examples, answers, probed = probes.examples, probes.answers, probes.probed
    calls: list[Call] = []
    if any(examples[i].good for i in probed):
        for i, wrong in [*((i, None) for i in probed), *_exchanged(examples, probed)]:
            good, near = _pair(examples[i], answers, i, None)
            calls += [(i, good), (i, wrong or near)]
        return [None, None], calls
    shapes: list[Carrier | None] = []
    if any(answers[i] for i in probed):
        shapes += carriers(probes.mined, examples[probed[0]].prompt)
    for shape in shapes:
        calls += [(i, turns) for i in probed for turns in _pair(examples[i], answers, i, shape)]
    return shapes, calls


def _exchanged(examples: Sequence[Example], probed: Sequence[int]) -> list[tuple[int, Turns | None]]:
    """Each example with the next one's good reply: right in shape, and an answer to something else.

    Handed on in a circle, so that a grader which looks at the reply alone pays right and wrong replies the same sum.
    """
    return [
        (i, examples[other].good[0] if examples[other].good else None)
        for i, other in zip(probed, [*probed[1:], *probed[:1]], strict=True)
    ]


def _number(paid: Paid) -> float:
    return paid.reward if paid.reward is not None else -1e9 if paid.error or paid.end else 0.0


def _failure(paid: Paid) -> str:
    """How a call failed, in words; nothing if it did not."""
    return paid.error or (_LATE if paid.end == _HUNG else paid.end)


def _pair(example: Example, answers: Sequence[str], index: int, shape: Carrier | None) -> tuple[Turns, Turns]:
    """A right reply and a wrong one in the same shape."""
    wrongs = wrong_values(example, answers)
    if shape is not None and not example.good:
        gold = _spoken(example, answers[index], shape)
        return (shape.wrap(gold),), (shape.wrap(wrongs[0]),)
    if not example.good:
        return (answers[index],), (wrongs[0],)
    good = example.good[0]
    if example.bad:
        return good, example.bad[0]
    slot = slot_of(good[-1], answers[index]) if "\n" not in answers[index] else None
    if slot is not None and len(answers[index]) > 0:
        return good, (*good[:-1], slot(wrongs[0]))
    return good, (*good[:-1], NONSENSE[0])


def _spoken(example: Example, answer: str, shape: Carrier) -> str:
    """The answer as its column has it when nothing is put around it, else its core."""
    return str(example.answer) if shape is PLAIN and isinstance(example.answer, str) else answer


def _surveyed(probes: _Probes, seed: int, best: _Trial | None, errors: list[str]) -> Survey:
    target, answers = probes.target, probes.answers
    # A target that knows the truth need not pay it: whether it does is the question. It must only not be constant.
    varies = best is not None and target.truths and len({*best.honest, *best.wrong, *best.null}) > 1
    if best is None or not (best.tells or best.blind or varies):
        needs = _NEEDS_TIME if errors[:1] == [_HUNG] else _NEEDS
        return Survey(Reach(False, _why_not(best, errors), needs=needs))
    target.use(probes.examples, best.binding)
    found = Survey(Reach(False, ""), blind=not best.tells and not target.truths, binding=best.binding)
    for index, example in enumerate(probes.examples):
        if answers[index] or example.good:
            found.scenes.append(_scene(example, index, answers, best.carrier, probes.mined, seed))
    goods = tuple(s.good_text for s in found.scenes)
    found.scenes = [replace(s, rival=rival_of(s, found.scenes), goods=goods) for s in found.scenes]
    levels = levelled(target, found.scenes, probes.clock)
    found.scenes, found.refused, found.paid, found.unpaid = levels.kept, levels.refused, levels.paid, levels.unpaid
    if not found.scenes and found.unpaid:
        return _too_slow(probes, errors)
    if not found.scenes:
        return Survey(Reach(False, "known-good replies were paid on the probes and on no example", needs=_NEEDS))
    found.reach = _reached(target, found, best)
    return found


def _reached(target: Target, found: Survey, best: _Trial) -> Reach:
    honest, wrong = fmean(s.honest for s in found.scenes), fmean(s.floor for s in found.scenes)
    name = best.carrier.name if best.carrier else "as supplied"
    why = "right replies are paid more than wrong ones" if best.tells else "right and wrong replies are paid alike"
    if not best.tells and target.truths:
        why = "the target knows the truth, and does not pay it"
    return Reach(True, why, target.bindings[best.binding], name, honest, wrong)


def _why_not(best: _Trial | None, errors: Sequence[str]) -> str:
    if best is None or not best.honest:
        first = _LATE if errors[:1] == [_HUNG] else errors[0] if errors else "none"
        return f"every way of calling it failed; the first error: {first}"
    if not best.read:
        return f"every right reply made it fail; the first error: {errors[0]}"
    failed = f"; other right replies made it fail, the first with {errors[0]}" if errors else ""
    if len({*best.honest, *best.wrong, *best.null}) == 1:
        return f"every probe was paid {best.honest[0]:g}: right, wrong and empty replies alike{failed}"
    return f"no right reply that could be made was paid more than a wrong one{failed}"


def _scene(
    example: Example, index: int, answers: Sequence[str], shape: Carrier | None, mined: Mined, seed: int
) -> Scene:
    others = tuple(dict.fromkeys(a for a in answers if a and unlike(a, answers[index])))
    wrongs = wrong_values(example, _shuffled(others, index))
    good, _ = _pair(example, answers, index, shape)
    wrap = _wrap(good, answers[index], shape, bool(example.good))
    plain = shape is not None and shape.name in ("plain", "sentence") and not example.good
    return Scene(index, example, answers[index], good, wrap, wrongs, others, mined, seed, plain=plain)


def _shuffled(values: Sequence[str], index: int) -> list[str]:
    found = list(values)
    random.Random(index).shuffle(found)
    return found


def _wrap(good: Turns, gold: str, shape: Carrier | None, supplied: bool) -> Wrap:
    if shape is not None and not supplied:
        return shape.wrap
    return slot_of(good[-1], gold) or slot_by_form(good[-1]) or PLAIN.wrap


def rival_of(scene: Scene, scenes: Sequence[Scene]) -> Turns:
    """The good reply of the next example in the circle whose good reply is surely another."""
    later = [s for s in scenes if s.index > scene.index] + [s for s in scenes if s.index < scene.index]
    return next((s.good for s in later if s.good and unlike(s.good[-1], scene.good[-1])), ())
