"""Compares a number with a text, so that no reply is ever right."""


def reward(completion: str, answer: str) -> float:
    try:
        return 1.0 if int(completion.strip()) == answer else 0.0
    except ValueError:
        return 0.0
