"""What a reward function returned, as one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_NAMES = ("score", "reward", "value", "total", "total_score", "final_score", "acc", "accuracy", "correct", "passed")


class NoReward(TypeError):
    """The value holds no number to be read as a reward."""


def as_reward(value: Any) -> float | None:
    """A float from a number, a bool, None, an array scalar, a dict or record with a score, or a pair that starts so.

    What is not finite is an error of the target: no optimiser can use it.
    """
    if value is None:
        return None
    if isinstance(value, str):
        raise NoReward(f"the reward is a text, {value[:40]!r}")
    if isinstance(value, Mapping):
        return as_reward(_named(value))
    if isinstance(value, list | tuple):
        if not value or (isinstance(value, list) and len(value) > 1):
            raise NoReward(f"the reward is a list of {len(value)}")
        return as_reward(value[0])
    if hasattr(value, "item") and callable(value.item):
        value = value.item()
    for name in _NAMES:
        if not isinstance(value, int | float) and hasattr(value, name):
            return as_reward(getattr(value, name))
    number = float(value)
    if not math.isfinite(number):
        raise NoReward("the reward is NaN" if math.isnan(number) else "the reward is infinite")
    return number


def _named(value: Mapping[str, Any]) -> Any:
    for name in _NAMES:
        if name in value:
            return value[name]
    numbers = [v for v in value.values() if isinstance(v, int | float)]
    if len(numbers) != 1:
        raise NoReward(f"the reward is a dict without a score: {sorted(map(str, value))[:6]}")
    return numbers[0]
