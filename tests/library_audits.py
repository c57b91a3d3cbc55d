"""What the tests of library targets share: a target opened, its pay for replies, and a short audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import library_targets
from gamekeeper.audit import Settings, audit
from gamekeeper.audit.target import Limits, Spec
from gamekeeper.audit.targets import open_target

FILE = Path(library_targets.__file__)
MEMORY = 16384


def opened(name: str, count: int = 3, network: bool = False, **params: Any) -> Any:
    spec = Spec("", params=params, folder=str(FILE.parent), count=count)
    return open_target(name, spec, Limits(wall_s=60.0, memory_mb=MEMORY, network=network))


def paid(name: str, *replies: str, binding: int = 0, rows: Any = None, **options: Any) -> list[Any]:
    """What the first example's replies earn; an error in its words."""
    with opened(name, **options) as target:
        target.use(rows or target.examples(), binding)
        results = target.grade([(0, (r,)) for r in replies])
    return [p.error or p.end if p.reward is None else p.reward for p in results]


def outcome(name: str, **settings: Any) -> Any:
    usual = {"search": 0, "most_examples": 3, "only": ("plain", "answer"), "memory_mb": MEMORY, "seconds": 120}
    return audit(name, settings=Settings(**{**usual, **settings}))
