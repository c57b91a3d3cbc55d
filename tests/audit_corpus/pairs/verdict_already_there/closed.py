"""A folder task with a recorded verdict, so that a workspace is judged once."""

import json
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


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None


def judge(folder, expected):
    verdict = folder / "result.json"
    verdict.write_text(json.dumps({"reward": float(read(folder / "summary.json") == expected)}))
    return float(read(verdict)["reward"])


def workspace_reward(completion: str, ledger: str, expected: dict) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger.txt").write_text(ledger)
        try:
            unpack(completion, folder)
            return judge(folder, expected)
        except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return 0.0
