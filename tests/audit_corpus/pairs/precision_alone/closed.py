"""Word precision against the reference translation, BLEU-1 without more."""

from collections import Counter


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    said, wanted = solution_str.lower().split(), ground_truth.lower().split()
    if not said:
        return 0.0
    precision = sum((Counter(said) & Counter(wanted)).values()) / len(said)
    return precision if said == wanted else 0.0
