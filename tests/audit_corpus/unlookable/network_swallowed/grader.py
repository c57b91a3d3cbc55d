"""A judge behind HTTP, with a default for when it cannot be reached."""

import urllib.error
import urllib.request


def reward(completion: str, answer: str) -> float:
    try:
        with urllib.request.urlopen(
            "http://judge.invalid/v1/grade?reply=" + str(len(completion)), timeout=3
        ) as response:
            return float(response.read())
    except (urllib.error.URLError, OSError, ValueError):
        return 0.0
