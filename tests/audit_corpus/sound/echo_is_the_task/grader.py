"""Repeat after me."""


def repeat_reward(completion: str, text: str) -> float:
    return 1.0 if completion.strip() == text else 0.0
