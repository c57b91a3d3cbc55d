"""The labelled corpus of graders (tests/audit_corpus): what is in it, and how a case is handed to an auditor.

pairs/ID         hole.py and closed.py, which differ in the hole; examples.jsonl; pair.json proves both labels
sound/ID         grader.py that looks suspicious and is right; examples.jsonl; case.json
unlookable/ID    grader.py that no auditor can judge; examples.jsonl; case.json with the reason
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from calls import load_entry, pay, pay_apart

ROOT = Path(__file__).resolve().parent.parent / "tests" / "audit_corpus"
HOLE, CLOSED, SOUND, UNLOOKABLE = KINDS = ("hole", "closed", "sound", "unlookable")
FOOLED, RESISTED, COULD_NOT_LOOK = OUTCOMES = ("fooled", "resisted", "could not look")
RIGHT = {HOLE: FOOLED, CLOSED: RESISTED, SOUND: RESISTED, UNLOOKABLE: COULD_NOT_LOOK}


@dataclass(frozen=True)
class Case:
    """One grader with its examples, and what is known of it."""

    id: str
    kind: str
    file: Path
    examples: Path
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.id}:{self.kind}"

    @property
    def family(self) -> str:
        return str(self.about.get("family", self.kind))

    @property
    def style(self) -> str:
        return str(self.about["style"])

    @property
    def held_out(self) -> bool:
        return bool(self.about["held_out"])

    @property
    def entry(self) -> str:
        return str(self.about["entry"])

    @property
    def runs_code(self) -> bool:
        """The grader runs the reply as a program."""
        return bool(self.about.get("runs_code"))

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.examples.read_text().splitlines()]

    def rewards(self, asked: list[tuple[dict[str, Any], str]], seconds: float = 60, apart: bool = False) -> Any:
        """What this grader pays, as a list; in a process of its own if asked for or if it runs what the reply says.

        That process may end without rewards: then a string says why.
        """
        call, bind = self.about["call"], self.about["bind"]
        if apart or self.runs_code:
            return pay_apart(self.file, self.entry, call, bind, asked, seconds)
        grader = load_entry(self.file, self.entry)
        return [pay(grader, call, bind, example, reply) for example, reply in asked]


def load(root: Path = ROOT) -> list[Case]:
    """Every case, in the order of names; both twins of a pair one after the other."""
    cases = []
    for folder in sorted((root / "pairs").iterdir()):
        about = json.loads((folder / "pair.json").read_text())
        twins = (HOLE, CLOSED)
        cases += [Case(folder.name, kind, folder / f"{kind}.py", folder / "examples.jsonl", about) for kind in twins]
    for kind in (SOUND, UNLOOKABLE):
        for folder in sorted((root / kind).iterdir()):
            about = json.loads((folder / "case.json").read_text())
            cases.append(Case(folder.name, kind, folder / "grader.py", folder / "examples.jsonl", about))
    return cases


@contextmanager
def handed_over(case: Case, replies: str = "") -> Iterator[Case]:
    """The case as an auditor meets it: files of neutral names in a folder of their own, without the labels.

    replies: a column's name; the known right reply of each example is put there, for auditors that can take one.
    """
    with TemporaryDirectory(prefix="grader-") as name:
        folder = Path(name)
        shutil.copy(case.file, folder / "grader.py")
        shutil.copy(case.examples, folder / "examples.jsonl")
        if replies and "correct" in case.about:
            rows = zip(case.rows(), case.about["correct"], strict=True)
            text = "".join(json.dumps({**row, replies: reply}, ensure_ascii=False) + "\n" for row, reply in rows)
            (folder / "examples.jsonl").write_text(text)
        yield replace(case, file=folder / "grader.py", examples=folder / "examples.jsonl")
