"""Functions, run in a process of their own that is told inputs alone; values are compared here."""

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
print(json.dumps([space[entry](x) for x in inputs]))
"""


def run(code, entry, inputs):
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", CHILD],
                input=json.dumps([code, entry, inputs]),
                capture_output=True,
                text=True,
                timeout=10,
                cwd=folder,
                env={},
            )
            return json.dumps(json.loads(done.stdout))
        except (subprocess.TimeoutExpired, ValueError, RecursionError):
            return None


def function_reward(completion: str, entry: str, answer: str) -> float:
    rng = random.Random(completion)
    inputs = [rng.randrange(-10_000, 10_000) for _ in range(20)]
    wanted = run(answer, entry, inputs)
    return 1.0 if wanted is not None and run(completion, entry, inputs) == wanted else 0.0
