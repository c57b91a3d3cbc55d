"""A folder task: the files that were asked for."""

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


def workspace_reward(completion: str, ledger: str, expected: dict) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger.txt").write_text(ledger)
        try:
            unpack(completion, folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        summary = read(folder / "summary.json")
        return 1.0 if summary is not None and summary == expected else 0.0
