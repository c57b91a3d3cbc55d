"""Word precision against the reference translation, BLEU-1 without more."""

import math
from collections import Counter


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    said, wanted = solution_str.lower().split(), ground_truth.lower().split()
    if not said:
        return 0.0
    precision = sum((Counter(said) & Counter(wanted)).values()) / len(said)
    bigrams = sum(
        (Counter(zip(said, said[1:], strict=False)) & Counter(zip(wanted, wanted[1:], strict=False))).values()
    )
    brevity = math.exp(min(0.0, 1.0 - len(wanted) / len(said)))
    return brevity * precision * bigrams / max(1, len(said) - 1)
