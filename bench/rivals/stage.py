"""What every rival gets: the grader behind a function that it can call, and rows whose `answer` is a right reply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))
from audit_corpus import run  # noqa: E402 - bench/ is no package
from corpus import COULD_NOT_LOOK, Case  # noqa: E402

BIN = Path(os.environ.get("RIVALS_BIN", BENCH.parent / ".venv-rivals" / "bin"))
BAR = 0.5
SECONDS = 300
GOLD = (
    "answer",
    "ground_truth",
    "reference",
    "solution",
    "target",
    "label",
    "span",
    "headline",
    "quote",
    "terms",
    "number",
)

# The source is a global of the shim, since falsepass takes hints on the reply's form from such texts. The rows are not
# in the data set, since rewardprobe takes an answer that stands in another column for one that the model can see.
SHIM = """
import json
import sys
from pathlib import Path
sys.path.insert(0, {bench!r})
from calls import load_entry, pay
FILE = Path({file!r})
SOURCE = FILE.read_text()
ROWS = [json.loads(line) for line in FILE.with_name("examples.jsonl").read_text().splitlines()]
GRADER = load_entry(FILE, {entry!r})


def one(completion, answer, index):
    SOURCE
    return pay(GRADER, {call!r}, {bind!r}, ROWS[index], completion)


def check(completion, reference):
    SOURCE
    return pay(GRADER, {call!r}, {bind!r}, {{**ROWS[0], {gold!r}: reference}}, completion)


def batch(completions, index, **columns):
    SOURCE
    return [pay(GRADER, {call!r}, {bind!r}, ROWS[n], completion) for completion, n in zip(completions, index)]
"""


def stage(case: Case) -> Path:
    """Write `shim.py` and `data.jsonl` beside the grader."""
    folder, about = case.file.parent, case.about
    rows = case.rows()
    fields = {"file": str(case.file), "entry": case.entry, "call": about["call"], "bind": about["bind"]}
    (folder / "shim.py").write_text(SHIM.format(bench=str(BENCH), gold=gold_column(case) or "answer", **fields))
    right = about.get("correct") or [str(row.get("answer", row.get("ground_truth", ""))) for row in rows]
    gold = [next((row[name] for name in GOLD if isinstance(row.get(name), str | int | float)), None) for row in rows]
    write(folder / "data.jsonl", rows, right)
    if None not in gold and [str(value) for value in gold] != right:
        write(folder / "gold.jsonl", rows, [str(value) for value in gold])
    return folder


def gold_column(case: Case) -> str | None:
    """The column that holds a gold answer as text, if there is one."""
    return next((name for name in GOLD if isinstance(case.rows()[0].get(name), str)), None)


def write(file: Path, rows: list[dict[str, Any]], answers: list[str]) -> None:
    tasks = (
        {"prompt": text_of(row["prompt"]), "answer": a, "index": n}
        for n, (row, a) in enumerate(zip(rows, answers, strict=True))
    )
    file.write_text("".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks))


def of_both(look: Callable[[Path, str], tuple[str, str]], case: Case) -> tuple[str, str]:
    """What a rival says with right replies as `answer` and with bare gold answers, whichever serves it better."""
    folder = stage(case)
    said = [look(folder, file.name) for file in (folder / "gold.jsonl", folder / "data.jsonl") if file.exists()]
    return min(said, key=lambda found: ("fooled", "resisted", COULD_NOT_LOOK).index(found[0]))


def text_of(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


def ask(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a rival; the exit code and the end of its output."""
    return run(command, folder, SECONDS)


def lost(why: str) -> tuple[str, str]:
    return COULD_NOT_LOOK, why[-500:]


def version_of(package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(BIN / "python"), "-c", code], capture_output=True, text=True, check=False)
    return f"{package} {done.stdout.strip()}"
