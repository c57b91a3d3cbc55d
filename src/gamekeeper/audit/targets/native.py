"""What the adapters of libraries share: one reply a call, the library's own examples, its source for mining."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import sources

ANSWERS = ("answer", "target", "ground_truth", "solution", "gold", "label", "expected", "reference")


class Graded(Protocol):
    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any: ...


class OneByOne:
    """Base of graders that take one reply a call. Subclasses set `kind`, `bindings` and `readable`, and grade.

    readable: the function or class whose source is mined.
    """

    kind = "library"
    bindings: Sequence[str] = ("reply",)
    readable: Any = None

    def examples(self, n: int, seed: int) -> list[Example]:
        return []

    def source(self) -> str:
        return sources(self.readable) if self.readable is not None else ""

    def grade_together(self: Graded, examples: Sequence[Example], turns: Sequence[Turns], binding: int = 0) -> Any:
        return [self.grade(e, t, binding) for e, t in zip(examples, turns, strict=True)]


def rest_of(spec: Spec) -> str:
    """What the user wrote after the kind and its colon."""
    return spec.name.partition(":")[2]


def options_of(spec: Spec) -> dict[str, Any]:
    """The user's `--param`s."""
    return dict(spec.params)


def answer_among(fields: Mapping[str, Any]) -> Any:
    """The first field that has an answer's name and holds something."""
    return next((fields[n] for n in ANSWERS if fields.get(n) not in (None, "")), None)


def plain(value: Any) -> Any:
    """The value as JSON would bring it back; what JSON does not know becomes its text."""
    return json.loads(json.dumps(value, default=str))
