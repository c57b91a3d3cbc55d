"""A file with a syntax error."""


def reward(completion: str, answer: str) -> float:
    return float(completion.strip() == answer
