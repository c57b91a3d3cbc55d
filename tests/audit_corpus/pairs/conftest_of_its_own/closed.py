"""A folder task, checked by pytest in the folder."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEST = """
import json
from pathlib import Path

def test_summary():
    assert json.loads(Path("summary.json").read_text()) == {expected!r}
"""


def unpack(completion, folder):
    for name, text in json.loads(completion).items():
        if name != "summary.json":
            raise ValueError("not in this workspace")
        (folder / name).write_text(text)


def workspace_reward(completion: str, ledger: str, expected: dict) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger.txt").write_text(ledger)
        try:
            unpack(completion, folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        (folder / "test_summary.py").write_text(TEST.format(expected=expected))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_summary.py"]
        quiet = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, env=quiet)
        return 1.0 if done.returncode == 0 else 0.0
