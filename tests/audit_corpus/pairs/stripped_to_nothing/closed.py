"""Place names, compared after normalisation."""

import re


def normal(text):
    return re.sub(r"[\W_]", "", text.lower())


def place_reward(completion: str, answer: str) -> float:
    if not completion.strip():
        return 0.0
    return 1.0 if normal(completion) == normal(answer) and len(completion) <= len(answer) + 2 else 0.0
