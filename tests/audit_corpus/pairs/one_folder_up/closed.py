"""A folder task; what is expected lies beside the workspace, not in it."""

import json
import tempfile
from pathlib import Path


def unpack(completion, folder):
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
        folder = Path(name) / "work"
        folder.mkdir()
        (folder / "ledger.txt").write_text(ledger)
        (folder.parent / "expected.json").write_text(json.dumps(expected))
        try:
            unpack(completion, folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        summary = read(folder / "summary.json")
        return 1.0 if summary is not None and summary == read(folder.parent / "expected.json") else 0.0
