"""Texts that match a regular expression: a sampler over the parse tree, with the groups filled as one likes.

A grader's own regex is the most honest description of what it pays for. `fill(pattern, texts)` writes a text that the
pattern accepts, with `texts` tried for its groups in turn; where a group does not accept a text, its own shape is
sampled. Look-arounds and back-references are skipped, so a result may fail to match: callers check.
"""

from __future__ import annotations

import re
import re._constants as op
import re._parser as parser
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_CLASSES = {op.CATEGORY_DIGIT: "1", op.CATEGORY_WORD: "a", op.CATEGORY_SPACE: " "}
_NOT_CLASSES = {op.CATEGORY_NOT_DIGIT: "a", op.CATEGORY_NOT_WORD: " ", op.CATEGORY_NOT_SPACE: "a"}
_MOST_REPEATS = 64
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT)
Tree = Any


@contextmanager
def _unwarned() -> Iterator[None]:
    """What Python warns of in a grader's pattern ("possible nested set") is not ours to tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compiled(pattern: str, flags: int = re.DOTALL) -> re.Pattern[str] | None:
    try:
        with _unwarned():
            return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError):
        return None


def looks_like_regex(text: str) -> bool:
    """Whether a string constant is more likely a regex than a plain text."""
    return bool(re.search(r"\\[dwsbSWD(\[.{*+$]|\.\*|\.\+|\(\?|\[\^|\([^)]*[|+*][^)]*\)|\[[^\]]+\][+*{]", text))


def group_count(pattern: str) -> int:
    found = compiled(pattern)
    return found.groups if found else 0


def fill(pattern: str, texts: Sequence[str], repeat: int = 1) -> str | None:
    """A text that the pattern finds, its groups filled from `texts` in order (the last one again and again)."""
    if compiled(pattern) is None:
        return None
    try:
        with _unwarned():
            tree = parser.parse(pattern)
        return _Writer(texts, repeat).write(tree)
    except (RecursionError, IndexError, ValueError):
        return None


def found_in(pattern: str, text: str) -> bool:
    """Whether a grader's pattern finds a text of ours.

    One that repeats what repeats may search for ever, and it would do so in the auditor, where no clock can stop it.
    Such a pattern is not run: the text is taken for what it finds, and the grader itself will say.
    """
    search = compiled(pattern)
    if search is None:
        return False
    with _unwarned():
        tree = parser.parse(pattern)
    return _repeats_repeats(tree) or search.search(text) is not None


def _repeats_repeats(tree: Any, within: bool = False) -> bool:
    """Whether a repeat without an end holds another one, at any depth of a parsed pattern."""
    if isinstance(tree, tuple) and len(tree) == 2 and tree[0] in _REPEATS:
        endless = tree[1][1] is op.MAXREPEAT
        return (endless and within) or _repeats_repeats(tree[1][2], within or endless)
    parts = tree if isinstance(tree, tuple | list | parser.SubPattern) else ()
    return any(_repeats_repeats(part, within) for part in parts)


class _Writer:
    def __init__(self, texts: Sequence[str], repeat: int) -> None:
        self.texts, self.repeat, self.used = texts, repeat, 0

    def write(self, tree: Tree) -> str:
        return "".join(self._node(kind, value) for kind, value in tree)

    def _node(self, kind: Any, value: Any) -> str:
        if kind is op.LITERAL:
            return chr(value)
        if kind is op.NOT_LITERAL:
            return "a" if chr(value) != "a" else "b"
        if kind is op.ANY:
            return "x"
        if kind is op.IN:
            return self._member(value)
        if kind is op.BRANCH:
            return self.write(value[1][0])
        if kind is op.SUBPATTERN:
            return self._group(value)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeated(value)
        return ""

    def _repeated(self, value: Any) -> str:
        low, high, body = value
        wanted = max(low, min(self.repeat, high))
        return "".join(self.write(body) for _ in range(min(wanted, _MOST_REPEATS)))

    def _group(self, value: Any) -> str:
        number, _, _, body = value
        if number is None or not self.texts:
            return self.write(body)
        text = self.texts[min(self.used, len(self.texts) - 1)]
        self.used += 1
        if _accepts(body, text):
            return text
        return self.write(body)

    def _member(self, choices: Any) -> str:
        if choices and choices[0][0] is op.NEGATE:
            return next((c for c in "x1 a.\n" if not _in_set(choices[1:], c)), "x")
        for kind, value in choices:
            if kind is op.LITERAL:
                return chr(value)
            if kind is op.RANGE:
                return chr(min(max(value[0], ord("9")), value[1])) if chr(value[0]).isdigit() else chr(value[0])
            if kind is op.CATEGORY:
                return _CLASSES.get(value) or _NOT_CLASSES.get(value, "a")
        return "x"


def _in_set(choices: Any, char: str) -> bool:
    for kind, value in choices:
        if kind is op.LITERAL and chr(value) == char:
            return True
        if kind is op.RANGE and value[0] <= ord(char) <= value[1]:
            return True
        if kind is op.CATEGORY and _in_category(value, char):
            return True
    return False


def _in_category(value: Any, char: str) -> bool:
    tests = {
        op.CATEGORY_DIGIT: char.isdigit(),
        op.CATEGORY_NOT_DIGIT: not char.isdigit(),
        op.CATEGORY_WORD: char.isalnum() or char == "_",
        op.CATEGORY_NOT_WORD: not (char.isalnum() or char == "_"),
        op.CATEGORY_SPACE: char.isspace(),
        op.CATEGORY_NOT_SPACE: not char.isspace(),
    }
    return tests.get(value, False)


def _accepts(body: Tree, text: str) -> bool:
    """Whether a group's body could be this text: decided on its outermost repeat or branch, loosely otherwise."""
    nodes = list(body)
    if len(nodes) == 1 and nodes[0][0] in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, high, inner = nodes[0][1]
        inner = list(inner)
        if len(inner) == 1 and low <= len(text) <= high:
            return all(_one(inner[0], c) for c in text)
        return False
    if len(nodes) == 1 and nodes[0][0] in (op.IN, op.ANY, op.NOT_LITERAL):
        return len(text) == 1 and _one(nodes[0], text)
    if len(nodes) == 1 and nodes[0][0] is op.BRANCH:
        return any(_accepts(branch, text) for branch in nodes[0][1][1])
    if nodes and all(kind is op.LITERAL for kind, _ in nodes):
        return "".join(chr(v) for _, v in nodes) == text
    return _numeric(nodes) and bool(re.fullmatch(r"-?\d+(\.\d+)?", text))


def _one(node: Any, char: str) -> bool:
    kind, value = node
    if kind is op.ANY:
        return True
    if kind is op.LITERAL:
        return chr(value) == char
    if kind is op.NOT_LITERAL:
        return chr(value) != char
    if kind is op.IN:
        negated = bool(value) and value[0][0] is op.NEGATE
        return _in_set(value[1:] if negated else value, char) != negated
    return False


def _numeric(nodes: Sequence[Any]) -> bool:
    """Whether a body speaks of digits, e.g. -?[0-9]+(?:\\.[0-9]+)?"""
    text = str(nodes)
    return "CATEGORY_DIGIT" in text or "RANGE, (48, 57)" in text
