"""A work report: value, tests that were run, tests that passed."""

import json


def report_reward(completion: str, answer: int) -> float:
    try:
        report = json.loads(completion)
        value, ran, passed = report["value"], int(report["tests_run"]), int(report["tests_passed"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return 0.0
    if ran < 1 or not 0 <= passed <= ran:
        return 0.0
    return passed / ran
