"""rewardprobe on one case: as a plain function with a JSONL data set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stage import BIN, ask, lost, of_both, version_of

ABOUT = {
    "version": version_of("rewardprobe"),
    "called": "rewardprobe test shim.py::one --adapter raw --dataset data.jsonl --ci -o report.json",
    "fooled": "a critical finding other than an exception (its own --ci bar, crashes left out)",
    "could not look": "no report, or every attack of some kind ended in an exception and nothing else was found",
}


def audit(case: object) -> tuple[str, str]:
    return of_both(look, case)


def look(folder: Path, data: str) -> tuple[str, str]:
    (folder / "report.json").unlink(missing_ok=True)
    words = ["test", "shim.py::one", "--adapter", "raw", "--dataset", data, "--ci", "-o", "report.json"]
    code, said = ask([str(BIN / "rewardprobe"), *words], folder)
    report = folder / "report.json"
    if not report.is_file():
        return lost(f"exit {code}: {said}")
    found = json.loads(report.read_text())
    critical = [f for family in found["families"] for f in family["findings"] if f["severity"] == "critical"]
    real = [f for f in critical if not f["error"]]
    if real:
        return "fooled", ", ".join(sorted({f["attack"] for f in real}))
    crashed = {f["attack"] for f in critical}
    return (
        lost(f"exceptions in {len(crashed)} attacks") if len(crashed) > 5 else ("resisted", f"{len(crashed)} crashes")
    )
