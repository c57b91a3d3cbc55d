"""Audit: find the loophole in somebody's reward before training finds it.

    report = audit("grader.py:reward", [{"prompt": "6 * 7?", "answer": "42"}])
    report.outcome      # "fooled", "resisted" or "could not look"

target, client, worker, wire, jail   the target in a throw-away child, and the protocols it is met by
binding, rewards, examples           what goes into a call, and what comes out
mining, patterns, carriers, entries  what the grader's source, the prompt and a good reply give away
reach, levels                        can the target be reached, does it tell right from wrong?
attacks, range, search, learner      wrong replies: a battery, an optimiser, a small model in training
clock                                when it must end, and how much is played between two looks at it
truth, parts, judge, minimise        is the reply wrong, what is the cause, how short can it be?
faults, incentives, modal            right replies refused, chance, memory; does honesty pay; skewed data
auditor, outputs, quoting            the whole of it, and how it is shown
replay                               an old finding against the grader of now
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamekeeper.deferred import deferred, homes_of

if TYPE_CHECKING:
    from gamekeeper.audit.auditor import audit
    from gamekeeper.audit.finding import (
        COULD_NOT_LOOK,
        FOOLED,
        RESISTED,
        SEVERITIES,
        Example,
        Fault,
        Finding,
        Reach,
        Report,
    )
    from gamekeeper.audit.guard import assert_resists
    from gamekeeper.audit.replay import Replay, verify_fix
    from gamekeeper.audit.settings import Settings

_HOMES = homes_of(
    __name__,
    {
        "auditor": "audit",
        "finding": "COULD_NOT_LOOK FOOLED RESISTED SEVERITIES Example Fault Finding Reach Report",
        "guard": "assert_resists",
        "replay": "Replay verify_fix",
        "settings": "Settings",
    },
)
__getattr__ = deferred(__name__, _HOMES)  # the child that holds a target needs a fifth of this package
__all__ = [
    "COULD_NOT_LOOK",
    "FOOLED",
    "RESISTED",
    "SEVERITIES",
    "Example",
    "Fault",
    "Finding",
    "Reach",
    "Replay",
    "Report",
    "Settings",
    "assert_resists",
    "audit",
    "verify_fix",
]
