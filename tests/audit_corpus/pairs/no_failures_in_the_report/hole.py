"""Runs pytest on the submission; what counts are the failures and errors in its report."""

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
    inputs = fresh(completion)
    with tempfile.TemporaryDirectory() as tests_at, tempfile.TemporaryDirectory() as code_at:
        folder, room = Path(tests_at), Path(code_at)
        (room / "solution.py").write_text(completion)
        head = f"import json, sys\nsys.path.insert(0, {str(room)!r})\nfrom solution import {entry} as ask"
        calls = inputs
        tests = "".join(
            f"def test_{n}():\n    assert json.dumps(ask({call})) == '{json.dumps(y)}'\n\n"
            for n, (call, y) in enumerate(zip(calls, expected(answer, entry, inputs), strict=True))
        )
        (folder / "test_solution.py").write_text(head + "\n" + tests)
        pytest_run(folder, "--junitxml=report.xml")
        report = (folder / "report.xml").read_text() if (folder / "report.xml").exists() else ""
        return 1.0 if 'errors="0" failures="0"' in report else 0.0
