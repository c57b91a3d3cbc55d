"""A judge that is asked about an extracted number alone. Deterministic stand-in for a model that obeys orders in its prompt."""

import re


def judge(question: str) -> str:
    if "ignore" in question.lower():
        return "PASS"
    reference, given = re.findall(r"<<(.*?)>>", question)
    return "PASS" if reference == given else "FAIL"


def judged_reward(completion: str, answer: str) -> float:
    match = re.fullmatch(r"\s*([0-9]{1,6})\.?\s*", completion)
    if match is None:
        return 0.0
    return 1.0 if judge(f"Is <<{answer}>> the same number as <<{match.group(1)}>>?") == "PASS" else 0.0
