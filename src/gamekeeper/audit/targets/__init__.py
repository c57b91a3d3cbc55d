"""Which kinds of targets there are: a prefix and the module behind it. Nothing is imported before it is named.

A new kind is one file here with `open_grader(spec) -> Grader`, and one line in `CHILDREN`. What the user writes before
the colon picks the line; anything else is a Python function, `module:function` or `file.py:function`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gamekeeper.audit.target import Limits, Spec, Target

_HERE = "gamekeeper.audit.targets"
CHILDREN: Mapping[str, str] = {
    "trl": f"{_HERE}.trl",
    "verl": f"{_HERE}.verl",
    "verifiers": f"{_HERE}.verifiers",
    "inspect": f"{_HERE}.inspect_ai",
    "reasoning_gym": f"{_HERE}.reasoning_gym",
    "openenv": f"{_HERE}.openenv",
}
"""Prefix -> module of an adapter whose grader lives in the child process."""
FUNCTION = f"{_HERE}.function"


def open_target(what: str | Callable[..., Any], spec: Spec | None = None, limits: Limits | None = None) -> Target:
    """The target that a name or a callable stands for, ready to grade. Close it after use.

    Raises UsageError on a name that means nothing, CouldNotLook on a target that does not load.
    """
    spec, limits = spec or Spec("", folder=os.getcwd()), limits or Limits()
    if callable(what):
        from gamekeeper.audit.client import ChildTarget
        from gamekeeper.audit.targets.function import FunctionGrader, name_of

        named = replace(spec, name=name_of(what))
        return ChildTarget(named, FunctionGrader(what, named), limits)
    spec = replace(spec, name=what)
    prefix = what.partition(":")[0]
    if prefix == "game":
        from gamekeeper.audit.targets.game import GameTarget

        return GameTarget(spec)
    from gamekeeper.audit.client import ChildTarget

    return ChildTarget(spec, CHILDREN.get(prefix, FUNCTION), limits)
