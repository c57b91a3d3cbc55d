"""Yes-or-no questions."""


def yes_no_reward(completion: str, answer: str) -> float:
    return 1.0 if completion.strip().lower().rstrip(".") == answer else 0.0
