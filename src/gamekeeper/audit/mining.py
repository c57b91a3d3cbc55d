"""What a grader's source gives away: its regexes, tags, field names, markers, thresholds, file names, variables.

Read off the syntax tree, never run. A reward hacker does not have the source, but search over replies finds in
thousands of episodes what the source shows at once; the audit takes the short way.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gamekeeper.audit.patterns import compiled, looks_like_regex

_TAG = re.compile(r"<([A-Za-z][\w-]{0,30})>")
_WORD = re.compile(r"[a-z_]+")
_FILE = re.compile(r"^[\w./-]{1,60}\.(?:json|txt|xml|csv|py|log|md|yaml|toml|ini|out|sh)$")
_REGEX_CALLS = frozenset(["compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "split"])
_RUNS_CODE = frozenset(
    [
        "exec",
        "eval",
        "compile",
        "Popen",
        "check_output",
        "check_call",
        "run_module",
        "run_path",
        "system",
        "run_cases",
        "run_many",
    ]
)
_MOST = 60


@dataclass(frozen=True, slots=True)
class Mined:
    """Pieces of the source, each list in order of first appearance and without repeats.

    wanted: fields with what they are compared with. compared: texts that something is compared with. tops: whole
    numbers that may be the top of a scale, the greatest first. vocabulary: words of all texts, in small letters.
    """

    regexes: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    wanted: tuple[tuple[str, str | float | bool], ...] = ()
    compared: tuple[str, ...] = ()
    tops: tuple[int, ...] = ()
    vocabulary: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    runs_code: bool = False
    reads_json: bool = False
    judges: bool = False
    shell: bool = False
    timeout: float = 0.0
    known: bool = False

    def speaks_of(self, word: str) -> bool:
        """Whether the source has the word in a text or pattern; yes where there is no source to ask."""
        low = word.lower()  # a class such as [Ss]core leaves its first letter out
        return not self.known or low in self.vocabulary or low[1:] in self.vocabulary


def mine(source: str) -> Mined:
    """Everything that the source shows; an empty record where there is none to read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Mined()
    walk = _Walk()
    walk.visit(tree)
    texts = _short(walk.strings)
    regexes = [r for r in walk.regexes if compiled(r)] + [t for t in texts if looks_like_regex(t) and compiled(t)]
    tags = [t for text in [*regexes, *walk.strings] for t in _TAG.findall(text.replace("\\", ""))]
    plain = [t for t in texts if t not in regexes and not looks_like_regex(t)]
    low = source.lower()
    return Mined(
        regexes=_unique(regexes),
        strings=_unique(plain),
        tags=_unique(tags),
        keys=_unique(walk.keys),
        numbers=_unique(walk.numbers),
        names=_unique(walk.names),
        functions=_unique(walk.functions),
        wanted=_unique(walk.wanted),
        compared=_unique(t for t in walk.compared if 0 < len(t) <= 40),
        tops=tuple(sorted({int(n) for n in walk.numbers if 1 < n <= 1000 and n == int(n)}, reverse=True)),
        modules=frozenset(walk.roots),
        vocabulary=frozenset(w for text in walk.strings for w in _WORD.findall(text.lower())),
        files=_unique(t for t in [*walk.paths, *texts] if _FILE.match(t)),
        runs_code=bool(walk.calls & _RUNS_CODE) or "subprocess" in source or "pytest" in source,
        reads_json="json" in walk.roots or "yaml" in walk.roots or "literal_eval" in walk.calls,
        judges="judge" in low or "rubric" in low or "verdict" in low or "openai" in low or "llm" in low,
        shell="shell=True" in source or any(t in ("bash", "sh", "/bin/sh", "/bin/bash") for t in walk.strings),
        timeout=max((t for t in walk.timeouts if t < 20), default=0.0),
        known=bool(source.strip()),
    )


def _short(strings: Iterable[str]) -> list[str]:
    return [s for s in strings if 0 < len(s) <= 400 and s.strip()]


def _unique(values: Iterable) -> tuple:
    return tuple(dict.fromkeys(values))[:_MOST]


def _joined(node: ast.expr) -> Iterator[str]:
    """The constant texts of a chain of divisions, from the left."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        yield from _joined(node.left)
        yield from _joined(node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _constants(node: ast.expr) -> list[Any]:
    """The constants of an operand: itself, or the members of a tuple, list or set."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    found = [p.value for p in parts if isinstance(p, ast.Constant)]
    return [v for v in found if isinstance(v, str | int | float)]


