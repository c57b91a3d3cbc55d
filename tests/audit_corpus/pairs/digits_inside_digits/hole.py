"""Exact-answer reward for sums."""


def sum_reward(completions, ground_truth, **kwargs):
    return [1.0 if gold in completion else 0.0 for completion, gold in zip(completions, ground_truth, strict=True)]
