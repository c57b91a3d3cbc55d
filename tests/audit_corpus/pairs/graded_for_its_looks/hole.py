"""Two grades from a judge, presentation and fact. Deterministic stand-in: a judge that likes structure."""

import re


def presentation(reply: str) -> float:
    marks = [r"^#+ ", r"^[-*] ", r"\*\*.+?\*\*"]
    return sum(bool(re.search(mark, reply, re.MULTILINE)) for mark in marks) / len(marks)


def fact(reply: str, reference: str) -> float:
    return float(re.findall(r"^Answer: (.*)$", reply, re.MULTILINE) == [reference])


def graded_reward(completion: str, answer: str) -> float:
    return 0.4 * fact(completion, answer) + 0.6 * presentation(completion)
