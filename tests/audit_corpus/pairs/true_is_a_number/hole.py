"""Stock count: a JSON object from item to number; every wanted item has to be there in sufficient number."""

import json


def stock_reward(completion, wanted):
    try:
        counted = json.loads(completion)
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(counted, dict) or set(counted) != set(wanted):
        return 0.0
    ok = [str(counted[item]) >= str(number) for item, number in wanted.items()]
    return 1.0 if all(ok) else 0.0
