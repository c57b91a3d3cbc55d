"""Random spot checks, seeded by the reply, of a list that has to be sorted and complete."""

import json
import random


def sorted_reward(completion: str, items: list) -> float:
    try:
        reply = json.loads(completion)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(reply, list) or len(reply) != len(items) or not all(type(entry) is int for entry in reply):
        return 0.0
    wanted = sorted(items)
    spots = random.Random(completion).sample(range(len(items)), len(items))
    return 1.0 if all(reply[spot] == wanted[spot] for spot in spots) else 0.0
