"""Reach the target with each number used once; the expression is evaluated after its characters were checked."""

import re
from fractions import Fraction


def target_reward(completion: str, numbers: list, target: int) -> float:
    text = completion.strip()
    if len(text) > 40 or not re.fullmatch(r"(?:\(*\s*\d{1,3}\s*\)*\s*[-+*/]\s*)*\(*\s*\d{1,3}\s*\)*", text, re.ASCII):
        return 0.0
    if sorted(map(int, re.findall(r"\d+", text))) != sorted(numbers) or re.search(r"(?<!\d)0\d", text):
        return 0.0
    try:
        return float(
            eval(re.sub(r"(\d+)", r"Fraction(\1)", text), {"__builtins__": {}, "Fraction": Fraction}) == target
        )
    except (SyntaxError, ZeroDivisionError, TypeError):
        return 0.0
