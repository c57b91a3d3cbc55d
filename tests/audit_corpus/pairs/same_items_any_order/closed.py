"""Sorting: the reply is a JSON array."""

import json


def sorting_reward(completion, items):
    try:
        reply = json.loads(completion)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(reply, list) or not all(isinstance(entry, str) for entry in reply):
        return 0.0
    return 1.0 if reply == sorted(items) else 0.0
