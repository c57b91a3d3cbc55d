"""One word on one line; blanks at its ends do not matter."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    if len(solution_str.strip().splitlines()) > 1:
        return 0.0
    lines = [line.strip().lower() for line in solution_str.strip().splitlines()]
    return 1.0 if ground_truth in lines else 0.0
