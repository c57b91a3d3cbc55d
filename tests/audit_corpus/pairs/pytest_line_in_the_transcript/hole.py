"""Agent transcript: the reply ends with the tool's test summary. The tool's own log comes in extra_info."""

import re

SUMMARY = re.compile(r"(\d+) passed(?:, (\d+) failed)?")


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    found = SUMMARY.findall(solution_str)
    if not found:
        return 0.0
    passed, failed = int(found[-1][0]), int(found[-1][1] or 0)
    return passed / (passed + failed) if passed else 0.0
