"""Correct solutions to public problems, each with a slip that makes it wrong, read from tests/honest/.

*.txt hold "=== problem | shape | right => slip", then a solution of our own; cases.json holds small cases of the
problems, as (input, expected). The statements are not kept.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamekeeper.games.tamper_prelude import PRELUDE
from gamekeeper.sandbox import Case, CaseResult, Entry, Program, judge_output, judge_value

FOLDER = Path(__file__).with_name("honest")


@dataclass(frozen=True)
class Solution:
    """shape: method (LeetCode), function, stdin (AtCoder), or solver (a program whose work is in Solution.solve)."""

    problem: str
    shape: str
    source: str
    slip: str
    cases: tuple[tuple[str, str], ...]

    def program(self, source: str) -> Program:
        if self.shape in ("stdin", "solver"):
            return Program(source, Entry("stdin", "Solution.solve" if self.shape == "solver" else ""), PRELUDE)
        tree = ast.parse(source)
        within = next(n for n in tree.body if isinstance(n, ast.ClassDef)).body if self.shape == "method" else tree.body
        name = next(n.name for n in within if isinstance(n, ast.FunctionDef))
        return Program(source, Entry(self.shape, f"Solution.{name}" if self.shape == "method" else name), PRELUDE)

    def job(self, source: str) -> tuple[Program, list[Case]]:
        if self.shape in ("stdin", "solver"):
            return self.program(source), [Case(stdin=given + "\n") for given, _ in self.cases]
        return self.program(source), [Case(args=tuple(map(value, given.split("\n")))) for given, _ in self.cases]

    def score(self, results: list[CaseResult]) -> float:
        if self.shape in ("stdin", "solver"):
            words = [judge_output(r, want) for r, (_, want) in zip(results, self.cases, strict=True)]
        else:
            words = [judge_value(r, value(want)) for r, (_, want) in zip(results, self.cases, strict=True)]
        return words.count("passed") / len(words)


def value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def solutions() -> list[Solution]:
    cases = json.loads((FOLDER / "cases.json").read_text())
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for block in path.read_text().split("=== ")[1:]:
            head, _, source = block.partition("\n")
            problem, shape, change = (word.strip() for word in head.split("|", 2))
            right, _, slip = (word.strip() for word in change.partition("=>"))
            assert right in source, (problem, right)
            told = tuple((given, want) for given, want in cases[problem])
            found.append(Solution(problem, shape, source, source.replace(right, slip, 1), told))
    return found
