"""A plain Python function as target: `module:function`, `file.py:function`, or a callable at hand.

Covers one reply a call, TRL's lists in and lists out (texts or chat messages, None for "not applicable"), and verl's
`compute_score`. Which of these it is, `binding` guesses and `reach` finds out.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from gamekeeper.audit.binding import Binding, arguments, bindings
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.errors import UnknownName, UsageError

_MOST_SOURCE = 300_000
_MOST_MODULES = 6


def open_grader(spec: Spec) -> FunctionGrader:
    """The grader of a name. Raises UsageError where nothing is to be found under it."""
    where, colon, attribute = spec.name.rpartition(":")
    if not colon or not where or not attribute:
        raise UsageError(
            f"The target {spec.name!r} is not of the form module:function, file.py:function or game:NAME. "
            "See: gamekeeper audit --help"
        )
    module = _from_file(Path(spec.folder, where)) if where.endswith(".py") else _from_path(where)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
            raise UnknownName(f"function of {where}", attribute, known)
        found = getattr(found, part)
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise UsageError(f"{spec.name!r} is a {type(found).__name__}, which cannot be called. Name a function.")
    return FunctionGrader(found, spec)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(
            f"There is no file {str(path)!r}. Give the path of a Python file, then a colon and a function."
        )
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        raise UsageError(f"There is no module {name!r}. Install it, or name a file: path/to/file.py:function") from None


def name_of(function: Callable[..., Any]) -> str:
    code = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}:{code}"


class FunctionGrader:
    """Calls the function in one of the ways that its signature allows."""

    def __init__(self, function: Callable[..., Any], spec: Spec) -> None:
        self.function, self.spec = function, spec
        self._columns = list(spec.params.get("columns", ()))
        self._ways: list[Binding] = bindings(function, spec.bind, self._columns)

    @property
    def kind(self) -> str:
        names = set(self._parameters())
        if {"solution_str", "ground_truth"} <= names:
            return "verl compute_score"
        return "TRL reward function" if "completions" in names else "function"

    def _parameters(self) -> list[str]:
        return list(inspect.signature(self.function).parameters)

    @property
    def bindings(self) -> Sequence[str]:
        return [str(way) for way in self._ways]

    def examples(self, n: int, seed: int) -> list[Example]:
        return []

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        way = self._ways[binding]
        given, named = arguments(way, [example], [turns])
        found = self.function(*given, **named)
        return found[0] if way.batched and isinstance(found, list) and len(found) == 1 else found

    def grade_together(self, examples: Sequence[Example], turns: Sequence[Turns], binding: int = 0) -> Any:
        way = self._ways[binding]
        if not way.batched:
            return [self.grade(e, t, binding) for e, t in zip(examples, turns, strict=True)]
        given, named = arguments(way, examples, turns)
        return list(self.function(*given, **named))

    def source(self) -> str:
        """The function's module, and the modules beside it that it uses."""
        function = inspect.unwrap(self.function)
        while isinstance(function, functools.partial):
            function = function.func
        function = getattr(function, "__func__", function)
        if not hasattr(function, "__globals__"):  # an object that can be called
            function = type(function).__call__
        return _sources(function)


def _sources(function: Any) -> str:
    """What the function reaches in its own module, and the modules beside it whole."""
    texts: list[str] = []
    for module in _modules(function):
        try:
            text = inspect.getsource(module)
        except (OSError, TypeError):
            continue
        texts.append(text if texts else reached(text, getattr(function, "__qualname__", "").partition(".")[0]))
    if not texts:
        try:
            texts.append(inspect.getsource(function))
        except (OSError, TypeError):
            return ""
    return "\n".join(texts)[:_MOST_SOURCE]


def reached(source: str, name: str) -> str:
    """The top-level pieces of a module that a function uses, directly or through others; all of it if unsure."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return source
    pieces: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for defined in _defined(node):
            pieces.setdefault(defined, []).append(node)
    if name not in pieces:
        return source
    waiting, used = [name], {name}
    while waiting:
        for node in pieces[waiting.pop()]:
            fresh = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in pieces} - used
            used |= fresh
            waiting += fresh
    kept = [n for n in tree.body if used & set(_defined(n))]
    return "\n".join(ast.get_source_segment(source, node) or "" for node in kept)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _modules(function: Any) -> list[Any]:
    home = inspect.getmodule(function)
    if home is None:
        return []
    found, folder = [home], Path(getattr(home, "__file__", None) or "/nowhere/x").parent
    for value in getattr(function, "__globals__", {}).values():
        module = value if isinstance(value, ModuleType) else inspect.getmodule(value) if callable(value) else None
        if module is None:
            continue
        near = Path(getattr(module, "__file__", None) or "/").parent == folder
        if near and module not in found and len(found) < _MOST_MODULES:
            found.append(module)
    return found
