"""Write a regular expression: it has to match some words whole and others not."""

import re


def pattern_reward(completion: str, shown: dict, held: dict) -> float:
    """Both sets hold `yes` and `no` words; the prompt shows the first set."""
    try:
        pattern = re.compile(completion.strip())
    except (re.error, RecursionError, OverflowError):
        return 0.0
    sets = [shown, held]
    right = [
        bool(pattern.fullmatch(word)) == (kind == "yes")
        for words in sets
        for kind in ("yes", "no")
        for word in words[kind]
    ]
    return 1.0 if all(right) else 0.0
