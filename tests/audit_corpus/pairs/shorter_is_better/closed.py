"""Concise answers."""


def concise_reward(completions, answer, **kwargs):
    rewards = []
    for completion, gold in zip(completions, answer, strict=True):
        correct = completion.strip() == gold
        brevity = max(0.0, 1.0 - len(completion) / 50)
        rewards.append(correct * (0.4 + 0.6 * brevity))
    return rewards
