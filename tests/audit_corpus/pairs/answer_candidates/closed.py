"""Questions answered by a JSON object with a list of answers."""

import json


def answers_reward(completion: str, answer: str) -> float:
    try:
        document = json.loads(completion)
        answers = [str(entry).strip() for entry in document["answers"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0.0
    return 1.0 if answers == [answer] else 0.0
