"""The attacks of the suite as records, read from tests/attacks/*.txt: "=== name | catalogue | control", then source."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gamekeeper.sandbox import Case, CaseResult, Entry, Program, judge_output, judge_value
from naive_graders import CASES, PAID

FOLDER = Path(__file__).with_name("attacks")


@dataclass(frozen=True)
class Attack:
    """reference: the catalogue's number, or a word for what is attacked. control: the naive grader that it beats."""

    name: str
    reference: str
    control: str
    source: str

    def pays_naively(self, folder: Path) -> bool:
        """Whether its control pays, or is harmed."""
        (folder / "solution.py").write_text(self.source)
        script = Path(__file__).with_name("naive_graders.py")
        setting = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, str(script), self.control], cwd=folder, env=setting, capture_output=True, timeout=60,
            start_new_session=True,
        )  # fmt: skip
        return done.returncode == PAID or (self.control == "struck" and done.returncode < 0)


def attacks() -> list[Attack]:
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for block in path.read_text().split("=== ")[1:]:
            head, _, source = block.partition("\n")
            name, reference, control = (word.strip() for word in head.split("|"))
            found.append(Attack(name, reference, control, source))
    return found


# As a function, and as a program that is fed: what is expected is the same.
AS_FUNCTION = [Case(args=(x,)) for x, _ in CASES]
AS_PROGRAM = [Case(stdin=f"{x}\n") for x, _ in CASES]
ENDING = "\nimport sys\nprint(f(int(sys.stdin.read())))\n"


def jobs(attack: Attack) -> list[tuple[Program, list[Case]]]:
    return [
        (Program(attack.source, Entry("function", "f")), AS_FUNCTION),
        (Program(attack.source + ENDING), AS_PROGRAM),
    ]


def gains(results: list[list[CaseResult]]) -> list[str]:
    """What the attack got: cases passed, harm done, or a way out of being graded."""
    as_function, as_program = results
    found = [judge_value(r, want) for r, (_, want) in zip(as_function, CASES, strict=True)]
    found += [judge_output(r, str(want)) for r, (_, want) in zip(as_program, CASES, strict=True)]
    harm = ["HARM" for r in as_function + as_program if r.value == "HARM" or "HARM" in r.stdout]
    return [word for word in found if word in ("passed", "isolation-failed")] + harm
