"""The game `tamper` on the paper's data: LiveCodeBench problems, one a row, with the tests that the file has.

Two kinds of problem. Those with starter code (LeetCode) are entered through the starter's own method, with arguments
read from the lines of a test by the starter's annotations. The others (AtCoder, Codeforces) are programs fed through
stdin, at top level or as `Solution().solve()` that prints or returns. The reference called `solve` for both, which no
starter defines, fed no stdin and compared last lines only, so that most right answers could not score.

Whole outputs are compared, line by line and word by word, numbers with the tolerance that the statement grants. A
problem whose tests cannot tell a right answer from a wrong one (interactive, several right outputs, no tests, tests
that contradict each other or the solution given) is *undecidable*: it is left out, or, on request, given and left
unscored with the reason. Where the file gives solutions, hidden tests are derived from them (`tamper_hidden`).
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gamekeeper.errors import DataError
from gamekeeper.extras import need
from gamekeeper.games.paper_data import messages_of, read_rows, text_at
from gamekeeper.games.paper_items import ABOUT, again, optional_text, plain
from gamekeeper.games.tamper_hidden import SolutionDisagrees, has_solution, hidden_tests
from gamekeeper.games.tamper_prelude import PRELUDE
from gamekeeper.games.tamper_scripts import Played, episodes_of_tests
from gamekeeper.games.tamper_tests import Check, Problem
from gamekeeper.sandbox import Case, CaseResult, Entry, Limits, output_lines, same_value, values
from gamekeeper.types import Item, Message

LIMITS = Limits(cpu_s=6.0, wall_s=30.0, memory_mb=512, output_bytes=1 << 22)
PACKAGES = ("numpy",)
"""What programs may import beside the standard library: the paper's own ran where numpy was. It costs a program that
imports it some 0.1 s a case, and the others nothing."""
FLOAT_TOLERANCE = 1e-5
"""LeetCode's own, for expected answers that are floats."""

_INTERACTIVE = re.compile(r"\binteractive (?:problem|task)\b", re.IGNORECASE)
_SEVERAL = re.compile(
    r"\bany (?:one )?of them\b|\bprint any\b|\bany (?:output|answer|solution) that\b|\bany (?:valid|correct) "
    r"|\bprint (?:one (?:way|such|example|possible|of)|an example)\b",
    re.IGNORECASE,
)
_RETURN_ANY = re.compile(r"\breturn any\b(?! order)", re.IGNORECASE)
_ANY_ORDER = re.compile(r"\breturn[^.]*\bin any order\b", re.IGNORECASE)
_ANY_CASE = re.compile(r"\b(?:answer|letter|output)\b[^.]*\bin any case\b", re.IGNORECASE)
_TOLERANCE = re.compile(r"\b(?:absolute|relative)\b[^.]*\berror\b[^.]*?10\s*\^\s*\{?\s*-\s*(\d+)", re.IGNORECASE)
_EXAMPLE = re.compile(r"Input:?[ \t]*\n?(.*?)\n\s*Output:?[ \t]*\n?(.*?)(?=\n\s*[A-Z]\w*|\n\s*\n|\Z)", re.DOTALL)
_JUNK = re.compile(r"[\s\"']+")
_TRAILING_ZEROS = re.compile(r"(\.\d*?)0+(?!\d)")


# Rows to items


def rows_of(data: Path, split: str, derive: int) -> Iterator[Item]:
    """Every problem of a file; with up to `derive` hidden tests for each whose solution is given.

    Raises DataError naming the file, and the row that does not fit; CouldNotLook where a solution cannot be run.
    """
    seen: Counter[str] = Counter()
    for number, row in enumerate(read_rows(data, ("prompt", "reward_model"))):
        where = f"{data}, row {number}"
        fields = _fields(row, where)
        solution = optional_text(row, "reward_model", "canonical_solution")
        if fields["undecidable"] is None and has_solution(solution, fields["starter"]):
            _add_hidden(fields, solution or "", derive)
        name = text_at(row, ("reward_model", "problem_id"), where)
        yield Item(f"tamper-paper-{name}{again(seen, name)}", "tamper", split, fields)


