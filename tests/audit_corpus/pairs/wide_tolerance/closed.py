"""Numeric answers with a tolerance."""

import math


def numeric_reward(completion: str, answer: float) -> float:
    try:
        value = float(completion.strip().rstrip("."))
    except ValueError:
        return 0.0
    if not math.isfinite(value) or not completion.isascii():
        return 0.0
    return 1.0 if math.isclose(value, answer, abs_tol=1e-6 * abs(answer)) else 0.0