def _field(node: ast.expr) -> str:
    """The field that an operand reads: `doc["status"]`, `doc.get("status")`, either of them `.lower()`; else ""."""
    if isinstance(node, ast.Subscript):
        return node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else ""
    if not isinstance(node, ast.Call):
        return ""
    first = node.args[0] if node.args else None
    if isinstance(first, ast.Constant):
        return first.value if isinstance(first.value, str) else ""
    inner = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else first
    return _field(inner) if inner is not None else ""


class _Walk(ast.NodeVisitor):
    """One pass over the tree."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.paths: list[str] = []
        self.regexes: list[str] = []
        self.keys: list[str] = []
        self.numbers: list[float] = []
        self.names: list[str] = []
        self.functions: list[str] = []
        self.wanted: list[tuple[str, str | float | bool]] = []
        self.compared: list[str] = []
        self.calls: set[str] = set()
        self.roots: set[str] = set()
        self.timeouts: list[float] = []

    def visit(self, node: ast.AST) -> None:
        """A chain of hundreds of `elif` or `+` is read as far down as Python goes, and all that is beside it."""
        with suppress(RecursionError):
            super().visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring tells a reader, not the grader
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings.append(node.value)
        elif isinstance(node.value, bytes):
            self.strings.append(node.value.decode("utf-8", "ignore"))
        elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
            self.numbers.append(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """`folder / "tests" / "expected.json"` names a path within the folder."""
        if isinstance(node.op, ast.Div):
            parts = list(_joined(node))
            if len(parts) > 1:
                self.paths.append("/".join(parts))
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = [v.value if isinstance(v, ast.Constant) else "1" for v in node.values]
        self.strings.append("".join(str(p) for p in parts))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            self.keys.append(node.slice.value)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left.value if isinstance(node.left, ast.Constant) else None
        if isinstance(node.ops[0], ast.In | ast.NotIn) and isinstance(left, str) and left.isidentifier():
            self.keys.append(left)
        for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
            for value in _constants(other):
                self._compared(_field(one), value)
        self.generic_visit(node)

    def _compared(self, field: str, value: str | float | bool) -> None:
        if field:
            self.wanted.append((field, value))
        if isinstance(value, str):
            self.compared.append(value)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        root = node.func.value if isinstance(node.func, ast.Attribute) else None
        if not (isinstance(root, ast.Name) and root.id in ("re", "regex")):  # re.compile runs no code
            self.calls.add(name)
        if isinstance(root, ast.Name):
            self.roots.add(root.id)
        self._timeout(name, node)
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        if isinstance(root, ast.Name) and root.id in ("re", "regex") and name in _REGEX_CALLS and text:
            self.regexes.append(text)
        if name in ("get", "pop", "getattr", "hasattr", "find", "getenv", "setdefault", "findtext") and text:
            self.keys.append(text)
        self.generic_visit(node)

    def _timeout(self, name: str, node: ast.Call) -> None:
        """How long the grader itself waits: `timeout=3`, `signal.alarm(3)`."""
        given = [k.value for k in node.keywords if k.arg in ("timeout", "timeout_s", "seconds")]
        given += node.args[-1:] if name in ("alarm", "setitimer") else []
        found = [g.value for g in given if isinstance(g, ast.Constant)]
        self.timeouts += [float(v) for v in found if isinstance(v, int | float)]

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.names.append(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        self.names.append(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.functions.append(node.name)
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]


# The data


def json_keys(text: str) -> list[str]:
    """Keys of the JSON objects that stand in a prompt."""
    found: list[str] = []
    for start in (m.start() for m in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found += [k for k in value if k not in found]
    return found


def tags_of(text: str) -> list[str]:
    return list(dict.fromkeys(_TAG.findall(text)))


def function_names(text: str) -> list[str]:
    """Names of functions that a prompt asks for: `def f(`, "function called f", "f(2)"."""
    found = re.findall(r"def\s+(\w+)\s*\(", text)
    found += re.findall(r"(?:function|method)(?: (?:named|called))? [`'\"]?([A-Za-z_]\w*)[`'\"]?", text)
    found += re.findall(r"[`'\" ]([A-Za-z_]\w*)\([^)\n]{0,60}\)", text)
    noise = {
        "print",
        "assert",
        "len",
        "range",
        "that",
        "which",
        "to",
        "for",
        "in",
        "int",
        "str",
        "list",
        "called",
        "named",
    }
    return [n for n in dict.fromkeys(found) if n not in noise]


def numbers_in(text: str) -> Iterator[str]:
    yield from dict.fromkeys(re.findall(r"-?\d+(?:\.\d+)?", text))
