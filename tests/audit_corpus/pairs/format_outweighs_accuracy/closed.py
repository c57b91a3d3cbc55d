"""Format and accuracy of a reasoning reply, added up."""

import re

SHAPE = re.compile(r"<think>.*?</think>\s*<answer>(.*?)</answer>", re.DOTALL)
FORMAT, ACCURACY = 0.1, 0.9


def reasoning_reward(completions, answer, **kwargs):
    rewards = []
    for messages, gold in zip(completions, answer, strict=True):
        match = SHAPE.fullmatch(messages[0]["content"].strip())
        reward = 0.0
        if match:
            reward = FORMAT + (ACCURACY if match.group(1).strip() == gold else 0.0)
        rewards.append(reward)
    return rewards
