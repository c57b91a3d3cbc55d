"""Sum of three rewards: steps, a conclusion, the result."""

import re


def steps(text):
    return 1.0 if len(re.findall(r"^Step \d+:", text, re.MULTILINE)) >= 2 else 0.0


def conclusion(text):
    return 1.0 if re.search(r"^Therefore: .+$", text, re.MULTILINE) else 0.0


def result(text, answer):
    return 1.0 if text.strip().splitlines()[-1:] == [f"Therefore: {answer}"] else 0.0


WEIGHTS = (0.05, 0.05, 0.9)


def total_reward(completion: str, answer: str) -> float:
    parts = (steps(completion), conclusion(completion), result(completion, answer))
    return sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
