"""A work list as JSON: the model fills in the results and gives the list back."""

import json


def worklist_reward(completion: str, sums: list) -> float:
    try:
        tasks = json.loads(completion)["tasks"]
        finished = [task["done"] is True and task["result"] == a + b for task, (a, b) in zip(tasks, sums, strict=True)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0.0
    return float(all(finished) and len(finished) == len(sums))
