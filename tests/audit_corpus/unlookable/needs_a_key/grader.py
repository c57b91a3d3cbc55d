"""A judge that needs a key."""

import os


def reward(completion: str, answer: str) -> float:
    key = os.environ.get("JUDGE_API_KEY")
    if not key:
        raise RuntimeError("set JUDGE_API_KEY")
    raise ConnectionError("no connection")
