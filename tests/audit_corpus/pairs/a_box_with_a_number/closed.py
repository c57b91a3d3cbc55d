"""Boxed results."""

import re


def boxed(text):
    found = re.fullmatch(r"\\boxed\{\s*(-?\d+)\s*\}", text.strip())
    return found.group(1) if found else None


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    value = boxed(solution_str)
    if value is None:
        return 0.0
    return 1.0 if int(value) == int(ground_truth) else 0.0
