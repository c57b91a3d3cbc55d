"""The data's own hole: an answer so frequent that giving it always is paid on most examples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from gamekeeper.audit.finding import Finding
from gamekeeper.audit.judge import nothing
from gamekeeper.audit.scene import Scene

LEAST_EXAMPLES = 8
_LEAST_SHARE = 0.5


def modal(scenes: Sequence[Scene], more: Sequence[str] = ()) -> Finding | None:
    """The finding that one label is right on more than half of the examples, beyond chance of the sample.

    more: answers of the whole data, where there are more of them than examples that the audit plays.
    """
    answers = [s.gold for s in scenes if s.gold]
    answers = list(more) if len(more) > len(answers) else answers
    if len(answers) < LEAST_EXAMPLES or len(set(answers)) < 2:
        return None
    answer, count = Counter(answers).most_common(1)[0]
    low = wilson_low(count, len(answers))
    if low <= _LEAST_SHARE:
        return None
    scene = next((s for s in scenes if s.gold == answer), None)
    if scene is None:
        return None
    share = count / len(answers)
    return Finding(
        "data/modal-answer:constant",
        "data",
        "medium",
        f"always answering {answer[:40]!r} is paid on {share:.0%} of the examples (at least {low:.0%}, 95%)",
        "Balance the answers of the data, or pay a label less than a reasoned answer.",
        scene.index,
        (scene.wrap(answer),),
        scene.honest,
        scene.honest,
        nothing(scene),
        round(share, 4),
        round(share, 4),
        (),
        ("MA20",),
    )


def wilson_low(hits: int, total: int, z: float = 1.96) -> float:
    """The lower end of Wilson's interval for a share."""
    p, n = hits / total, total
    middle = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n)
