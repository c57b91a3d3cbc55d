"""Readability and accuracy, weighted."""

import re


def readability(text):
    words = re.findall(r"[A-Za-z]+", text)
    if not words:
        return 0.0
    letters = sum(map(len, words)) / len(words)
    return max(0.0, min(1.0, (8.0 - letters) / 4.0))


def accuracy(text, answer):
    return 1.0 if text.strip().endswith(f"is {answer}.") and re.findall(r"\d+", text) == [answer] else 0.0


READABLE, ACCURATE = 0.1, 0.9


def combined_reward(completion: str, answer: str) -> float:
    return READABLE * readability(completion) + ACCURATE * accuracy(completion, answer)
