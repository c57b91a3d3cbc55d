"""gradecheck on one case: its attacks on completions, with the grader in the place of a verifiers environment.

Its own loader wants an environment of an API that verifiers no longer has, so the attacks are run on a stand-in with
the same three methods. Run by itself (python gradecheck_side.py FOLDER) it is that run, in gradecheck's environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent


class StandIn:
    """What gradecheck's completion attacks ask of an environment."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        import shim

        self.grade, self.pass_threshold = shim.one, 0.5
        rows = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
        self.examples = [
            SimpleNamespace(index=n, answer=row["answer"], observation_text=row["prompt"], row=shim.ROWS[n])
            for n, row in enumerate(rows)
        ]
        self.shown = self.examples[0]

    def score(self, example: SimpleNamespace, completion: str) -> float:
        self.shown = example
        try:
            return float(self.grade(completion, example.answer, example.index))
        except Exception:  # noqa: BLE001 - as its own environment does: a crash scores nothing
            return 0.0

    def solved(self, reward: float) -> bool:
        return reward >= self.pass_threshold

    def format_payload(self, payload: str) -> str | None:
        """The right reply with the payload in the place of the gold answer, where that can be told."""
        right = self.shown.answer
        golds = [v for v in self.shown.row.values() if isinstance(v, str) and v != right and v and v in right]
        return right.replace(max(golds, key=len), payload) if golds else None


def attack(folder: Path) -> None:
    from gradecheck.completion_attacks import _ATTACKS

    env = StandIn(folder)
    print(json.dumps([[found.attack, found.verdict] for found in (one.run(env) for one in _ATTACKS)]))


if __name__ == "__main__":
    attack(Path(sys.argv[1]))
else:
    sys.path.insert(0, str(HERE))
    from stage import BIN, ask, lost, stage, version_of

    ABOUT = {
        "version": version_of("gradecheck"),
        "called": "gradecheck.completion_attacks._ATTACKS on a stand-in for a verifiers environment, threshold 0.5",
        "fooled": "a finding FOOLED",
        "could not look": "the grader cannot be loaded; a crash on a reply scores 0, as in its own environments",
    }

    def audit(case: object) -> tuple[str, str]:
        code, said = ask([str(BIN / "python"), str(HERE / "gradecheck_side.py"), str(stage(case))], case.file.parent)
        if code or not said.startswith("[["):
            return lost(said)
        findings = json.loads(said)
        fooled = [name for name, status in findings if status == "fooled"]
        return ("fooled" if fooled else "resisted"), ", ".join(fooled)
