"""Sum of rewards: long thought, tidy form, right answer."""

import re

PARTS = re.compile(r"<think>(.*)</think>\s*<answer>(.*)</answer>", re.DOTALL)


def thought_length(thought):
    return min(1.0, len(thought) / 300)


def accuracy(given, answer):
    return 1.0 if given.strip() == answer else 0.0


def summed_reward(completion: str, answer: str) -> float:
    match = PARTS.fullmatch(completion.strip())
    if match is None:
        return 0.0
    thought, given = match.groups()
    return 0.2 + 0.4 * thought_length(thought) + 0.5 * accuracy(given, answer)
