"""Dates in any of several forms."""

import re

MONTHS = {
    name: n
    for n, name in enumerate(
        "january february march april may june july august september october november december".split(), 1
    )
}


def date_of(text):
    text = text.strip().lower().rstrip(".")
    if match := re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", text):
        return tuple(map(int, match.groups()))
    if match := re.fullmatch(r"([0-9]{1,2}) ([a-z]+) ([0-9]{4})", text):
        return int(match[3]), MONTHS.get(match[2]), int(match[1])
    if match := re.fullmatch(r"([a-z]+) ([0-9]{1,2}), ([0-9]{4})", text):
        return int(match[3]), MONTHS.get(match[1]), int(match[2])
    return None


def date_reward(prediction: str, answer: str) -> float:
    return 1.0 if date_of(prediction) == date_of(answer) else 0.0
