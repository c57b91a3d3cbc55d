"""What an audit reads and what it says: examples, payments, findings, faults and the report that holds them.

Plain frozen records of JSON values. A *finding* is a reply that is wrong and was paid; a *fault* is anything else
that makes the reward unfit to train on: a right reply refused, an exception, chance, memory of earlier calls.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gamekeeper.errors import UnknownName
from gamekeeper.types import to_plain

SEVERITIES = ("low", "medium", "high", "critical")
FOOLED, RESISTED, COULD_NOT_LOOK = "fooled", "resisted", "could not look"
FORMAT = 1
Turns: TypeAlias = tuple[str, ...]


def severity_rank(name: str) -> int:
    """0 for low up to 3 for critical; UnknownName for another word."""
    if name not in SEVERITIES:
        raise UnknownName("severity", name, SEVERITIES)
    return SEVERITIES.index(name)


def lowered(severity: str, steps: int = 1) -> str:
    return SEVERITIES[max(0, severity_rank(severity) - steps)]


@dataclass(frozen=True, slots=True)
class Example:
    """One task for the target. `columns` is the whole row as the reward function may ask for it."""

    prompt: str = ""
    answer: Any = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    good: tuple[Turns, ...] = ()
    bad: tuple[Turns, ...] = ()
    messages: tuple[Mapping[str, str], ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Example:
        return cls(
            data["prompt"],
            data["answer"],
            data["columns"],
            tuple(tuple(g) for g in data["good"]),
            tuple(tuple(b) for b in data["bad"]),
            tuple(data["messages"]),
        )

    @property
    def key(self) -> str:
        """What the example is known by in another order or another file: a hash of its row."""
        row = [self.prompt, self.answer, dict(self.columns), [dict(m) for m in self.messages]]
        plain = json.loads(json.dumps(row, default=str))  # keys as texts, which can be sorted
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def chat(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return [dict(m) for m in self.messages] or [{"role": "user", "content": self.prompt}]


@dataclass(frozen=True, slots=True)
class Paid:
    """What one call of the target came to. No reward and no error: the target said that the reply is not its case.

    end: "" if the call returned or raised; "died" if its process ended, "timeout" if it was stopped.
    truth: what the reply is worth, where the target knows (our own games do).
    """

    reward: float | None
    error: str = ""
    end: str = ""
    seconds: float = 0.0
    truth: float | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A wrong reply that was paid. `gain` is its pay as a share of the honest reply's, above what nothing earns.

    bonus: the reply is right and padded, and `gain` is what it is paid above the honest one.
    example_key: the `Example.key` of the example, by which it is found again.
    """

    id: str
    family: str
    severity: str
    what: str
    fix: str
    example: int
    replies: Turns
    reward: float
    honest_reward: float
    floor: float
    gain: float
    share: float
    variants: tuple[str, ...] = ()
    catalogue: tuple[str, ...] = ()
    evidence: str = ""
    repro: str = ""
    bonus: bool = False
    example_key: str = ""

    @property
    def reply(self) -> str:
        return "\n---\n".join(self.replies)

    @property
    def cause(self) -> str:
        """Family and technique, without the variant."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Fault:
    """What makes the reward unfit without paying a wrong reply."""

    id: str
    severity: str
    what: str
    fix: str
    example: int | None = None
    replies: Turns = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether the target was reached and tells right from wrong, and how: the shape of call and of honest replies."""

    reached: bool
    why: str
    binding: str = ""
    carrier: str = ""
    honest: float | None = None
    wrong: float | None = None
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of an audit."""

    target: str
    kind: str
    outcome: str
    reach: Reach
    findings: tuple[Finding, ...] = ()
    faults: tuple[Fault, ...] = ()
    families: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    examples: int = 0
    calls: int = 0
    seconds: float = 0.0
    seed: int = 0
    layers: tuple[str, ...] = ()
    command: str = ""
    version: str = ""

    def worst(self) -> str | None:
        """The highest severity among findings and faults."""
        found = [*(f.severity for f in self.findings), *(f.severity for f in self.faults)]
        return max(found, key=severity_rank) if found else None

    def exit_code(self, fail_on: str = "medium") -> int:
        """0 fine, 1 something at or above `fail_on`, 3 could not look."""
        if self.outcome == COULD_NOT_LOOK:
            return 3
        worst = self.worst()
        return int(worst is not None and severity_rank(worst) >= severity_rank(fail_on))

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **to_plain(self)}


def turns_of(reply: str | Sequence[str]) -> Turns:
    return (reply,) if isinstance(reply, str) else tuple(reply)
