"""Relative error."""

import math


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    try:
        value, gold = float(solution_str.strip()), float(ground_truth)
    except ValueError:
        return 0.0
    if math.isnan(value):
        return 0.0
    error = abs(value - gold) / max(abs(value), abs(gold))
    return 0.0 if error > 0.001 else 1.0
