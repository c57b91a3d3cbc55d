"""Whether a grader that runs code is shut in well enough to be attacked.

Attacks on a grader that executes replies are programs that go for its files, processes and results. Below the level
that is required they are not started, and the verdict is *could not look*. A grader that only reads replies is not
held to it unless the caller says so: it does nothing here that it would not do in training.

The levels are the sandbox's, but the target brings libraries of its own, so no seccomp filter fits it: short of all
namespaces there is only `limits`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.audit import truth
from gamekeeper.audit.mining import mine
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.settings import Settings
from gamekeeper.audit.target import Target
from gamekeeper.sandbox import require_isolation
from gamekeeper.sandbox.layers import LEVELS, VARIABLE, default_level, how_to_get

_NAMESPACES = ("processes", "files", "network")


def level_of(layers: Sequence[str], network: bool) -> str:
    """The level that the jail's layers make up. network: the caller allowed it, so that it is not missed."""
    wanted = [name for name in _NAMESPACES if not (network and name == "network")]
    return LEVELS[-1] if all(name in layers for name in wanted) else LEVELS[0]


def runs_code(target: Target, scenes: Sequence[Scene]) -> bool:
    """Whether the target seems to execute replies: by its source, or by its right replies where that is unknown."""
    mined = mine(target.source())
    return mined.runs_code if mined.known else any(truth.is_program(s.good_text) for s in scenes)


def too_open(target: Target, scenes: Sequence[Scene], settings: Settings) -> tuple[str, str] | None:
    """Why the target must not be attacked here and what would help, or None.

    Raises IsolationTooLow for a game of ours, which runs code in a sandbox and not in the jail.
    """
    if target.kind == "game":
        if getattr(target, "game").runs_code:  # noqa: B009 - of this kind of target alone
            require_isolation(settings.isolation)
        return None
    if settings.isolation is None and not runs_code(target, scenes):
        return None
    required = settings.isolation or default_level()
    reached = level_of(target.layers, settings.network)
    if LEVELS.index(reached) >= LEVELS.index(required):
        return None
    held = ", ".join(target.layers) or "time and memory only"
    why = f"the target runs code, and its isolation here is {reached!r} ({held}), below the required {required!r}"
    less = f"To go on with less, at your own risk: --require-isolation {reached}, or {VARIABLE}={reached}."
    return why, f"{how_to_get(['user-namespace']).rstrip('.')}. {less}"
