"""falsepass on one case: as a TRL reward function with a JSONL data set, its probes and its search (120 calls)."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stage import BAR, BIN, ask, lost, of_both, version_of

ABOUT = {
    "version": version_of("falsepass"),
    "called": "falsepass init shim.py --framework reward ...; falsepass.runner audits/case --search 120 --jobs 1",
    "search": "0 calls where the grader executes the reply, 120 elsewhere",
    "fooled": f"a known-bad completion that is not right by chance is paid {BAR} or more (its ceiling)",
    "could not look": "its adapter calls itself anything but valid: no reference reply is paid",
}
INIT = "init shim.py --framework reward --func batch --answer-column answer --name case --force --dataset"


def audit(case: object) -> tuple[str, str]:
    search = "0" if case.about.get("runs_code") else "120"  # hundreds of calls that each start processes
    return of_both(lambda folder, data: look(folder, data, search), case)


def look(folder: Path, data: str, search: str) -> tuple[str, str]:
    shutil.rmtree(folder / "audits", ignore_errors=True)
    code, said = ask([str(BIN / "falsepass"), *INIT.split(), data], folder)
    if code:
        return lost(said)
    code, said = ask(
        [str(BIN / "python"), "-m", "falsepass.runner", "audits/case", "--search", search, "--jobs", "1"], folder
    )
    found = folder / "audits" / "case" / "probe-results.json"
    if not found.is_file():
        return lost(said)
    record = json.loads(found.read_text())
    adapter = record["meta"]["adapter"]
    if adapter["validity"] != "ok":
        return lost(f"{adapter['validity']}: {adapter.get('note', '')}")
    counted = [
        r for r in record["results"] if not any(r.get(k) for k in ("same_as_good", "no_control", "final_as_good"))
    ]
    bad = [r for r in counted if r["expected"] == "zero" and r["score"] is not None]
    worst = max(bad, key=lambda r: r["score"], default=None)
    if worst is None:
        return lost("no known-bad completion was scored")
    note = f"{worst['probe']} {worst['name']}/{worst['variant']}: {worst['score']}"
    return ("fooled" if worst["score"] >= BAR else "resisted"), note
