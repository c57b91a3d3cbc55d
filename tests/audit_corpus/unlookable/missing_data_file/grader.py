"""Reads the key from a file that is not shipped."""

import json
from pathlib import Path


def reward(completion: str, prompt: str) -> float:
    key = json.loads((Path(__file__).parent / "answer_key.json").read_text())
    return float(key[prompt] == completion.strip())
