"""A folder task; a small script checks the folder from within."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


CHECK = """
import json, sys
expected = json.load(sys.stdin)
print("ok" if json.load(open("summary.json")) == expected else "no")
"""


def unpack(completion, folder):
    """Write the files of the reply below the folder."""
    for name, text in json.loads(completion).items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise ValueError("outside the workspace")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def workspace_reward(completion: str, ledger: str, expected: dict) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger.txt").write_text(ledger)
        try:
            unpack(completion, folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        command = [sys.executable, "-I", "-c", CHECK]
        done = subprocess.run(
            command, input=json.dumps(expected), capture_output=True, text=True, cwd=folder, timeout=20
        )
        return 1.0 if done.stdout.strip() == "ok" else 0.0
