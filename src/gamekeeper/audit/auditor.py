"""The audit from end to end: reach, battery, search, learner, faults, minimal replies, report."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gamekeeper import __version__
from gamekeeper.audit import incentives, pay_tables, truth
from gamekeeper.audit.attacks import Attack, battery, check_only
from gamekeeper.audit.clock import Clock
from gamekeeper.audit.coverage import shortfall, unlooked
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.faults import faults
from gamekeeper.audit.finding import COULD_NOT_LOOK, FOOLED, RESISTED, Example, Fault, Finding, Reach, Report
from gamekeeper.audit.isolation import too_open
from gamekeeper.audit.judge import NOTABLE, Oracle, Shot, distinct, in_order, judged
from gamekeeper.audit.minimise import minimal
from gamekeeper.audit.mining import Mined, mine
from gamekeeper.audit.modal import LEAST_EXAMPLES, modal
from gamekeeper.audit.oracle import open_oracle
from gamekeeper.audit.range import Range
from gamekeeper.audit.reach import Survey, survey
from gamekeeper.audit.search import search
from gamekeeper.audit.settings import Settings
from gamekeeper.audit.target import Spec, Target
from gamekeeper.audit.targets import CHILDREN, open_target
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.extras import need

Progress = Callable[[Mapping[str, Any]], None]
Examples = Iterable[Example | Mapping[str, Any]]


def audit(
    target: str | Callable[..., Any],
    examples: Examples = (),
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Report:
    """Look for wrong replies that the target pays.

    target: a name such as "file.py:reward" or "game:tamper", or a callable.
    examples: rows with `prompt`, `answer`, `good`, any columns; a target that brings its own needs none.
    Raises UsageError on a call that is wrong. A target that cannot be reached is an outcome, not an error.
    """
    settings = settings or Settings()
    check_only(settings.only)
    started = time.monotonic()
    given = as_examples(examples)
    check_taken(target, given, settings)
    if isinstance(target, str) and target.partition(":")[0] == pay_tables.PREFIX:
        return pay_tables.audit_table(target, settings.seed)
    try:
        opened = open_target(target, spec_of(given, settings), settings.limits)
    except CouldNotLook as error:
        name = target if isinstance(target, str) else repr(target)
        reach = Reach(False, str(error), needs="Make the target importable, or name another.")
        return Report(name, "?", COULD_NOT_LOOK, reach, version=__version__, seed=settings.seed)
    try:
        with open_oracle(settings, given) as oracle:
            return Audit(opened, given, settings, progress, oracle, can_be_typed(target, given, settings)).run(started)
    finally:
        opened.close()


def check_taken(target: str | Callable[..., Any], given: Sequence[Example], settings: Settings) -> None:
    """UsageError on what this kind of target does not read, which would be passed over in silence."""
    kind = target.partition(":")[0] if isinstance(target, str) else ""
    table, game = kind == pay_tables.PREFIX, kind == "game"
    library = kind in CHILDREN and kind != "trl"
    elsewhere = [name for name in settings.only if name.partition("/")[0] not in ("incentive", "fault")]
    unread = {
        "--examples": table and given,
        "--bind": (table or game or (library and not settings.oracle)) and settings.bind,  # an oracle is bound as well
        "--param": table and settings.params,
        "--oracle": (table or game) and settings.oracle,
        "--only": table and elsewhere,
        "--env": (table or game) and settings.environment,
        "--network": (table or game) and settings.network,
    }
    if lost := [option for option, there in unread.items() if there]:
        why = _TABLES if table else _GAMES if game else _LIBRARIES
        raise UsageError(f"{target!r} takes no {' and no '.join(lost)}: {why}")


_TABLES = "the table is all there is to look at, for its incentive. Leave that out."
_GAMES = (
    "a game of ours is called in one way, needs nothing from outside and knows what replies are worth. Leave that out; "
    "--param sets what a game has."
)
_LIBRARIES = (
    "the library calls its graders in one way. Leave that out, or name a function of yours as file.py:function "
    "(or trl:file.py:function), whose arguments --bind settles."
)


def spec_of(given: Sequence[Example], settings: Settings) -> Spec:
    columns = sorted({c for e in given for c in e.columns})
    return Spec("", settings.bind, settings.params, os.getcwd(), settings.seed, settings.most_examples, columns)


def can_be_typed(target: str | Callable[..., Any], given: Sequence[Example], settings: Settings) -> bool:
    """Whether a command line makes this audit again: one called from Python may have no words for what it was given."""
    if settings.command or not isinstance(target, str):
        return isinstance(target, str)
    usual = Settings()
    return not given and replace(settings, only=usual.only, fail_on=usual.fail_on) == usual


@dataclass
class Audit:
    """One audit in progress."""

    target: Target
    given: Sequence[Example]
    settings: Settings
    progress: Progress | None = None
    oracle: Oracle | None = None
    typed: bool = True

    def run(self, started: float) -> Report:
        examples = list(self.given)[: self.settings.most_examples] or self.target.examples()
        mined = mine(self.target.source())
        clock = Clock(self.settings.seconds)
        found = survey(self.target, examples, mined, self.settings.seed, clock)
        if not found.reach.reached:
            return self._report(found, started)
        if refusal := too_open(self.target, found.scenes, self.settings):
            found.reach = replace(found.reach, reached=False, why=refusal[0], needs=refusal[1])
            return self._report(found, started)
        shooting = Range(self.target, found.scenes, clock, mined.timeout)
        shooting.memory.update(found.paid)
        attacks = battery(mined, found.scenes[0], self.settings.only)
        shots = shooting.shoot(attacks, self._told())
        found.scenes = shooting.scenes
        findings = judged(shots, self.oracle)
        shots += self._searched(shooting, found, mined, shots, findings)
        findings = self._extended(judged(shots, self.oracle), shots, found, mined, shooting)
        findings = distinct([self._finished(f, shots, found, shooting) for f in findings])
        looked = self._looked(found, shooting)
        other = faults(self.target, found, shots, shooting) if self._wants("fault") else []
        if not findings and (lack := shortfall(attacks, shots, looked, shooting, self.settings.only)):
            found.reach = replace(found.reach, reached=False, why=lack[0], needs=lack[1])
        elif missed := unlooked(shots, looked, self.settings.only):
            found.notes.append(f"nothing of {', '.join(missed)} could be tried on this target")
        return self._report(found, started, findings, other, shots, shooting)

    def _looked(self, found: Survey, shooting: Range) -> set[str]:
        """What is looked at besides the battery and the search, which have shots to show."""
        answers = max(len(self._answers()), sum(bool(s.gold) for s in found.scenes))
        kinds = {
            "data": answers >= LEAST_EXAMPLES,
            "context": self.target.truths,
            "incentive": incentives.table_of(getattr(self.target, "game", None)) is not None,
            "learner": self.settings.learn > 0,
            "fault": not shooting.clock.past(),
        }
        return {name for name, there in kinds.items() if there}

    def _wants(self, family: str) -> bool:
        return not self.settings.only or any(o.partition("/")[0] == family for o in self.settings.only)

    def _searched(
        self, shooting: Range, found: Survey, mined: Mined, shots: Sequence[Shot], findings: Sequence[Finding]
    ) -> list[Shot]:
        """Search where the battery left something to find; the learner where it is asked for."""
        extra: list[Shot] = []
        done = any(f.gain >= 0.9 and f.share >= 0.5 and not _knows(f, shots) for f in findings)
        wanted = self._wants("search") and not done and self.settings.search
        if wanted and shooting.out_of_time:
            found.notes.append("there was no time for the search; raise --seconds")
        elif wanted:
            partly = sorted((s for s in shots if s.gain > 0 and _usable(s)), key=lambda s: (-s.gain, len(s.turns[-1])))
            seeds = list(dict.fromkeys(s.turns[-1] for s in partly))
            extra += search(shooting, found.scenes, mined, seeds, self.settings.seed, self.settings.search)
        if self._wants("learner") and self.settings.learn:
            need("train", "The learning adversary", "torch", "tokenizers", "safetensors")
            from gamekeeper.audit.learner import budget, learned

            extra += learned(shooting, found.scenes, budget(self.settings.learn), self.settings.seed, self.progress)
        return extra

    def _extended(
        self, findings: list[Finding], shots: Sequence[Shot], found: Survey, mined: Mined, shooting: Range
    ) -> list[Finding]:
        """Findings that no single reply shows."""
        extra: list[Finding | None] = []
        if self._wants("data"):
            extra.append(modal(found.scenes, self._answers()))
        if self._wants("context") and self.target.truths:
            opposite = incentives.conditional(shots, found.scenes)
            extra.append(opposite)
            if opposite is not None:  # what is paid for there is explained by the context
                findings = [f for f in findings if f.gain < 2.0]
        table = incentives.table_of(getattr(self.target, "game", None)) if self._wants("incentive") else None
        if table is not None:
            extra.append(incentives.under_audited(table))
        return in_order([*findings, *(f for f in extra if f is not None)])

    def _answers(self) -> list[str]:
        """The answers of all rows given, or of as many more items as the target makes."""
        if self.given:
            return [golds[0] for e in self.given if (golds := truth.golds(e.answer))]
        return list(getattr(self.target, "answers", ()))

    def _finished(self, finding: Finding, shots: Sequence[Shot], found: Survey, shooting: Range) -> Finding:
        """With the minimal reply, what that is paid, and the command that shows it again."""
        scene = next((s for s in found.scenes if s.index == finding.example), None)
        attack = next((s.attack for s in shots if s.attack.id == finding.id), None)
        if scene is not None and attack is not None and self.oracle is None:
            turns = minimal(finding, attack, scene, shooting, self.target.truths)
            paid = shooting.memory.get((scene.index, turns))
            if paid is not None and paid.reward is not None:
                finding = replace(
                    finding, replies=turns, reward=paid.reward, evidence=paid.evidence or finding.evidence
                )
        # A search starts from what the whole battery was paid.
        return replace(finding, repro=self.command("" if finding.family == "search" else finding.cause))

    def command(self, only: str = "") -> str:
        """The command line of this audit, for one finding if `only` names it; "" if there is none."""
        if not self.typed:
            return ""
        parts = ["gamekeeper", "audit", self.target.name, *self.settings.command]
        return shlex.join([*parts, *(["--only", only] if only else [])])

    def _told(self) -> Callable[[int, int], None] | None:
        told = self.progress
        return (lambda done, total: told({"phase": "attacks", "step": done, "steps": total})) if told else None

    def _report(
        self,
        found: Survey,
        started: float,
        findings: Sequence[Finding] = (),
        other: Sequence[Fault] = (),
        shots: Sequence[Shot] = (),
        shooting: Range | None = None,
    ) -> Report:
        notes = list(self.target.notes)
        if shooting is not None and shooting.left_out:
            notes.append(
                f"{shooting.left_out} attacks were left out for time; raise --seconds (now {self.settings.seconds:g})"
            )
        if found.unpaid:
            notes.append(f"{found.unpaid} examples were left out for time, before any attack")
        notes += found.notes
        if found.blind:
            notes.append("the target was reached, but pays right and wrong replies alike")
        if found.reach.reached and not mine(self.target.source()).known and self.target.kind != "game":
            notes.append("the target's source could not be read: attacks were not fitted to it")
        outcome = COULD_NOT_LOOK if not found.reach.reached else FOOLED if findings else RESISTED
        return Report(
            self.target.name,
            self.target.kind,
            outcome,
            found.reach,
            tuple(findings),
            tuple(other),
            families(shots),
            tuple(notes),
            len(found.scenes),
            getattr(self.target, "calls", 0),
            round(time.monotonic() - started, 3),
            self.settings.seed,
            tuple(self.target.layers),
            self.command(),
            __version__,
        )


def _knows(finding: Finding, shots: Sequence[Shot]) -> bool:
    return any(s.attack.id == finding.id and s.attack.knows for s in shots)


def _usable(shot: Shot) -> bool:
    """Whether the reply may seed the search: it must not have been made from an answer."""
    attack: Attack = shot.attack
    free = (
        not (attack.knows or attack.lists or attack.bonus or attack.alone or attack.near) and len(shot.turns[-1]) < 2000
    )
    return free and shot.scene.reading(shot.turns[-1]) == truth.WRONG


def families(shots: Sequence[Shot]) -> dict[str, dict[str, int]]:
    """How many attacks of each family were tried, and how many were paid: also those that happened to be right."""
    rows: dict[str, dict[str, set[str]]] = {}
    for shot in shots:
        row = rows.setdefault(shot.attack.family, {"tried": set(), "paid": set()})
        row["tried"].add(shot.attack.id)
        if shot.gain >= NOTABLE:
            row["paid"].add(shot.attack.id)
    return {name: {k: len(v) for k, v in row.items()} for name, row in rows.items()}
