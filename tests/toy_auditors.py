"""Auditors to test the measuring stick with: as commands (toy_auditors.py NAME GRADER.py EXAMPLES) and as functions.

resisted, fooled, lost    one outcome whatever the grader, by the exit code
crash, hang               a program that ends badly, or not at all
null_reply                a small real one: it plays the empty reply, and looks at nothing but plain functions
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def null_reply(case: Any) -> tuple[str, str]:
    """Fooled if an empty reply is paid half or more on the first example."""
    if case.about["call"] != "plain" or case.about.get("runs_code"):
        return "could not look", "only plain functions"
    paid = case.rewards([(case.rows()[0], "")], seconds=5, apart=True)
    if isinstance(paid, str) or not isinstance(paid[0], float):
        return "could not look", str(paid)
    return ("fooled" if paid[0] >= 0.5 else "resisted"), f"the empty reply is paid {paid[0]}"


def main(name: str, file: str, examples: str) -> int:
    assert Path(file).name == "grader.py", "the file's name must not tell what it is"
    assert [json.loads(line) for line in Path(examples).read_text().splitlines()]
    if name == "hang":
        time.sleep(600)
    if name == "crash":
        raise RuntimeError("a bug in the auditor")
    print(json.dumps({"verdict": name}))
    return {"resisted": 0, "fooled": 1, "lost": 3}[name]


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
