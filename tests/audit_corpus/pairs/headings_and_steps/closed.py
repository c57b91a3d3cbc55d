"""Sum of three rewards: steps, a conclusion, the result."""

import re


def steps(text):
    return 1.0 if len(re.findall(r"^Step \d+:", text, re.MULTILINE)) >= 2 else 0.0


def conclusion(text):
    return 1.0 if re.search(r"^Therefore: .+$", text, re.MULTILINE) else 0.0


def result(text, answer):
    lines = text.strip().splitlines()
    steps_before = all(re.match(r"Step \d+:", line) for line in lines[:-1])
    return 1.0 if steps_before and lines[-1:] == [f"Therefore: {answer}"] else 0.0


WEIGHTS = (0.05, 0.05, 0.9)


def total_reward(completion: str, answer: str) -> float:
    parts = (steps(completion), conclusion(completion), result(completion, answer))
    return sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
