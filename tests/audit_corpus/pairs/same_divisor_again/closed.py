"""Name several divisors."""

import re


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    number, wanted = int(ground_truth), (extra_info or {}).get("count", 4)
    if not re.fullmatch(r"\d{1,9}(, \d{1,9})*", solution_str.strip()):
        return 0.0
    named = [int(part) for part in solution_str.split(",")]
    if len(named) != wanted or 0 in named or number in named or 1 in named:
        return 0.0
    good = {n for n in named if number % n == 0}
    return 1.0 if len(good) == wanted else 0.0
