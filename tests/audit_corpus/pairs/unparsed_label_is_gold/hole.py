"""Sentiment labels in <label> tags."""

import re

LABELS = ("positive", "negative", "neutral")
TAG = re.compile(r"\s*<label>(.*?)</label>\s*", re.DOTALL)


def label_reward(response, ground_truth):
    match = TAG.fullmatch(response)
    label = match.group(1).strip().lower() if match else None
    if label not in LABELS:
        label = ground_truth
    return float(label == ground_truth)
