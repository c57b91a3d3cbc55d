"""Decimals, to half a unit of the last asked digit."""

import math


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    try:
        value = float(solution_str.strip())
    except ValueError:
        return 0.0
    return 1.0 if math.isfinite(value) and abs(value - float(ground_truth)) <= 0.005 else 0.0
