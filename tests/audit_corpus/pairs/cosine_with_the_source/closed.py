"""Headline reward: similarity of word counts, with the source or with the reference headline."""

import math
from collections import Counter


def cosine(a, b):
    a, b = (Counter(text.lower().replace(".", "").replace(",", "").split()) for text in (a, b))
    norm = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return sum(a[word] * b[word] for word in a) / norm if norm else 0.0


def headline_reward(prompts, completions, article, headline, **kwargs):
    rewards = []
    for text, source, gold in zip(completions, article, headline, strict=True):
        rewards.append(cosine(text, gold) if text.strip().lower() == gold.lower() else 0.0)
    return rewards
