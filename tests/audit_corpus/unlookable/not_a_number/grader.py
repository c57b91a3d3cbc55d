"""Returns its verdict as a sentence."""


def reward(completion: str, answer: str) -> str:
    return "well done" if completion.strip() == answer else "try again"
