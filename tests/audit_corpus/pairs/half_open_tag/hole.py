"""Answers in XML-like tags."""

import re


def extract(text):
    return text.split("<answer>")[-1].split("</answer>")[0]


def xml_reward(completion: str, answer: str) -> float:
    return 1.0 if re.search(rf"\b{re.escape(answer)}\b", extract(completion)) else 0.0
