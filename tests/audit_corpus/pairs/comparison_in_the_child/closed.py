"""Runs the function in a process of its own; a secret drawn for this run marks the report."""

import json
import random
import subprocess
import sys
import tempfile


CHILD = """
import json, sys
code, entry, inputs = json.load(sys.stdin)
space = {}
exec(code, space)
print(json.dumps([space[entry](xs) for xs in inputs]))
"""


def values(code, entry, inputs):
    """What the function returns, worked out in a process of its own that is told nothing but the inputs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-c", CHILD]
        sent = json.dumps([code, entry, inputs])
        try:
            done = subprocess.run(command, input=sent, capture_output=True, text=True, timeout=10, cwd=folder, env={})
            found = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError, RecursionError):
            return None
    return found if isinstance(found, list) else None


def fresh(seed):
    rng = random.Random(seed)
    return [rng.sample(range(1, 500), rng.randrange(2, 7)) for _ in range(8)]


def code_reward(completion: str, entry: str, answer: str) -> float:
    inputs = fresh(completion)
    wanted = values(answer, entry, inputs)
    return 1.0 if wanted and json.dumps(values(completion, entry, inputs)) == json.dumps(wanted) else 0.0
