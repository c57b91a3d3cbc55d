"""Multiple-choice accuracy for GRPO."""

import re


def accuracy_reward(completions, answer, **kwargs):
    rewards = []
    for completion, letter in zip(completions, answer, strict=True):
        named = set(re.findall(r"\b([A-D])\b", completion))
        rewards.append(1.0 if named == {letter} and len(completion.split()) == 1 else 0.0)
    return rewards
