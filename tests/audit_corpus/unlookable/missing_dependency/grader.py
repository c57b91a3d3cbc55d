"""Answers compared by a package that is not installed."""

import symbolic_answer_checker_pro as checker


def reward(completion: str, answer: str) -> float:
    return float(checker.same(completion, answer))
