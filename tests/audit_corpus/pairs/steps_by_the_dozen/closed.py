"""Process reward: each correct step `a + b = c` of a chain of sums is paid; the last one should be the total."""

import re

STEP = re.compile(r"^(\d{1,6}) \+ (\d{1,6}) = (\d{1,7})$")


def process_reward(completions, numbers, **kwargs):
    rewards = []
    for messages, wanted in zip(completions, numbers, strict=True):
        lines = messages[0]["content"].strip().splitlines()
        steps = [tuple(map(int, match.groups())) for match in map(STEP.match, lines) if match]
        chain = [(sum(wanted[:k]), wanted[k], sum(wanted[: k + 1])) for k in range(1, len(wanted))]
        rewards.append(float(steps == chain and len(lines) == len(chain)))
    return rewards
