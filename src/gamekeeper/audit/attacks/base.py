"""What an attack is: a technique, a variant of it, and how it makes a reply to one example.

attack = payload x carrier x transform. A *technique* is what a finding is named after: it says what is wrong with a
grader that pays, and what to change. Its variants differ in payload, carrier or transform only.

knows: the reply is built from the right answer, in a way that no reader would call an answer (a denial, a hedge). A
policy can find it, but not by itself, so that a finding weighs less; and it is only held against the grader if the
same reply built from another value is not paid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gamekeeper.audit.finding import Turns
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene

Make = Callable[..., "str | Turns | None"]  # (Scene); loops bind what varies as further defaults
Family = Callable[[Mined, Scene], Iterator["Attack"]]


@dataclass(frozen=True, slots=True)
class Technique:
    """A row of a family's table: what paying means, what to change, and the catalogue's entries."""

    what: str
    fix: str
    catalogue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attack:
    """One reply-making rule. `make` returns None where it does not apply to an example.

    alone: run in a process of its own, for replies that may break the grader's. slow: may hang; tried on one example.
    baseline: paying it means that the answer hardly counts, which explains what other attacks are paid, too.
    bonus: the reply is right and something was added that adds nothing; what counts is pay above the honest reply's.
    universal: right for some task perhaps, so that it counts only if it is paid on examples with different solutions.
    near: right for a similar task, so that part credit for it may be meant: it counts from half the pay on.
    control: what the reply is made from, which must earn less: the disguise is paid only if what is disguised is not.
    lists: the reply may hold the answer among other things; else one that holds it by accident proves nothing.
    """

    family: str
    technique: str
    variant: str
    make: Make
    about: Technique
    knows: bool = False
    alone: bool = False
    slow: bool = False
    baseline: bool = False
    bonus: bool = False
    universal: bool = False
    lists: bool = False
    near: bool = False
    control: Make | None = None

    @property
    def id(self) -> str:
        return f"{self.family}/{self.technique}:{self.variant}"

    @property
    def cause(self) -> str:
        return f"{self.family}/{self.technique}"

    def is_of(self, name: str) -> bool:
        """Whether a family, a technique or one variant of that name has it."""
        return name in (self.family, self.cause, self.id)


class Maker:
    """Shorthand of a family: makes its attacks from its table of techniques."""

    def __init__(self, family: str, table: Mapping[str, Technique]) -> None:
        self.family, self.table = family, table

    def __call__(self, technique: str, variant: str, make: Make | str, **flags: Any) -> Attack:
        rule: Make = (lambda _, text=make: text) if isinstance(make, str) else make
        return Attack(self.family, technique, variant, rule, self.table[technique], **flags)


def wrapped(text: str) -> Make:
    """The text where an honest reply has its answer."""
    return lambda scene: scene.wrap(text)
