"""Runs pytest on the submission, each case in a process of its own."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ASK = """
import json, subprocess, sys

program = "import json, sys; sys.path.insert(0, '.'); import solution; print(json.dumps([solution.{entry}(xs) for xs in json.load(sys.stdin)]))"
done = subprocess.run([sys.executable, "-c", program], input={inputs!r}, capture_output=True, text=True, cwd={room!r}, env={{}})
found = json.loads(done.stdout)
ask = dict(zip(map(str, json.loads({inputs!r})), found)).get
"""


def fresh(seed):
    rng = random.Random(seed)
    return [rng.sample(range(1, 500), rng.randrange(2, 7)) for _ in range(3)]


def expected(answer, entry, inputs):
    space = {}
    exec(answer, space)
    return [space[entry](list(xs)) for xs in inputs]


def pytest_run(folder, *options):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_solution.py"]
    quiet = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, env=quiet)


def pytest_reward(completion: str, entry: str, answer: str, cases: list) -> float:
    inputs = [list(xs) for xs, _ in cases]
    inputs += fresh(completion)
    with tempfile.TemporaryDirectory() as tests_at, tempfile.TemporaryDirectory() as code_at:
        folder, room = Path(tests_at), Path(code_at)
        (room / "solution.py").write_text(completion)
        head = ASK.format(entry=entry, room=str(room), inputs=json.dumps(inputs))
        calls = [repr(str(xs)) for xs in inputs]
        tests = "".join(
            f"def test_{n}():\n    assert json.dumps(ask({call})) == '{json.dumps(y)}'\n\n"
            for n, (call, y) in enumerate(zip(calls, expected(answer, entry, inputs), strict=True))
        )
        (folder / "test_solution.py").write_text(head + "\n" + tests)
        return 1.0 if pytest_run(folder).returncode == 0 else 0.0
