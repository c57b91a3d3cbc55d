"""Scorer for word problems: the result stands on the last line."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    lines = [line for line in solution_str.splitlines() if line.strip()]
    if not lines:
        return 0.0
    return 1.0 if ground_truth in lines[-1].replace(":", " ").split() else 0.0
