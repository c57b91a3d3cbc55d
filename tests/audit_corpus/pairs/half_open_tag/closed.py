"""Answers in XML-like tags."""

import re


def extract(text):
    found = re.fullmatch(r"[^<>]*<answer>([^<>]*)</answer>\s*", text)
    return found.group(1) if found else ""


def xml_reward(completion: str, answer: str) -> float:
    return 1.0 if re.fullmatch(rf"\s*{re.escape(answer)}\s*", extract(completion)) else 0.0
