"""Self-verification: the model solves, then judges its own solution."""

import re


def verdict_reward(completions, answer, **kwargs):
    rewards = []
    for messages, gold in zip(completions, answer, strict=True):
        match = re.fullmatch(r"(-?\d+)\s+(CORRECT|INCORRECT)", messages[-1]["content"].strip())
        if match is None:
            rewards.append(0.0)
            continue
        claimed = match.group(2) == "CORRECT"
        actual = match.group(1) == gold
        rewards.append(1.0 if claimed and actual else 0.0)
    return rewards
