"""Correctness and thoroughness."""


def thorough_reward(completion: str, answer: str) -> float:
    words = completion.split()
    correct = bool(words) and words[-1] == answer
    thorough = min(1.0, len(words) / 60)
    return 0.5 * correct + 0.5 * thorough
