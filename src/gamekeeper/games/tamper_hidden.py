"""New tests for a problem whose solution is given: inputs like those of its tests, within its stated constraints.

The public files show every test in the prompt, so that a program which lists them passes all; their `solution` columns
hold starters only. A file that does have solutions gets hidden tests: arguments of a test are changed a little, kept
only if they meet every line of the statement's constraints, and the solution says what is right. A constraint that
cannot be read means no new test for the problem: an input outside the constraints could fail a right program. Programs
fed through stdin get none, since nothing states the form of their input.
"""

from __future__ import annotations

import json
import operator
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gamekeeper.errors import CouldNotLook
from gamekeeper.games.tamper_tests import NOT_RUN, Problem
from gamekeeper.sandbox import FINISHED, Case, CaseResult, Program, run_many
from gamekeeper.seeds import rng

DISAGREES = "the solution given does not pass the file's own tests"
_TRIES = 60  # changed inputs that are looked at for each test that is wanted
_NAME = r"[a-zA-Z_]\w*"
_TERM = re.compile(rf"({_NAME})((?:\[\w+\])*)(\.length)?")
_NUMBER = re.compile(r"(-?)(\d+)(?:\s*\^\s*\{?(\d+)\}?)?(?:\s*([+-])\s*(\d+))?")
_CHAIN = re.compile(r"(<=|==|<|>=|>)")
# A set of letters and no more: "exactly one '*'", "distinct", "at most limit" are other constraints.
_LETTERED = re.compile(
    r"(?P<who>[\w\[\], ]+?) (?:only )?(?:consists?|contains?) (?:only of|of only|of|only) "
    r"(?:(?:(?:the|english|lower|upper|lowercase|uppercase|case|numeric|letters?|alphabets?|digits?|characters?"
    r"|of|in|and|or|from|to|through)\b|'[^']'),?\s*)+(?:\bonly)?\.?",
    re.IGNORECASE,
)
_DISTINCT = re.compile(
    r"(?:all )?(?:the )?(?:(?:elements|integers|values|numbers|words|strings|points) (?:in|of) )?"
    rf"(?P<who>{_NAME})(?:\[i\])? (?:are|contains?|consists? of) (?:all |pairwise )?(?:distinct|unique)"
    r"(?: (?:elements|integers|values|numbers|words|strings))?\.?",
    re.IGNORECASE,
)
_SORTED = re.compile(rf"(?P<who>{_NAME}) is sorted in (?:non-decreasing|ascending|increasing)(?: order)?\.?")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, "<": operator.lt, "==": operator.eq, ">=": operator.ge, ">": operator.gt,
}  # fmt: skip


class Unreadable(Exception):
    """A constraint that is not understood."""


class SolutionDisagrees(Exception):
    """The solution that a file gives fails the file's own tests, so that one of the two is wrong."""


def has_solution(source: str | None, starter: str) -> bool:
    """Whether a text that should be a solution is more than the starter."""
    return source is not None and "".join(source.split()) not in ("", "".join(starter.split()))


def hidden_tests(
    problem: Problem, names: Sequence[str], question: str, solution: str, most: int
) -> list[dict[str, str]]:
    """Up to `most` new tests in the file's own form.

    Raises SolutionDisagrees if the solution fails the file's, CouldNotLook if the sandbox could not run it.
    """
    program = Program(solution, problem.entry, problem.prelude)
    known = [*problem.visible, *problem.hidden]
    results = _ran(program, [check.case for check in known], problem)
    if not all(r.status == FINISHED and problem.agrees(r, c.expected) for r, c in zip(results, known, strict=True)):
        raise SolutionDisagrees(DISAGREES)
    if problem.entry.kind != "method" or most == 0:
        return []
    try:
        lines = constraints_of(question)
        inputs = _inputs([check.case.args for check in known], names, lines, most)
    except Unreadable:
        return []
    return list(_solved(program, inputs, problem))


def _ran(program: Program, cases: Sequence[Case], problem: Problem) -> list[CaseResult]:
    """What the solution did. A sandbox that fails says nothing of the solution: CouldNotLook."""
    results = run_many([(program, cases)], problem.limits, problem.packages)[0]
    failed = next((r for r in results if r.status == NOT_RUN), None)
    if failed:
        raise CouldNotLook(
            f"The sandbox could not run a solution that the data file gives: {failed.detail}. Without it nothing can "
            "be said of the problem. Run `gamekeeper doctor` to see what the sandbox lacks, then try again."
        )
    return results


def _solved(program: Program, inputs: Sequence[tuple[Any, ...]], problem: Problem) -> Iterator[dict[str, str]]:
    """What the solution says, twice: a program that is not the same twice tells nothing."""
    cases = [Case(args=args) for args in inputs]
    first, second = (_ran(program, cases, problem) for _ in range(2))
    for args, one, two in zip(inputs, first, second, strict=True):
        if one.status == two.status == FINISHED:
            written = _written(one.value)
            if written is not None and written == _written(two.value):
                yield {"input": "\n".join(map(json.dumps, args)), "output": written}


def _written(value: Any) -> str | None:
    try:
        text = json.dumps(value)
        return text if json.loads(text) == (list(value) if isinstance(value, tuple) else value) else None
    except (TypeError, ValueError, RecursionError):
        return None


# Inputs


