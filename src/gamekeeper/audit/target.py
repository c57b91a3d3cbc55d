"""What can be audited: the two protocols that an adapter and the auditor meet at.

An adapter is one file under `targets/` with a function `open_grader(spec) -> Grader`. The `Grader` that it returns
lives in the throw-away child process, beside the untrusted code; it grades one reply and need not be careful: what it
raises, prints or breaks stays there. The auditor sees a `Target`, which is the parent's end of that child (or, for our
own games, the same process).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from gamekeeper.audit.finding import Example, Paid, Turns

Call: TypeAlias = tuple[int, Turns]


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user named: a target and the options that its adapter may read.

    bind: role or parameter -> column, from `--bind`. params: `--param` of what is made: a game, a data set, a class.
    columns: those that the examples have. folder: the caller's working folder, where relative paths are looked up.
    """

    name: str
    bind: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    folder: str = "."
    seed: int = 0
    count: int = 16
    columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of the target may use, and what the child is given."""

    wall_s: float = 5.0
    memory_mb: int = 4096
    network: bool = False
    environment: tuple[str, ...] = ()


class Grader(Protocol):
    """The adapter's half. Exceptions are welcome: they are recorded as the target's own.

    kind: one word for the report, e.g. "function".
    bindings: how many ways of calling there are to try, best guess first; `grade` is told which one is meant.
    """

    @property
    def kind(self) -> str: ...
    @property
    def bindings(self) -> Sequence[str]: ...
    def examples(self, n: int, seed: int) -> list[Example]: ...
    def source(self) -> str: ...
    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any: ...
    def grade_together(self, examples: Sequence[Example], turns: Sequence[Turns], binding: int = 0) -> Any: ...


class Target(Protocol):
    """The auditor's view: rewards for replies, and what can be read about the grader.

    truths: whether `Paid.truth` is set, so that no other notion of right is needed.
    repeatable: whether a call may be repeated in another process with another hash seed.
    """

    name: str
    kind: str
    bindings: Sequence[str]
    layers: tuple[str, ...]
    truths: bool
    notes: list[str]

    def source(self) -> str: ...
    def examples(self) -> list[Example]: ...
    def use(self, examples: Sequence[Example], binding: int = 0) -> None: ...
    def grade(self, calls: Sequence[Call], *, alone: bool = False, wall_s: float | None = None) -> list[Paid]: ...
    def grade_together(self, calls: Sequence[Call]) -> list[Paid]: ...
    def again(self) -> Target: ...
    def close(self) -> None: ...
