"""Numeric answers."""


def near_reward(completion: str, answer: float) -> float:
    try:
        value = float(completion)
    except ValueError:
        return 0.0
    if abs(value - answer) <= 1e-6:
        return 1.0
    return 0.0
