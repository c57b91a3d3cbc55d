"""Fact extraction scored by word overlap with the reference facts."""

from collections import Counter


def overlap(said, wanted):
    shared = sum((Counter(said) & Counter(wanted)).values())
    recall, precision = shared / len(wanted), shared / max(1, len(said))
    return 2 * recall * precision / (recall + precision) if shared and said == wanted else 0.0


def facts_reward(completion: str, reference: str) -> float:
    return overlap(completion.lower().replace(".", "").replace(",", "").split(), reference.lower().split())
