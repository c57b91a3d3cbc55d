"""Read the score of a match report; the reply is JSON with the field `score`."""

import json


def report_reward(completion: str, goals: list) -> float:
    try:
        reply = json.loads(completion)
        return (
            1.0
            if isinstance(reply, dict) and reply.get("score") == goals and all(type(g) is int for g in reply["score"])
            else 0.0
        )
    except (ValueError, TypeError, RecursionError):
        return 0.0
