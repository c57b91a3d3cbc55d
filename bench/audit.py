"""The audit's cost: a whole battery on a plain function, attacks a second, and how cost grows.

    python bench/audit.py [--rounds N] [--out FILE]

Prints one JSON line. `battery_s` is the wall time of a whole audit of a plain function by the command's defaults, in
seconds (bar: 5); `calls_per_cpu_s` is calls of the target for each second of processor time, of parent and children
together, which a busy machine does not change; `growth` is the processor time with four times the examples, or with
four times the attacks, against what straight proportion to examples or to calls would cost, summed over many audits (1
is linear, below is better). `others` is seconds of the clock for each auditor on the same graders of the corpus, ours
among them; `make bench` makes the rivals' environment. `install_s` is what pip takes for the package without extras in
a new environment, from its cache where that has the dependencies (bar: 10), and `installed` says what came.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gamekeeper.audit import Report, Settings, audit, auditor
from gamekeeper.audit.attacks import battery
from plain import contains, strict

BENCH = Path(__file__).resolve().parent


def rows(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"What is {n} times 7?", "answer": str(n * 7)} for n in range(11, 11 + count)]


def cpu() -> float:
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(target: Any, count: int, **settings: Any) -> dict[str, float]:
    before, started = cpu(), time.perf_counter()
    report: Report = audit(target, rows(count), Settings(most_examples=count, **settings))
    wall = time.perf_counter() - started
    tried = sum(row["tried"] for row in report.families.values())
    return {"wall_s": wall, "cpu_s": cpu() - before, "calls": report.calls, "attacks": tried}


def total(target: Any, count: int, rounds: int, **settings: Any) -> dict[str, float]:
    """Sums over many audits: one takes some hundredths of a second, too little to compare."""
    runs = [timed(target, count, search=0, **settings) for _ in range(_MORE * rounds)]
    return {name: sum(run[name] for run in runs) for name in runs[0]}


def a_quarter(target: Any, count: int) -> tuple[str, ...]:
    """A quarter of the attacks, drawn from all: of one family, each might cost more or less than of another."""
    ids: list[str] = []

    def noted(*args: Any) -> list[Any]:
        made = battery(*args)
        ids.extend(attack.id for attack in made)
        return made

    with patch.object(auditor, "battery", noted):
        timed(target, count, search=0)
    return tuple(random.Random(0).sample(ids, len(ids) // 4))


GRADERS = ("any_box_counts", "best_line", "candidate_tags")
_MORE = 6
SIDES = {
    "gamekeeper": "look",
    "falsepass": "audit",
    "rewardprobe": "audit",
    "gradecheck": "audit",
    "reward_doctor": "audit",
}


def others() -> dict[str, float]:
    """Median seconds a grader, holes and closed twins of three pairs that attack authors may see."""
    sys.path[:0] = [str(BENCH), str(BENCH / "rivals")]
    from stage import BIN

    from calls import load_entry
    from corpus import handed_over, load

    cases = [case for case in load() if case.id in GRADERS and not case.held_out]
    found = {}
    for name, entry in SIDES.items():
        if name != "gamekeeper" and not BIN.is_dir():
            raise SystemExit(f"There is no {BIN}, the environment of the other auditors: make .venv-rivals/.ready")
        look, times = load_entry(BENCH / "rivals" / f"{name}_side.py", entry), []
        for case in cases:
            with handed_over(case, "good") as handed:
                started = time.perf_counter()
                look(handed)
                times.append(time.perf_counter() - started)
        found[name] = statistics.median(times)
    return found


def core_install() -> dict[str, Any]:
    """Seconds of pip for the package alone, and the distributions that it brought."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        started = time.perf_counter()
        subprocess.run([*pip, "install", "--quiet", BENCH.parent], check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        told = subprocess.run([*pip, "list", "--format=json"], check=True, stdout=subprocess.PIPE).stdout
    names = sorted(row["name"] for row in json.loads(told))
    return {"install_s": seconds, "installed": [n for n in names if n not in ("pip", "setuptools", "wheel")]}


def installs(rounds: int) -> dict[str, Any]:
    """The median of some installations, each into a new environment."""
    made = [core_install() for _ in range(rounds)]
    return {**made[0], "install_s": statistics.median(m["install_s"] for m in made)}


def measure(rounds: int) -> dict[str, Any]:
    plain = BENCH / "plain.py"
    whole = [timed(f"{plain}:strict", 16) for _ in range(rounds)]
    holed = [timed(f"{plain}:contains", 16) for _ in range(rounds)]
    few, many = (total(contains, n, rounds) for n in (8, 32))
    part, all_ = (total(strict, 8, rounds, only=ids) for ids in (a_quarter(strict, 8), ()))
    best = min(whole, key=lambda r: r["cpu_s"])
    return {
        "battery_s": statistics.median(r["wall_s"] for r in whole),
        "battery_cpu_s": best["cpu_s"],
        "holed_s": statistics.median(r["wall_s"] for r in holed),
        "attacks": best["attacks"],
        "calls": best["calls"],
        "calls_per_cpu_s": best["calls"] / best["cpu_s"],
        "attacks_per_cpu_s": best["attacks"] / best["cpu_s"],
        "growth": {
            "examples": (many["cpu_s"] / few["cpu_s"]) / (32 / 8),
            "attacks": (all_["cpu_s"] / part["cpu_s"]) / (all_["calls"] / part["calls"]),
        },
        "others": others(),
        **installs(rounds),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    text = json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in measure(args.rounds).items()})
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
