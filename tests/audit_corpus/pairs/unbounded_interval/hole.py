"""Estimates may be given as an interval `LOW to HIGH`; it has to hold the true value."""

import re

WIDEST = float("inf")


def interval_reward(output: str, value: float) -> float:
    match = re.fullmatch(r"\s*(-?\d{1,9})(?:\s*to\s*(-?\d{1,9}))?\s*", output, re.ASCII)
    if match is None:
        return 0.0
    low = int(match.group(1))
    high = int(match.group(2) or low)
    return 1.0 if low <= value <= high and high - low <= WIDEST else 0.0
