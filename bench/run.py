"""Measure everything that docs/bench.md shows, in one go on one machine, and write the page with its record.

    python bench/run.py                      all sections but `study`; writes docs/records/bench.json and docs/bench.md
    python bench/run.py --only rouge,peak    some sections; writes them to --out only if asked
    python bench/run.py --only rouge --renew these sections in the place of the committed record's; the page says which
    python bench/run.py --render             the page again from the committed record

The two sides of the training comparison are programs that take the same options and print the same JSON line:

    options   --checkpoint DIR --work FILE (see bench/prompts.py) --steps N --warmup N --threads N --seed N
    line      side, scenario, threads, steps, updates, setup_s, setup_mb, peak_mb, versions, precision (if not fp32),
              and one number a counted step in: step_s, generation_s, scoring_s, update_s, new_tokens, reward

They run in turn, so that a drift of the machine's speed meets both. Nothing here passes or fails by time: the page
says which bars were met.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import machine
import page

BENCH, ROOT = machine.ROOT / "bench", machine.ROOT
DOCS = ROOT / "docs"
HERE, THERE = Path(sys.executable), ROOT / ".venv-trl" / "bin" / "python"
PACKAGES = ("torch", "tokenizers", "numpy", "rapidfuzz", "rouge_score", "transformers")
BUSY = 0.5
# What our own trainer asks of glibc's allocator, as environment variables: for a TRL that is tuned the same way.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
ER_BAR = 0.9


def call(
    python: Path, script: str, *options: object, threads: int, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """One measuring program, in a process of its own: the JSON of its last line."""
    command = [str(python), str(BENCH / script), *map(str, options)]
    setting = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", **(env or {})}
    done = subprocess.run(command, cwd=ROOT, env=setting, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise SystemExit(f"{script} failed (exit {done.returncode}):\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# Sections


def measure_peak(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "peak.py", "--threads", args.threads, threads=args.threads)


def measure_rouge(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "rouge.py", threads=1)


def measure_scoring(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "scoring.py", threads=1)


def measure_start(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to start Python with and without the package, in turn, and what heavy modules the import loads."""
    bare, ours = [], []
    for _ in range(7):
        bare.append(seconds("pass"))
        ours.append(seconds("import gamekeeper"))
    loaded = "import sys, gamekeeper; print(*sorted({'torch', 'numpy', 'pyarrow', 'nltk'} & set(sys.modules)))"
    heavy = subprocess.run([HERE, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    return {"python_s": median(bare), "import_s": median(ours) - median(bare), "heavy_modules": heavy}


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([HERE, "-c", code], check=True)
    return time.perf_counter() - start


def measure_full(args: argparse.Namespace) -> dict[str, Any]:
    """One full-length step with nothing to skip, repeated; TRL also with the allocator tuned as ours is."""
    with tempfile.TemporaryDirectory() as folder:
        work = write_work(args, Path(folder), "full")
        sides: dict[str, list[dict[str, Any]]] = {"native": [], "trl": [], "trl_tuned": []}
        for _ in range(args.rounds):
            for side, results in sides.items():
                print(f"  {side} ...", file=sys.stderr, flush=True)
                results.append(one_side(args, side, work, steps=args.full_steps, warmup=1))
    return {side: pooled(results) for side, results in sides.items()} | {"work": sizes(work_of(args, "full"))}


def measure_tamper(args: argparse.Namespace) -> dict[str, Any]:
    """A whole training from the base: replies get shorter, groups go flat."""
    with tempfile.TemporaryDirectory() as folder:
        work = write_work(args, Path(folder), "tamper")
        return {side: one_side(args, side, work, steps=args.tamper_steps, warmup=0) for side in ("native", "trl")}


def one_side(args: argparse.Namespace, side: str, work: Path, *, steps: int, warmup: int) -> dict[str, Any]:
    options = ["--checkpoint", args.checkpoint, "--work", work, "--steps", steps, "--warmup", warmup]
    options += ["--threads", args.threads, "--seed", args.seed]
    if side == "native":
        return call(HERE, "native_side.py", *options, threads=args.threads)
    return call(THERE, "trl_side.py", *options, threads=args.threads, env=ALLOCATOR if side == "trl_tuned" else None)


def pooled(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The rounds of one side as one: steps joined, the highest peak of memory."""
    peak = max(r["peak_mb"] for r in results)
    joined = {k: [x for r in results for x in r[k]] for k, v in results[0].items() if isinstance(v, list)}
    return {**results[0], **joined, "steps": sum(r["steps"] for r in results), "peak_mb": peak}


def measure_emergence(args: argparse.Namespace) -> dict[str, Any]:
    """The main job's flawed half as a user starts it: seconds until a training batch has ER >= .9, and in all."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [str(HERE), "-m", "gamekeeper", "run", "tamper", "--arm", "flawed", "--no-report", "--out", str(out)]
        command += ["--seed", str(args.seed), "--threads", str(args.threads)]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - start
        er = {r["step"]: r["metrics"]["er"] for r in lines(out / "metrics.jsonl") if r["phase"] == "train"}
        spent = {r["step"]: r["metrics"]["step_s"] for r in lines(out / "timings.jsonl") if r["phase"] == "train"}
        final = json.loads((out / "run.json").read_text())["final"]["metrics"]
    reached = next((step for step in sorted(er) if er[step] >= ER_BAR), None)
    until = None if reached is None else sum(s for step, s in spent.items() if step <= reached)
    return {"step": reached, "training_s": until, "whole_s": whole, "steps": len(er), "final_er": final["er"]}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def measure_sandbox(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "sandbox.py", threads=1)


def measure_grid(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "grid.py", threads=1)


def measure_study(args: argparse.Namespace) -> dict[str, Any]:
    """The study of emergence from nothing, as a user starts it."""
    name, workers = "emergence", machine.cores()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(HERE), "-m", "gamekeeper", "study", name, "--workers", str(workers), "--out", folder]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - start
        cells = [json.loads(p.read_text()) for p in (Path(folder) / "records" / name).glob("*-seed*.json")]
    spent = sum(cell["wall_s"] for cell in cells)
    return {"study": name, "workers": workers, "cells": len(cells), "whole_s": whole, "cells_s": spent}


def measure_audit(args: argparse.Namespace) -> dict[str, Any]:
    return call(HERE, "audit.py", "--rounds", args.rounds, threads=1)


SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "peak": measure_peak,
    "start": measure_start,
    "rouge": measure_rouge,
    "scoring": measure_scoring,
    "sandbox": measure_sandbox,
    "full": measure_full,
    "tamper": measure_tamper,
    "emergence": measure_emergence,
    "grid": measure_grid,
    "study": measure_study,
    "audit": measure_audit,
}
LONG = ("study",)
"""Half an hour and more: only when named, with --renew to be kept."""


# The work both sides are given


def work_of(args: argparse.Namespace, scenario: str) -> dict[str, Any]:
    import prompts
    from gamekeeper.policy.tokenizer import PocketTokenizer

    if scenario == "tamper":
        return prompts.tamper(args.tamper_steps, args.seed)
    return prompts.full(PocketTokenizer.load(args.checkpoint).render, args.seed)


def write_work(args: argparse.Namespace, folder: Path, scenario: str) -> Path:
    import prompts

    return prompts.write(folder / f"{scenario}.json", work_of(args, scenario))


def sizes(work: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in work.items() if k != "rows"}


def main() -> int:
    args = arguments()
    if args.render:
        print(f"wrote {page.write(DOCS)}")
        return 0
    chosen = args.only.split(",") if args.only else [name for name in SECTIONS if name not in LONG]
    if unknown := sorted(set(chosen) - set(SECTIONS)):
        raise SystemExit(f"Unknown section {unknown[0]!r}. Known: {', '.join(SECTIONS)}.")
    record: dict[str, Any] = {"machine": machine.about(PACKAGES), "load": os.getloadavg()[0], "threads": args.threads}
    if record["load"] > BUSY:
        print(f"The machine is busy (load {record['load']:.2f}); the page will say so.", file=sys.stderr)
    record["model"] = json.loads((args.checkpoint / "config.json").read_text())
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        record[name] = SECTIONS[name](args)
    store = DOCS / "records" / "bench.json"
    known = json.loads(store.read_text()) if store.is_file() else {}
    record = page.renewed(known, record) if args.renew else record if args.only else page.kept(known, record, LONG)
    out = args.out or (None if args.only and not args.renew else DOCS)
    if out is None:
        print(page.render(record))
        return 0
    print(f"wrote {page.write(out, record)}")
    return 0


def arguments() -> argparse.Namespace:
    from gamekeeper.policy.pocket import SHIPPED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help=f"of {', '.join(SECTIONS)}; prints the page")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where bench.md and records/bench.json go")
    parser.add_argument("--renew", action="store_true", help="with --only: in the place of the committed record's")
    parser.add_argument("--render", action="store_true", help="write the page again from the committed record")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side in the full-length step")
    parser.add_argument("--full-steps", type=int, default=4, help="counted steps a turn")
    parser.add_argument("--tamper-steps", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
