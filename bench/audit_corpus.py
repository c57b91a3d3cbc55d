"""How good is an auditor of rewards? Run it on the labelled corpus and count, with intervals.

    python bench/audit_corpus.py --command 'gamekeeper audit {file}:{entry} --examples {examples} --json' --out FILE
    python bench/audit_corpus.py --auditor bench/rivals/falsepass_side.py:audit --out FILE
    python bench/audit_corpus.py --show FILE ...

A command is judged by its exit code: 0 resisted, 1 fooled, 3 could not look. Any other, 1 with an empty stdout (an
uncaught exception), or no end within --seconds is "could not look" with that as its reason. Its placeholders are {file}
{entry} {examples} {call} {bind}. An auditor in Python is called with a Case and returns an outcome, or an outcome and a
note. Either gets the grader under a neutral name, in a folder without labels. Counted, with 95% Wilson intervals:

    recall           graders with a hole that were called fooled, of all with a hole
    false alarms     closed twins and sound graders called fooled, of all of them
    told apart       pairs whose hole was called fooled and whose closed twin resisted
    could not look   looked at in vain, among graders that can be looked at; and rightly so, among those that cannot
    false clean      graders that cannot be looked at and were said to resist
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from calls import load_entry
from corpus import CLOSED, COULD_NOT_LOOK, FOOLED, HOLE, RESISTED, ROOT, SOUND, UNLOOKABLE, Case, handed_over, load
from machine import commit

Auditor = Callable[[Case], "str | tuple[str, str]"]
EXITS = {0: RESISTED, 1: FOOLED, 3: COULD_NOT_LOOK}
CRASHED = -1  # an uncaught exception of Python's also ends with 1, but says nothing on stdout
Z = 1.959964


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95% interval of a share; all of [0, 1] if nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    share, spread = hits / n, Z * Z / n
    centre, half = share + spread / 2, Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def by_command(template: str, seconds: float) -> Auditor:
    """An auditor that is a program."""

    def audit(case: Case) -> tuple[str, str]:
        fields = {"file": case.file, "entry": case.entry, "examples": case.examples, "call": case.about["call"]}
        bind = json.dumps(case.about["bind"])
        command = [part.format(**fields, bind=bind) for part in shlex.split(template)]
        code, said = run(command, case.file.parent, seconds)
        return EXITS.get(code, COULD_NOT_LOOK), said if code in EXITS else f"exit {code}: {said}"

    return audit


def run(command: Sequence[str], folder: Path, seconds: float) -> tuple[int, str]:
    """Exit code and the end of what was said. When time is up its whole group is ended: nothing stays behind."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return 124, f"no verdict after {seconds:.0f} s"
    silent = process.returncode == 1 and not out.strip()
    code = CRASHED if silent else process.returncode
    said = (out if code in EXITS else error or out).decode(errors="replace").strip()
    return code, said[-4000:]


def evaluate(
    auditor: Auditor, cases: Iterable[Case], replies: str, watch: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row a case: what it is, what the auditor said of it, and how long that took."""
    rows = []
    for case in cases:
        start = time.perf_counter()
        with handed_over(case, replies) as handed:
            found = auditor(handed)
        outcome, note = found if isinstance(found, tuple) else (found, "")
        rows.append(
            {
                "case": case.name, "id": case.id, "kind": case.kind, "family": case.family, "style": case.style,
                "held_out": case.held_out, "runs_code": case.runs_code, "outcome": outcome, "note": note,
                "seconds": round(time.perf_counter() - start, 3),
            }
        )  # fmt: skip
        watch(f"{case.name:45} {outcome}")
    return rows


def share(rows: Sequence[dict[str, Any]], outcome: str) -> dict[str, Any]:
    hits = sum(row["outcome"] == outcome for row in rows)
    return {"hits": hits, "of": len(rows), "interval": [round(end, 3) for end in wilson(hits, len(rows))]}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts that the module's head describes."""
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in (HOLE, CLOSED, SOUND, UNLOOKABLE)}
    right, lookable = of[CLOSED] + of[SOUND], of[HOLE] + of[CLOSED] + of[SOUND]
    said = {(row["id"], row["kind"]): row["outcome"] for row in rows}
    pairs = [
        {
            "outcome": "told apart"
            if (said[row["id"], HOLE], said.get((row["id"], CLOSED))) == (FOOLED, RESISTED)
            else "not"
        }
        for row in of[HOLE]
    ]
    return {
        "recall": share(of[HOLE], FOOLED),
        "false alarms": share(right, FOOLED),
        "told apart": share(pairs, "told apart"),
        "could not look, and could have": share(lookable, COULD_NOT_LOOK),
        "could not look, rightly": share(of[UNLOOKABLE], COULD_NOT_LOOK),
        "false clean": share(of[UNLOOKABLE], RESISTED),
    }