def _fields(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    messages = _messages(row["prompt"], where)
    document = document_in(messages[-1].content)
    question, starter = document.get("question"), document.get("source_code", "")
    if not isinstance(question, str) or not isinstance(starter, str):
        raise DataError(f"{where}: the last message of `prompt` must be a JSON object with a question. Repair the row.")
    tests = _tests(row["reward_model"], where)
    fields: dict[str, Any] = {
        "messages": plain(messages),
        "question": question,
        "starter": starter,
        "tests": tests,
        "shown": _shown(question, tests, starter),
        ABOUT: {"source": optional_text(row, "reward_model", "dataset_source")},
    }
    return {**fields, "undecidable": undecidable_because(fields)}


def _add_hidden(fields: dict[str, Any], solution: str, most: int) -> None:
    """Tests that the prompt does not show, from a solution; or the reason why it cannot be one."""
    names = [a.arg for a in _starter_method(fields["starter"])[1].args.args[1:]] if fields["starter"] else []
    try:
        found = hidden_tests(problem_of(fields), names, fields["question"], solution, most)
    except SolutionDisagrees as error:
        fields["undecidable"] = str(error)
        return
    fields["tests"] = [*fields["tests"], *found]
    fields["shown"] = [*fields["shown"], *(False for _ in found)]


def _messages(prompt: Any, where: str) -> tuple[Message, ...]:
    """The prompt column: a list of messages, or, in these files, the same as a JSON string."""
    if isinstance(prompt, str):
        try:
            prompt = json.loads(prompt)
        except (ValueError, RecursionError):
            raise DataError(f"{where}: `prompt` is a text but no JSON. Repair the row.") from None
    return messages_of(prompt, where)


def document_in(text: str) -> dict[str, Any]:
    """The JSON object that a message is; an empty one if it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _tests(reward_model: Any, where: str) -> list[dict[str, str]]:
    tests = reward_model.get("test_cases") if isinstance(reward_model, Mapping) else None
    if not isinstance(tests, list) or not all(_is_test(t) for t in tests):
        raise DataError(f"{where}: `reward_model.test_cases` must be a list of input and output texts. Repair the row.")
    return [{"input": t["input"], "output": t["output"]} for t in tests]


def _is_test(test: Any) -> bool:
    return isinstance(test, Mapping) and all(isinstance(test.get(k), str) for k in ("input", "output"))


# Which tests the prompt shows


def _shown(question: str, tests: Sequence[Mapping[str, str]], starter: str) -> list[bool]:
    text = question.replace("\r", "")
    if starter:
        examples = [(_squeezed(given), _squeezed(out)) for given, out in _EXAMPLE.findall(text)]
        return [_in_examples(test, examples) for test in tests]
    lines = _full_lines(text)
    return [_in_lines(test["input"], lines) and _in_lines(test["output"], lines) for test in tests]


def _squeezed(text: str) -> str:
    return _TRAILING_ZEROS.sub(r"\1", _JUNK.sub("", text).lower())


def _in_examples(test: Mapping[str, str], examples: Sequence[tuple[str, str]]) -> bool:
    """Whether an example has the test's arguments, in order, and its output."""
    arguments = [_squeezed(line) for line in test["input"].split("\n")]
    pattern = re.compile(".*?=".join(["", *map(re.escape, arguments)]) + r"$", re.DOTALL)
    return any(pattern.match(given) and out == _squeezed(test["output"]) for given, out in examples)


def _full_lines(text: str) -> list[list[str]]:
    return [line for line in output_lines(text) if line]


def _in_lines(text: str, lines: Sequence[list[str]]) -> bool:
    """Whether the text's lines stand in a row among those of the statement, blank ones aside."""
    wanted = _full_lines(text)
    return any(list(lines[i : i + len(wanted)]) == wanted for i in range(len(lines) - len(wanted) + 1))


# Items to problems


def is_paper(fields: Mapping[str, Any]) -> bool:
    return "messages" in fields


def undecidable_because(fields: Mapping[str, Any]) -> str | None:
    """Why a problem's tests cannot tell right from wrong; None if they can, as far as is known."""
    question = fields["question"]
    if not fields["tests"]:
        return "the file has no tests for this problem"
    if _INTERACTIVE.search(question):
        return "the problem is interactive: its tests are transcripts"
    if (_RETURN_ANY if fields["starter"] else _SEVERAL).search(question):
        return "several outputs are right, and the tests know one"
    if _contradict(fields["tests"]):
        return "two of its tests want different outputs for one input"
    try:
        problem_of({**fields, "undecidable": None})
    except DataError as error:
        return str(error)
    return None


def _contradict(tests: Sequence[Mapping[str, str]]) -> bool:
    wanted: dict[str, str] = {}
    return any(wanted.setdefault(t["input"].strip(), t["output"].strip()) != t["output"].strip() for t in tests)


def problem_of(fields: Mapping[str, Any]) -> Problem:
    """The problem of an item; DataError if it cannot be scored, with the reason, MissingExtra without `PACKAGES`."""
    if fields.get("undecidable"):
        raise DataError(f"The problem cannot be scored: {fields['undecidable']}.")
    if fault := _fault(fields):
        raise DataError(f"The item is not whole: {fault}. Take it from the data file.")
    entry, checks, agrees = (_method_tests if fields["starter"] else _stdin_tests)(fields)
    pairs = list(zip(checks, fields["shown"], strict=True))
    visible, hidden = (tuple(c for c, shown in pairs if shown is which) for which in (True, False))
    need("games", "Running programs at paper level", *PACKAGES)  # without it a right program would score 0
    return Problem(entry, visible, hidden, agrees, PRELUDE, LIMITS, PACKAGES)


def _fault(fields: Mapping[str, Any]) -> str | None:
    """What of a problem an item lacks; None if it is all there."""
    lacking = [k for k in ("question", "starter", "tests", "shown") if fields.get(k) is None]
    if lacking:
        return f"it lacks {', '.join(lacking)}"
    if not all(isinstance(fields[k], str) for k in ("question", "starter")):
        return "`question` and `starter` must be texts"
    tests, shown = fields["tests"], fields["shown"]
    if not isinstance(tests, list | tuple) or not tests or not all(map(_is_test, tests)):
        return "`tests` must be a list of input and output texts, with one at least"
    if not isinstance(shown, list | tuple) or len(shown) != len(tests) or not all(type(s) is bool for s in shown):
        return "`shown` must say true or false for each of the tests"
    return None


def _stdin_tests(fields: Mapping[str, Any]) -> tuple[Entry, list[Check], Any]:
    question = fields["question"].replace("\r", "")
    tolerance = _TOLERANCE.search(question)
    agrees = partial(
        _same_output,
        tolerance=10.0 ** -int(tolerance[1]) if tolerance else 0.0,
        any_case=bool(_ANY_CASE.search(question)),
    )
    checks = [Check(Case(stdin=t["input"].rstrip("\n") + "\n"), t["output"]) for t in fields["tests"]]
    return Entry("stdin", "Solution.solve"), checks, agrees


def _method_tests(fields: Mapping[str, Any]) -> tuple[Entry, list[Check], Any]:
    owner, method = _starter_method(fields["starter"])
    types = [ast.unparse(a.annotation) if a.annotation else "" for a in method.args.args[1:]]
    returns = ast.unparse(method.returns) if method.returns else ""
    checks = [Check(Case(args=_arguments(t["input"], types)), _typed(t["output"], returns)) for t in fields["tests"]]
    agrees = partial(_same_answer, unordered=bool(_ANY_ORDER.search(fields["question"])))
    return Entry("method", f"{owner}.{method.name}"), checks, agrees


def _starter_method(starter: str) -> tuple[str, ast.FunctionDef]:
    """The class and the one method of starter code, which ends after the method's head."""
    try:
        tree = ast.parse(starter.rstrip() + " pass")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = ast.Module([], [])
    found = [
        (c.name, f) for c in tree.body if isinstance(c, ast.ClassDef) for f in c.body if isinstance(f, ast.FunctionDef)
    ]
    if len(found) != 1:
        raise DataError("The starter code does not have the form of one class with one method.")
    return found[0]


def _arguments(text: str, types: Sequence[str]) -> tuple[Any, ...]:
    lines = text.split("\n")
    if len(lines) != len(types):
        raise DataError(f"A test has {len(lines)} lines of arguments, the method takes {len(types)}.")
    return tuple(_typed(line, kind) for line, kind in zip(lines, types, strict=True))


def _typed(text: str, kind: str) -> Any:
    """A value written as JSON or as Python writes it, of the annotated type."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text.strip())
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            if kind == "str":
                return text
            raise DataError(f"A test holds {text[:60]!r}, which is no {kind or 'value'}.") from None
    if kind == "str" and not isinstance(value, str):
        return text
    return _as_floats(value) if "float" in kind else value


def _as_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_floats(v) for v in value]
    return float(value) if type(value) is int else value


# Comparing


def _same_output(result: CaseResult, expected: str, tolerance: float, any_case: bool) -> bool:
    texts = (result.stdout, expected)
    got, wanted = (output_lines(text.upper() if any_case else text) for text in texts)
    return len(got) == len(wanted) and all(_same_words(g, w, tolerance) for g, w in zip(got, wanted, strict=True))


def _same_words(got: Sequence[str], wanted: Sequence[str], tolerance: float) -> bool:
    return len(got) == len(wanted) and all(
        g == w or (tolerance > 0 and _near(_number(g), _number(w), tolerance)) for g, w in zip(got, wanted, strict=True)
    )


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _near(a: float, b: float, tolerance: float) -> bool:
    try:
        return abs(a - b) <= tolerance * max(1.0, abs(b))
    except OverflowError:  # a whole number beyond all floats
        return False


def _same_answer(result: CaseResult, expected: Any, unordered: bool) -> bool:
    got = result.value
    if unordered and isinstance(got, list | tuple) and isinstance(expected, list):
        try:
            # Not by repr: it refuses whole numbers of more than 4,300 digits.
            got, expected = sorted(got, key=values.write), sorted(expected, key=values.write)
        except values.Unwritable:  # nested too deep for an honest claim
            return False
    return _same_typed(got, expected)


def _same_typed(got: Any, expected: Any) -> bool:
    """Exact types, but that a tuple may stand for a list and a whole number for an expected float."""
    if isinstance(expected, list):
        return isinstance(got, list | tuple) and len(got) == len(expected) and all(map(_same_typed, got, expected))
    if type(expected) is float:
        return type(got) in (int, float) and _near(got, expected, FLOAT_TOLERANCE)
    return same_value(got, expected)


# Scripts


def episodes(fields: Mapping[str, Any]) -> Iterator[Played]:
    """Scripted episodes. The file has no solutions: the honest script stands in for one by knowing every test."""
    problem = problem_of(fields)
    every = [(check.case, check.expected) for check in (*problem.visible, *problem.hidden)]
    seen = [(check.case, check.expected) for check in problem.visible]
    return iter(episodes_of_tests(problem.entry, every, seen, bool(problem.hidden)))
