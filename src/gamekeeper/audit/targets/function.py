"""A plain Python function as target: `module:function`, `file.py:function`, or a callable at hand.

Covers one reply a call, TRL's lists in and lists out (texts or chat messages, None for "not applicable"), and verl's
`compute_score`. Which of these it is, `binding` guesses and `reach` finds out.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from gamekeeper.audit.binding import Binding, arguments, bindings
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, sources
from gamekeeper.audit.targets.native import options_of
from gamekeeper.errors import UsageError


def open_grader(spec: Spec) -> FunctionGrader:
    """The grader of a name. Raises UsageError where nothing is to be found under it."""
    where, colon, attribute = spec.name.rpartition(":")
    if not colon or not where or not attribute:
        raise UsageError(
            f"The target {spec.name!r} is not of the form module:function, file.py:function or KIND:NAME. "
            "See: gamekeeper audit --help"
        )
    found = attribute_of(module_of(where, spec.folder), where, attribute)
    if not callable(found):
        raise UsageError(f"{spec.name!r} is a {type(found).__name__}, which cannot be called. Name a function.")
    if inspect.isclass(found):
        return FunctionGrader(_made(found, spec), replace(spec, params={}))
    return FunctionGrader(found, spec)


def _made(kind: type, spec: Spec) -> Callable[..., Any]:
    """The object that is called, with `--param` for the class's arguments."""
    try:
        made = kind(**options_of(spec))
    except TypeError as error:
        raise UsageError(
            f"{spec.name!r} cannot be made: {error}. Give its arguments by --param: {inspect.signature(kind)}."
        ) from None
    if not callable(made):
        raise UsageError(f"Objects of {spec.name!r} cannot be called. Give the class a __call__, or name a function.")
    return cast(Callable[..., Any], made)


def name_of(function: Callable[..., Any]) -> str:
    code = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}:{code}"


class FunctionGrader:
    """Calls the function in one of the ways that its signature allows."""

    def __init__(self, function: Callable[..., Any], spec: Spec) -> None:
        if options := options_of(spec):
            raise UsageError(
                f"{spec.name!r} takes no --param (given: {', '.join(options)}): a function's arguments are bound by "
                "name or by --bind. Leave --param out, or name a class to be made with it."
            )
        self.function, self.spec = function, spec
        self._ways: list[Binding] = bindings(function, spec.bind, spec.columns)

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
        """The function's module, the modules beside it that it uses, and what a decorator without `wraps` hides."""
        function = _plain(self.function)
        parameters = inspect.signature(self.function).parameters.values()
        unnamed = all(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
        hidden = _held(self.function) if unnamed else []
        if not hasattr(function, "__globals__"):  # an object that can be called
            function = type(function).__call__
        return "\n".join(filter(None, map(sources, [function, *hidden])))


def _plain(function: Any) -> Any:
    """The function behind decorators that say whom they wrap, given arguments and a bound object."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__func__", function)


def _held(function: Any) -> list[Any]:
    """The functions that a function closes over or an object holds, and those that these do."""
    found: list[Any] = []
    waiting = [_plain(function)]
    while waiting:
        one = waiting.pop()
        cells = [c.cell_contents for c in getattr(one, "__closure__", None) or () if c != _EMPTY]
        values = [*getattr(one, "__dict__", {}).values(), *cells]
        fresh = [f for f in map(_plain, filter(callable, values)) if inspect.isfunction(f) and f not in found]
        found += fresh
        waiting += fresh
    return found


_EMPTY = types.CellType()