def splits(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The summary of all, of the seen and the held-out part, by what is run, then of each family and style."""
    parts = {
        "all": list(rows),
        "seen": [r for r in rows if not r["held_out"]],
        "held out": [r for r in rows if r["held_out"]],
        "runs programs": [r for r in rows if r["runs_code"]],
        "reads replies": [r for r in rows if not r["runs_code"]],
    }
    for field in ("family", "style"):
        for value in sorted({row[field] for row in rows if row["kind"] == HOLE}):
            parts[f"{field} {value}"] = [row for row in rows if row[field] == value]
    return {name: summary(part) for name, part in parts.items()}


def told(counted: dict[str, Any]) -> str:
    low, high = counted["interval"]
    return f"{counted['hits']:3d}/{counted['of']:<3d} [{low:.2f}, {high:.2f}]" if counted["of"] else "-"


def table(record: dict[str, Any]) -> str:
    """The record as text: three splits in full, then recall and false alarms a family and a style."""
    parts, lines = record["splits"], [f"{record['auditor']}  ({record['cases']} cases, {record['seconds']:.0f} s)", ""]
    columns = ("all", "seen", "held out")
    lines.append(f"{'':32}" + "".join(f"{name:24}" for name in columns))
    lines += [
        f"{metric:32}" + "".join(f"{told(parts[name][metric]):24}" for name in columns) for metric in parts["all"]
    ]
    lines += ["", f"{'':32}{'recall':24}{'false alarms':24}{'told apart':24}"]
    for name in (name for name in parts if name not in columns):
        lines.append(
            f"{name:32}" + "".join(f"{told(parts[name][m]):24}" for m in ("recall", "false alarms", "told apart"))
        )
    return "\n".join(lines)


def record_of(name: str, rows: list[dict[str, Any]], about: dict[str, str]) -> dict[str, Any]:
    seconds = sum(row["seconds"] for row in rows)
    return {
        "auditor": name, "about": about, "commit": commit(), "python": sys.version.split()[0], "cases": len(rows),
        "seconds": round(seconds, 1), "splits": splits(rows), "rows": rows,
    }  # fmt: skip


def auditor_of(options: argparse.Namespace) -> tuple[Auditor, dict[str, str]]:
    if options.command:
        return by_command(options.command, options.seconds), {"command": options.command}
    file, _, entry = options.auditor.rpartition(":")
    auditor = load_entry(Path(file).resolve(), entry)
    about = getattr(sys.modules[auditor.__module__], "ABOUT", {})
    return auditor, {"auditor": options.auditor, **{key: str(value) for key, value in about.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run an auditor on the labelled corpus.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--command", help="a program, with placeholders")
    what.add_argument("--auditor", help="FILE.py:FUNCTION that takes a Case")
    what.add_argument("--show", nargs="+", type=Path, help="print records that were written before")
    parser.add_argument("--name", default="", help="the auditor's name in the record")
    parser.add_argument("--out", type=Path, help="write the record here, as JSON")
    parser.add_argument(
        "--only", default="", help="cases whose name, family or style has one of these, comma-separated"
    )
    parser.add_argument("--split", choices=("all", "seen", "held-out"), default="all")
    parser.add_argument("--code", choices=("all", "with", "without"), default="all", help="graders that run the reply")
    parser.add_argument("--replies", default="", help="hand over known right replies, in this column of the examples")
    parser.add_argument("--seconds", type=float, default=120, help="limit for one case, for commands")
    parser.add_argument("--corpus", type=Path, default=ROOT)
    options = parser.parse_args(argv)
    if options.show:
        print("\n\n".join(table(json.loads(file.read_text())) for file in options.show))
        return 0
    auditor, about = auditor_of(options)
    rows = evaluate(auditor, chosen(options), options.replies, lambda line: print(line, file=sys.stderr, flush=True))
    record = record_of(options.name or options.command or options.auditor, rows, about | {"replies": options.replies})
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))
    return 0


def chosen(options: argparse.Namespace) -> list[Case]:
    words = [word for word in options.only.split(",") if word]
    cases = [c for c in load(options.corpus) if options.split == "all" or c.held_out == (options.split == "held-out")]
    if options.code != "all":
        cases = [c for c in cases if c.runs_code == (options.code == "with")]
    return [c for c in cases if not words or any(word in (c.id, c.name, c.family, c.style, c.kind) for word in words)]


if __name__ == "__main__":
    raise SystemExit(main())
