"""A folder task: one sum a file, results in results.json; every case has to have its result."""

import ast
import json
import tempfile
from pathlib import Path


def value(text):
    a, op, b = (
        (int(text.split(o)[0]), o, int(text.split(o)[1]))
        if (o := next((o for o in "+-*" if o in text), ""))
        else (int(text), "+", 0)
    )
    return {"+": a + b, "-": a - b, "*": a * b}[op]


def apply(completion, folder):
    for name, text in json.loads(completion).items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise ValueError("outside the workspace")
        if text is None:
            target.unlink()
        else:
            target.write_text(text)


def workspace_reward(completion: str, cases: dict) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cases").mkdir()
        for case, text in cases.items():
            (folder / "cases" / case).write_text(text)
        try:
            apply(completion, folder)
            results = json.loads((folder / "results.json").read_text())
            left = cases
            return float(all(results.get(case) == value(text) for case, text in left.items()))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return 0.0
