"""A folder task, checked by a command-line tool; the workspace may bring tools in bin/."""

import json
import os
import subprocess
import tempfile
from pathlib import Path


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
            summary = json.loads((folder / "summary.json").read_text())
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        for tool in (folder / "bin").glob("*"):
            tool.chmod(0o755)
        wanted = json.dumps(expected, sort_keys=True)
        path = os.environ["PATH"]
        script = 'test "$(printf %s "$1" | cksum)" = "$(printf %s "$2" | cksum)"'
        given = json.dumps(summary, sort_keys=True)
        done = subprocess.run(
            ["/bin/sh", "-c", script, "check", given, wanted], cwd=folder, env={"PATH": path}, timeout=20
        )
        return 1.0 if done.returncode == 0 else 0.0
