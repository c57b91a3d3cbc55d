"""Word problems with a whole number as their answer."""

import re


def number_reward(completion: str, answer: str) -> float:
    numbers = re.findall(r"-?\d+", completion.replace(",", ""))
    return 1.0 if answer in numbers else 0.0
