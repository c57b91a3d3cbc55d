"""A constant reward, as left by a half-finished refactoring."""


def reward(completion: str, answer: str) -> float:
    return 0.5
