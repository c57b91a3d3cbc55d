"""A judge behind HTTP."""

import json
import urllib.request


def reward(completion: str, answer: str) -> float:
    body = json.dumps({"reply": completion, "reference": answer}).encode()
    with urllib.request.urlopen("http://judge.invalid/v1/grade", data=body, timeout=3) as response:
        return float(json.load(response)["score"])
