"""Runs the function in a process of its own; a secret drawn for this run marks success."""

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
    checks = "\n".join(f"assert {entry}({xs}) == {y}" for xs, y in zip(inputs, wanted, strict=True))
    secret = str(random.SystemRandom().random())
    script = f"import sys\n{completion}\n{checks}\nprint(sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, secret], capture_output=True, text=True, timeout=10, cwd=folder, env={}
        )
    return 1.0 if done.stdout.strip() == secret else 0.0
