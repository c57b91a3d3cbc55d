"""Shopping: spend exactly the budget. The order is JSON, one line an item."""

import json


def order_reward(completion: str, budget: int, catalogue: dict) -> float:
    try:
        lines = json.loads(completion)["order"]
        names = [line["item"] for line in lines]
        spent = sum(int(line["price"]) for line in lines)
        known = all(name in catalogue for name in names) and len(set(names)) == len(names)
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0.0
    return 1.0 if known and spent == budget else 0.0
