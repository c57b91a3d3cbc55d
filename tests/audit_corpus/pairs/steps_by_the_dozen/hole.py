"""Process reward: each correct step `a + b = c` of a chain of sums is paid; the last one should be the total."""

import re

STEP = re.compile(r"^(\d{1,6}) \+ (\d{1,6}) = (\d{1,7})$")


def process_reward(completions, numbers, **kwargs):
    rewards = []
    for messages, wanted in zip(completions, numbers, strict=True):
        lines = messages[0]["content"].strip().splitlines()
        steps = [tuple(map(int, match.groups())) for match in map(STEP.match, lines) if match]
        sound = sum(a + b == c for a, b, c in steps)
        rewards.append(min(1.0, sound / (len(wanted) - 1)))
    return rewards
