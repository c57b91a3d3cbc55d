"""verl's scorers: `verl:NAME` for a module of its `reward_score`, `verl:DATA_SOURCE` for what it scores that by.

A custom function is named as `verl:file.py:function` (or `verl:module:function`); both are called as its reward
manager calls them, `(data_source, solution_str, ground_truth, extra_info)`, with `--param` for `reward_kwargs`.

The scorers need little of verl. They are loaded without the heads of its packages, which would ask for ray, torch and a
rollout engine: `pip install --no-deps verl` and what the scorer itself imports are enough.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, require
from gamekeeper.audit.targets.native import OneByOne, options_of, rest_of
from gamekeeper.audit.targets.sums import sums
from gamekeeper.errors import UnknownName

_RANGE = ("0.7", "0.10")
_PACKAGE = "verl.utils.reward_score"
_ENTRIES = ("compute_score", "compute_score_em", "compute_score_batched", "default_compute_score")
_IN_A_TARGET = ("search_r1", "searchR1")  # their truth is {"target": [texts]}


def open_grader(spec: Spec) -> VerlScore:
    require("verl", *_RANGE)
    name = rest_of(spec)
    where, colon, attribute = name.rpartition(":")
    if colon:
        return VerlScore(attribute_of(module_of(where, spec.folder), where, attribute), "", options_of(spec))
    _bare_heads()
    scorers = sorted(p.stem for p in _folder().iterdir() if not p.stem.startswith("_"))
    package = importlib.import_module(_PACKAGE)
    if name in scorers:
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        return VerlScore(_entry(module), name, options_of(spec))
    if not _is_source(package, name):
        raise UnknownName("scorer or data source of verl", name, scorers, "Your own: verl:file.py:function.")
    return VerlScore(package.default_compute_score, name, options_of(spec))


def _folder() -> Path:
    return Path(_root(), "utils", "reward_score")


def _root() -> Path:
    spec = find_spec("verl") if "verl" not in sys.modules else None
    places = spec.submodule_search_locations if spec is not None else sys.modules["verl"].__path__
    return Path(next(iter(places or ())))


def _bare_heads() -> None:
    if "verl" in sys.modules:
        return
    root = _root()
    for name, folder in (("verl", root), ("verl.utils", root / "utils")):
        head = types.ModuleType(name)
        head.__path__ = [str(folder)]
        sys.modules[name] = head
    metric = types.ModuleType("verl.utils.metric")  # a scorer names a class of it in an annotation
    metric.Metric = object  # type: ignore[attr-defined]
    sys.modules["verl.utils.metric"] = metric


def _is_source(package: Any, name: str) -> bool:
    """Whether verl scores this data source: its own function says so by not refusing it."""
    try:
        package.default_compute_score(name, "", "")
    except NotImplementedError:
        return False
    except Exception:  # noqa: BLE001 - it was taken up, and its scorer stumbled over the empty reply
        return True
    return True


def _entry(module: Any) -> Callable[..., Any]:
    for name in _ENTRIES:
        if hasattr(module, name):
            found: Callable[..., Any] = getattr(module, name)
            return found
    known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
    raise UnknownName(f"function of {module.__name__}", _ENTRIES[0], known)


class VerlScore(OneByOne):
    """A scorer; those of verl's own modules take the reply and the truth alone."""

    kind = "verl scorer"
    bindings = ("compute_score(data_source, solution_str, ground_truth, extra_info)",)

    def __init__(self, function: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
        self.function, self.name, self.options = function, name, options
        self.readable = inspect.unwrap(function)
        parameters = inspect.signature(function).parameters
        self.loose = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self.wanted, self.leading = set(parameters), list(parameters)[:2]

    def examples(self, n: int, seed: int) -> list[Example]:
        """Sums, with their truth in the form that the scorer wants."""
        nested = self.name.startswith(_IN_A_TARGET)
        return sums(
            n, seed, lambda gold: {"data_source": self.name, "ground_truth": {"target": [gold]} if nested else gold}
        )

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        columns = example.columns
        values = {
            "data_source": columns.get("data_source", self.name),
            "solution_str": turns[-1],
            "ground_truth": _truth(example),
            "extra_info": columns.get("extra_info") or {},
        }
        if "solution_strs" in self.wanted:
            return self.function(*([value] for value in values.values()), **self.options)[0]
        if "solution_str" in self.wanted or self.loose:
            named = values if self.loose else {k: v for k, v in values.items() if k in self.wanted}
            return self.function(**named, **self.options)
        return self.function(turns[-1], values["ground_truth"], **self.options)


def _truth(example: Example) -> Any:
    given = example.columns.get("reward_model")
    if isinstance(given, dict) and "ground_truth" in given:
        return given["ground_truth"]
    return example.columns.get("ground_truth", example.answer)
