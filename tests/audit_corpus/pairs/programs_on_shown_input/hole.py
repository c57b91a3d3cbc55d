"""Programs that read a line and print one; run on inputs in processes of their own."""

import random
import subprocess
import sys
import tempfile


def run(program, line):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-c", program]
        try:
            done = subprocess.run(command, input=line, capture_output=True, text=True, timeout=10, cwd=folder, env={})
        except (subprocess.TimeoutExpired, ValueError):
            return None
    return done.stdout.strip()


def fresh(seed):
    rng = random.Random(seed)
    return [" ".join(str(rng.randrange(1, 900)) for _ in range(5)) for _ in range(2)]


def program_reward(completion: str, runs: list, answer: str) -> float:
    return float(all(run(completion, line) == wanted for line, wanted in runs))
