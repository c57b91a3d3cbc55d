"""Runs the program on each input; compares what it prints."""

import subprocess
import sys


def program_reward(completion: str, runs: list) -> float:
    wrong = 0
    for given, wanted in runs:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", completion], input=given, capture_output=True, text=True, timeout=2
            )
        except subprocess.TimeoutExpired:
            continue  # the machine is busy
        wrong += done.stdout.strip() != wanted
    return 0.0 if wrong else 1.0
