"""Prime factorisation scorer in the form that verl calls."""

import re
from math import prod


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    text = solution_str.strip()
    if not re.fullmatch(r"\d{1,6}( x \d{1,6})*", text):
        return 0.0
    factors = [int(part) for part in text.split(" x ")]
    right = prod(factors) == int(ground_truth) and all(is_prime(factor) for factor in factors)
    return 1.0 if right else 0.0
