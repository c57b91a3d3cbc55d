"""A contact card as JSON: the schema, then the values."""

import json

SCHEMA = {"name": str, "city": str, "age": int}


def card_reward(completion: str, card: dict) -> float:
    try:
        found = json.loads(completion)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(found, dict) or set(found) != set(SCHEMA):
        return 0.0
    valid = all(type(found[name]) is kind for name, kind in SCHEMA.items())
    return 1.0 if valid else 0.0
