"""Two graders as a user has them, with a hole and without: what a target's file imports is a part of what it costs."""


def contains(completion: str, answer: str) -> float:
    return 1.0 if answer in completion else 0.0


def strict(completion: str, answer: str) -> float:
    return 1.0 if completion.strip() == answer else 0.0
