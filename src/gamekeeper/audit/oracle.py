"""The user's own truth: a function that says what a reply is worth, called as the target is called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gamekeeper.audit.clock import Clock
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.judge import Oracle
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.quoting import one_line
from gamekeeper.audit.reach import survey
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.settings import Settings
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets import open_target
from gamekeeper.errors import CouldNotLook


@contextmanager
def open_oracle(settings: Settings, examples: Sequence[Example]) -> Iterator[Oracle | None]:
    """None if no oracle is named. Raises CouldNotLook if it cannot tell right from wrong either."""
    if not settings.oracle:
        yield None
        return
    columns = sorted({c for e in examples for c in e.columns})
    spec = Spec("", settings.bind, {}, os.getcwd(), settings.seed, settings.most_examples, columns)
    target = open_target(settings.oracle, spec, settings.limits)
    try:
        clock = Clock(settings.seconds)
        found = survey(target, list(examples)[: settings.most_examples], Mined(), settings.seed, clock)
        if not found.reach.reached or found.blind:
            raise CouldNotLook(
                f"The oracle {settings.oracle!r} does not tell right from wrong: {one_line(found.reach.why)}. "
                "It must give known-good replies 1 and wrong ones 0; check it by hand."
            )

        known: dict[tuple[int, Turns], float | None] = {}

        def worth(scene: Scene, turns: Turns) -> float | None:
            key = (scene.index, turns)
            if key not in known:
                known[key] = target.grade([key])[0].reward
            return known[key]

        yield worth
    finally:
        target.close()
