"""Pick one of the tagged candidates."""

import re

CANDIDATE = re.compile(r"<c>(.*?)</c>")


def pick_reward(completion: str, answer: str) -> float:
    picked = CANDIDATE.findall(completion)
    return float(picked == [answer] and completion.strip() == f"<c>{answer}</c>")
