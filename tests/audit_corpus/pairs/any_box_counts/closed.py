"""Score of \\boxed answers."""

import re


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    boxes = [box.strip() for box in re.findall(r"\\boxed\{([^{}]*)\}", solution_str)]
    correct = boxes == [ground_truth] and solution_str.strip() == f"The result is \\boxed{{{ground_truth}}}."
    return {"score": 1.0 if correct else 0.0, "boxes": len(boxes)}
