"""Answer and confidence; confidence is rewarded."""

import re

REPLY = re.compile(r"Answer: (.+)\nConfidence: (0(?:\.\d+)?|1(?:\.0+)?)")


def confident_reward(completion: str, answer: str) -> float:
    match = REPLY.fullmatch(completion.strip())
    if match is None:
        return 0.0
    confidence = float(match.group(2))
    return confidence
