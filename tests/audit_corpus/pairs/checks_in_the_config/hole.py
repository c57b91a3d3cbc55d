"""A configuration with its own checks; the model repairs the settings and gives the whole text back."""

import re


def read(text):
    """Settings and checks; nothing, if a line is neither or a setting is there twice."""
    settings = re.findall(r"^(\w+) = (\w+)$", text, re.MULTILINE)
    checks = re.findall(r"^check (\w+) is (\w+)$", text, re.MULTILINE)
    tidy = len(settings) + len(checks) == len(text.strip().splitlines()) and len(dict(settings)) == len(settings)
    return (dict(settings), checks) if tidy else ({}, [])


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    settings, checks = read(solution_str)
    wanted = checks
    if not settings:
        return 0.0
    return 1.0 if all(settings.get(name) == value for name, value in wanted) else 0.0
