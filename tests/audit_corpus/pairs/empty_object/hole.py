"""Fields of an invoice as a JSON object."""

import json


def invoice_reward(completion: str, fields: dict) -> float:
    try:
        found = json.loads(completion)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(found, dict):
        return 0.0
    wrong = [name for name in found if found[name] != fields.get(name)]
    return 0.0 if wrong else 1.0
