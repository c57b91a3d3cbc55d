"""What an audit may be told, in one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gamekeeper.audit.finding import severity_rank
from gamekeeper.audit.target import Limits
from gamekeeper.errors import UsageError
from gamekeeper.sandbox.layers import check_level


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to look, and within which limits."""

    seed: int = 0
    most_examples: int = 16
    """Examples that a suspicion is confirmed on; it is raised on the first few."""
    seconds: float = 60.0
    """How long reach, attacks and faults may take together; what was left out is said.

    Loading the target and the learner's steps come on top, and the calls that are under way at the end: about four
    seconds of them, or two calls if those take longer, each of `wall_s` at most.
    """
    search: int = 400
    """Replies that the search may try; 0 is off."""
    learn: int = 0
    """Steps of the learning adversary; 0 is off, it needs gamekeeper[train]."""
    only: tuple[str, ...] = ()
    """Families, causes or attack ids; empty means all."""
    fail_on: str = "medium"
    bind: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    oracle: str = ""
    """`module:function` or `file.py:function` that says what a reply is worth, 0 to 1, called as the target is."""
    wall_s: float = 5.0
    memory_mb: int = 4096
    network: bool = False
    environment: tuple[str, ...] = ()
    isolation: str | None = None
    """The level below which no target is attacked; None: the sandbox's default for one that runs code, else any."""
    command: tuple[str, ...] = ()
    """The options as typed, for the `repro` commands."""

    @property
    def limits(self) -> Limits:
        """What holds for every function of the user's that is called: the target, and the oracle."""
        return Limits(self.wall_s, self.memory_mb, self.network, self.environment)

    def __post_init__(self) -> None:
        severity_rank(self.fail_on)
        if self.isolation is not None:
            check_level(self.isolation)
        for name, low in (("most_examples", 1), ("search", 0), ("learn", 0), ("memory_mb", 64)):
            if getattr(self, name) < low:
                raise UsageError(f"{name} must be at least {low}, got {getattr(self, name)}.")
        for name in ("seconds", "wall_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}.")
        for family, name in (("search", "search"), ("learner", "learn")):
            if not getattr(self, name) and any(o.partition("/")[0] == family for o in self.only):
                raise UsageError(
                    f"--only {family} asks for what --{name} 0 leaves out. Give it steps, e.g. --{name} 200."
                )
