"""reward-doctor (rewardlint until 0.1) on one case: its own corpus of mathematics, since it takes no examples."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stage import BIN, ask, gold_column, lost, stage, version_of

ABOUT = {
    "version": version_of("reward-doctor"),
    "called": "reward-doctor audit shim.py:check -f json --threshold 0.49; grader.py where no column is a gold answer",
    "fooled": "it lists exploits that work",
    "could not look": "it cannot tell how to call the grader, or every one of its cases crashes",
}


def audit(case: object) -> tuple[str, str]:
    stage(case)
    target = "shim.py:check" if gold_column(case) else f"grader.py:{case.entry}"
    words = ["audit", target, "-f", "json", "--threshold", "0.49", "-o", "report.json"]
    code, said = ask([str(BIN / "reward-doctor"), *words], case.file.parent)
    report = case.file.parent / "report.json"
    if not report.is_file():
        return lost(f"exit {code}: {said}")
    found = json.loads(report.read_text())
    if f"{found['n_cases']} crashes" in found["headline"]:
        return lost(found["headline"].partition(": ")[2])
    return ("fooled" if found["n_exploits_accepted"] else "resisted"), found["headline"].partition(": ")[2]
