"""Prove of public graders that they can be reached: on every row the right answer is paid more than a wrong one.

    PYTHON_OF_THE_ENVIRONMENT bench/field/reach.py --environment main --out reached.json
    PYTHON_OF_THE_ENVIRONMENT bench/field/reach.py --rows reasoning-gym/gcd > examples.jsonl

targets.json lists the targets, and for each environment what to install, in that order. Nothing here looks for holes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from calls import pay  # noqa: E402 - bench/ is no package

SPEC = json.loads((HERE / "targets.json").read_text())


def rows_of(target: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = importlib.import_module(Path(target["file"]).stem).rows(target["rows"])
    return found


def reach(target: dict[str, Any]) -> dict[str, Any]:
    """What the target pays for the right and for the wrong reply of each row, and whether that tells them apart."""
    module = importlib.import_module(Path(target["file"]).stem)
    grader, start = getattr(module, target["entry"]), time.perf_counter()
    right: list[float] = []
    wrong: list[list[float | str]] = []
    for row in rows_of(target):
        right.append(pay(grader, target["call"], {}, row, row["answer"]))
        replies = row["wrong_replies"] if "wrong_replies" in row else [row["wrong_reply"]]
        wrong.append([paid_or_fault(grader, target["call"], row, reply) for reply in replies])
    reached = all(
        any(isinstance(bad, str) or good > bad for bad in bads) for good, bads in zip(right, wrong, strict=True)
    )
    seconds = round(time.perf_counter() - start, 2)
    versions = {package: version(package) for package in module.PACKAGES}
    return {
        "id": target["id"],
        "reached": reached,
        "right": right,
        "wrong": wrong,
        "seconds": seconds,
        "versions": versions,
    }


def paid_or_fault(grader: Any, call: str, row: dict[str, Any], reply: str) -> float | str:
    try:
        return float(pay(grader, call, {}, row, reply))
    except Exception as fault:  # noqa: BLE001 - a grader that raises on a wrong reply is a fact about it
        return f"{type(fault).__name__}: {fault}"[:200]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--environment", choices=sorted(SPEC["environments"]), default="main")
    parser.add_argument("--only", default="", help="targets whose id holds this")
    parser.add_argument("--rows", default="", help="print the examples of this target, as JSONL")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.rows:
        target = next(target for target in SPEC["targets"] if target["id"] == options.rows)
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in rows_of(target)))
        return 0
    chosen = [t for t in SPEC["targets"] if t["environment"] == options.environment and options.only in t["id"]]
    found = []
    for target in chosen:
        with contextlib.redirect_stdout(sys.stderr):
            found.append(reach(target))
        print(f"{found[-1]['id']:45} {'reached' if found[-1]['reached'] else 'NOT REACHED'}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    missed = [entry["id"] for entry in found if not entry["reached"]]
    print(f"{len(found) - len(missed)} of {len(found)} reached" + (f"; not: {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
