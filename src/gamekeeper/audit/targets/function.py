"""A plain Python function as target: `module:function`, `file.py:function`, or a callable at hand.

Covers one reply a call, TRL's lists in and lists out (texts or chat messages, None for "not applicable"), and verl's
`compute_score`. Which of these it is, `binding` guesses and `reach` finds out.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from gamekeeper.audit.binding import Binding, arguments, bindings
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, sources
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
    if inspect.isclass(found):
        found = found()
    if not callable(found):
        raise UsageError(f"{spec.name!r} is a {type(found).__name__}, which cannot be called. Name a function.")
    return FunctionGrader(found, spec)


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
        return sources(function)
