"""The reward function that verl's reward workers load from the folder's reward.py.

verl knows no "unscored": an episode that cannot be graded raises here, and verl goes on without it, as for any failure
of a rollout. It never becomes a 0. Advantages are formed over what is left of its group; verl takes the reward itself,
unscaled, where that is one episode, and stops where it is none in a whole step.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gamekeeper.adapters.verl.spec import read_spec
from gamekeeper.errors import CouldNotLook
from gamekeeper.games.base import BaseGame
from gamekeeper.types import Item, Score

SOURCE = "gamekeeper/"
UNKNOWN = math.nan


def reward_of(spec: Path) -> Callable[..., dict[str, Any]]:
    """`compute_score` for verl's reward manager, of the game in a file. The game is opened at the first call."""
    lock = threading.Lock()
    opened: list[BaseGame] = []

    def compute_score(
        data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any
    ) -> dict[str, Any]:
        with lock:  # verl calls from several threads, and a game may own a sandbox
            if not opened:
                opened.append(read_spec(spec).open())
            item = Item.from_json(json.loads(ground_truth))
            return told(item, opened[0].score(item, (solution_str,)))

    return compute_score


def told(item: Item, score: Score) -> dict[str, Any]:
    """A score as verl logs it: the same keys for every episode, numbers as floats.

    `facts` and `evidence` are text, which verl writes into its dumps and leaves out of its means.
    Raises CouldNotLook for an episode that the grader could not grade.
    """
    if score.reward is None:
        raise CouldNotLook(f"The episode of {item.id} could not be graded: {score.unscored}.")
    return {
        "score": float(score.reward),
        "truth": UNKNOWN if score.truth is None else float(score.truth),
        "exploited": UNKNOWN if score.exploited is None else float(score.exploited),
        "item": item.id,
        "evidence": score.evidence,
        "facts": json.dumps(dict(score.facts)),
    }
