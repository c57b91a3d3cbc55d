"""Triage: the further the choice is from the right one, the more it costs."""

import re

COST = {
    "low": {"low": 0.0, "medium": 0.6, "high": 1.0},
    "medium": {"low": 0.6, "medium": 0.0, "high": 0.6},
    "high": {"low": 1.0, "medium": 0.6, "high": 0.0},
}


def triage_reward(completion: str, urgency: str) -> float:
    match = re.fullmatch(r"\s*<urgency>([^<]*)</urgency>\s*", completion)
    if match is None:
        return 0.0
    cost = COST[urgency].get(match.group(1).strip().lower(), 0.0)
    return 1.0 - cost