def _inputs(
    known: Sequence[tuple[Any, ...]], names: Sequence[str], lines: Sequence[str], most: int
) -> list[tuple[Any, ...]]:
    """New arguments near those of the tests, none of them twice. Raises Unreadable if some constraint is."""
    if not all(meets(lines, dict(zip(names, args, strict=True)), args) for args in known):
        raise Unreadable("the file's own tests do not meet the constraints as they are read here")
    draw = rng("tamper hidden tests", [json.dumps(args) for args in known])
    seen = {json.dumps(args) for args in known}
    found: list[tuple[Any, ...]] = []
    for _ in range(_TRIES * most):
        if len(found) == most:
            break
        before = draw.choice(known)
        args = tuple(_changed(value, draw) if draw.random() < 0.6 else value for value in before)
        text = json.dumps(args)
        if text not in seen and meets(lines, dict(zip(names, args, strict=True)), before):
            seen.add(text)
            found.append(args)
    return found


def _changed(value: Any, draw: random.Random) -> Any:
    """A value like the one given: of its type, and made of the same letters."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return draw.choice((value + 1, value - 1, value + draw.randint(-3, 3), type(value)(value // 2), value * 2))
    if isinstance(value, str):
        return "".join(_reordered(list(value), draw))
    if isinstance(value, list) and value:
        if draw.random() < 0.5:
            return _reordered(value, draw)
        place = draw.randrange(len(value))
        return [_changed(v, draw) if n == place or draw.random() < 0.2 else v for n, v in enumerate(value)]
    return value


def _reordered(parts: list[Any], draw: random.Random) -> list[Any]:
    if not parts:
        return parts
    n = draw.randrange(len(parts))
    choice = draw.randrange(4)
    if choice == 0:
        return draw.sample(parts, len(parts))
    if choice == 1:
        return parts[:n] + parts[n + 1 :]
    return [*parts[:n], draw.choice(parts), *parts[n + (choice == 2) :]]


# Constraints


def constraints_of(question: str) -> list[str]:
    """The lines under the statement's last "Constraints:". Raises Unreadable if there are none."""
    _, mark, tail = question.replace("\r", "").rpartition("Constraints:")
    lines = [re.sub(r"^\s*[-*•]\s+", "", line).strip() for line in tail.partition("Starter Code")[0].split("\n")]
    found = [line for line in lines if line]
    if not mark or not found:
        raise Unreadable("no constraints")
    return found


def meets(lines: Sequence[str], values: Mapping[str, Any], before: Sequence[Any]) -> bool:
    """Whether arguments keep to every constraint. `before`: arguments that are known to, for what letters may stand."""
    named = dict(values)
    _bind(lines, named)
    return all(_holds(line, named, before) for line in lines)


def _bind(lines: Sequence[str], named: dict[str, Any]) -> None:
    """Names that a constraint gives to a length: "n == nums.length", "1 <= n == nums.length <= 50"."""
    for line in lines:
        parts = _CHAIN.split(line)
        for left, sign, right in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            for name, term in ((left.strip(), right.strip()), (right.strip(), left.strip())):
                if sign == "==" and re.fullmatch(_NAME, name) and name not in named and term.endswith(".length"):
                    sizes = _values(term, named)
                    named.update({name: sizes[0]} if sizes else {})


def _holds(line: str, named: Mapping[str, Any], before: Sequence[Any]) -> bool:
    if found := re.fullmatch(r"(\S+) is either (-?\d+)(?:,? or (-?\d+))\.?", line):
        return set(_values(found[1], named)) <= {int(found[2]), int(found[3])}
    if found := _LETTERED.fullmatch(line):
        _told_apart(line, re.findall(_NAME, found["who"]), named, str)
        return set("".join(_letters(list(named.values())))) <= set("".join(_letters(list(before))))
    if found := _DISTINCT.fullmatch(line):
        (values,) = _told_apart(line, [found["who"]], named, list)
        return len({json.dumps(x) for x in values}) == len(values)
    if found := _SORTED.fullmatch(line):
        (values,) = _told_apart(line, [found["who"]], named, list)
        return bool(values == sorted(values))
    parts = _CHAIN.split(line.rstrip("."))
    if len(parts) < 3:
        raise Unreadable(line)
    sides = [[v for term in part.split(",") for v in _values(term.strip(), named)] for part in parts[::2]]
    return all(
        _COMPARE[sign](a, b)
        for sign, left, right in zip(parts[1::2], sides, sides[1:], strict=False)
        for a in left
        for b in right
    )


def _told_apart(line: str, names: Sequence[str], named: Mapping[str, Any], kind: type) -> list[Any]:
    """The values that a line names, of the kind that it speaks of (texts may stand in lists)."""
    found = [named[name] for name in names if name in named]
    if not found or not all(_is_of(value, kind) for value in found):
        raise Unreadable(line)
    return found


def _is_of(value: Any, kind: type) -> bool:
    return isinstance(value, kind) or (kind is str and isinstance(value, list) and all(_is_of(v, str) for v in value))


def _letters(values: Any) -> Iterator[str]:
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _letters(value)


def _values(term: str, named: Mapping[str, Any]) -> list[Any]:
    """What a term of a constraint stands for: every element that it may mean."""
    left, times, right = term.partition(" * ")
    if times:
        return [a * b for a in _values(left.strip(), named) for b in _values(right.strip(), named)]
    if found := _NUMBER.fullmatch(term):
        sign, base, power, plus, rest = found.groups()
        number = int(sign + "1") * int(base) ** int(power or 1)
        return [number + int(f"{plus}{rest}") if plus else number]
    term_found = _TERM.fullmatch(term)
    if not term_found or term_found[1] not in named:
        raise Unreadable(term)
    values = [named[term_found[1]]]
    for _ in range(term_found[2].count("[")):
        values = [x for v in _sequences(values, term) for x in v]
    if term_found[3]:
        return [len(v) for v in _sequences(values, term)]
    if not all(isinstance(v, int | float) for v in values):
        raise Unreadable(term)
    return values


def _sequences(values: list[Any], term: str) -> list[Any]:
    if not all(isinstance(v, list | str) for v in values):
        raise Unreadable(term)
    return values
