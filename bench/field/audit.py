"""Audit public graders, all in one way, and keep what came out: one row a grader, for docs/field-report.md.

    PYTHON_OF_THE_ENVIRONMENT bench/field/audit.py --environment main --out docs/records/field.json [--only TEXT]

Every grader gets the same options and nothing that was fitted to it. Rows are kept by target: a second call replaces
those that it audits again. targets.json says what to install for each environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gamekeeper import __version__
from gamekeeper.audit import Report, Settings, audit
from gamekeeper.audit.examples import read_examples

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SPEC = json.loads((HERE / "targets.json").read_text())
OPTIONS: dict[str, Any] = {"most_examples": 32, "seconds": 60.0, "search": 200, "memory_mb": 16384}
TYPED = ("--most-examples", "32", "--seconds", "60", "--search", "200", "--memory", "16384")
PACKAGES = {
    "reasoning_gym": "reasoning-gym",
    "trl": "trl",
    "verl": "verl",
    "inspect": "inspect-ai",
    "verifiers": "verifiers",
    "bench/field/math_verify_target.py": "math-verify",
}


def targets(environment: str) -> list[dict[str, Any]]:
    """What to audit in an environment: a name, its options, and rows where the grader brings none."""
    found = [t for t in SPEC["audited"] if t["environment"] == environment]
    if environment == "main":
        names = [t["rows"] for t in SPEC["targets"] if t["id"].startswith("reasoning-gym/")]
        found += [{"target": f"reasoning_gym:{name}"} for name in names]
    return found


def look(target: dict[str, Any]) -> dict[str, Any]:
    """One audit as a row of the record."""
    params, rows = target.get("params", {}), ()
    if "rows" in target:
        file = ROOT / target["rows"]
        rows = tuple(read_examples(file))
    settings = Settings(**OPTIONS, params=params, command=(*TYPED, *typed(target)))
    started = time.perf_counter()
    report = audit(target["target"], rows, settings)
    return row_of(target["target"], report, time.perf_counter() - started)


def typed(target: dict[str, Any]) -> Sequence[str]:
    given = [part for k, v in target.get("params", {}).items() for part in ("--param", f"{k}={v}")]
    return [*given, *(["--examples", target["rows"]] if "rows" in target else [])]


def row_of(name: str, report: Report, seconds: float) -> dict[str, Any]:
    package = PACKAGES[name.partition(":")[0]]
    return {
        "target": name,
        "library": f"{package} {version(package)}",
        "outcome": report.outcome,
        "reach": report.reach.why,
        "findings": [
            {
                "id": f.id, "cause": f.cause, "severity": f.severity, "what": f.what, "example": f.example,
                "reply": [turn[:400] for turn in f.replies], "reward": f.reward, "honest": f.honest_reward,
                "gain": f.gain, "share": f.share, "repro": f.repro,
            }
            for f in report.findings
        ],
        "faults": [{"id": f.id, "severity": f.severity, "what": f.what} for f in report.faults],
        "notes": list(report.notes),
        "examples": report.examples,
        "calls": report.calls,
        "seconds": round(seconds, 1),
        "command": report.command,
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
    }  # fmt: skip


def keep(path: Path, row: dict[str, Any]) -> None:
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    rows = sorted([r for r in rows if r["target"] != row["target"]] + [row], key=lambda r: r["target"])
    record = {"gamekeeper": __version__, "python": sys.version.split()[0], "rows": rows}
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", choices=sorted(SPEC["environments"]), default="main")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for target in targets(options.environment):
        if options.only in target["target"]:
            row = look(target)
            keep(options.out, row)
            worst = "; ".join(f"{f['severity']} {f['cause']}" for f in row["findings"])
            print(f"{row['target']:45} {row['outcome']:15} {row['seconds']:6.1f} s  {worst}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
