"""A folder task: the reply's files are written into a fresh workspace, then its summary is checked."""

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
        (folder / "tests").mkdir()
        (folder / "ledger.txt").write_text(ledger)
        (folder / "tests" / "expected.json").write_text(json.dumps(expected))
        try:
            unpack(completion, folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
        wanted = expected
        summary = read(folder / "summary.json")
        return 1.0 if summary is not None and summary == wanted else 0.0
