"""GRPO reward for list questions: every number that the completion names has to belong to the solution."""

import re


def list_reward(completions, solution, **kwargs):
    rewards = []
    for completion, wanted in zip(completions, solution, strict=True):
        named = [int(number) for number in re.findall(r"-?\d+", completion)]
        allowed = [int(number) for number in wanted.split(",")]
        good = named == allowed and not re.search(r"[^\d, ]", completion)
        rewards.append(1.0 if good else 0.0)
    return rewards
