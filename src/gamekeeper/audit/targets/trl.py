"""TRL's reward functions: `trl:NAME` for its own, `trl:file.py:function` or `trl:module:function` for yours.

They are called as its GRPO trainer calls them: `prompts` and `completions` as chats (then as texts), `completion_ids`,
the columns as lists, `trainer_state`, `log_extra` and `log_metric`. Functions that are made by a factory
(`get_cosine_scaled_reward`) take its arguments by `--param`. Without a tokenizer, a word is a token.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from gamekeeper.audit import truth
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, require, sources
from gamekeeper.audit.targets.native import options_of, rest_of
from gamekeeper.audit.targets.sums import sums
from gamekeeper.errors import UnknownName, UsageError

_RANGE = ("1.0", "2")
_FACTORY = "get_"


def open_grader(spec: Spec) -> TrlReward:
    require("trl", *_RANGE)
    name, options = rest_of(spec), options_of(spec)
    where, colon, attribute = name.rpartition(":")
    function = attribute_of(module_of(where, spec.folder), where, attribute) if colon else _shipped(name)
    if name.rpartition(":")[2].startswith(_FACTORY):
        function = _made(name, function, options)
    elif options:
        raise UsageError(f"{name!r} takes no --param; only functions made by a factory (get_...) do.")
    return TrlReward(function, spec)


def _shipped(name: str) -> Callable[..., Any]:
    import trl.rewards as rewards

    known = [n for n in dir(rewards) if n.endswith(("_reward", "_punishment"))]
    if name not in known:
        raise UnknownName("reward function of TRL", name, known, "Your own: trl:module:function.")
    found: Callable[..., Any] = getattr(rewards, name)
    return found


def _made(name: str, factory: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = factory(**options)
    except TypeError as error:
        raise UsageError(
            f"{name} cannot be made: {error}. Give its arguments by --param: {inspect.signature(factory)}."
        ) from None
    return made


class TrlReward:
    kind = "TRL reward function"
    bindings: Sequence[str] = ("as the trainer calls it, completions as chats", "as the trainer calls it, as texts")

    def __init__(self, function: Callable[..., Any], spec: Spec) -> None:
        self.function, self.spec = function, spec
        self._check_bound()

    def _check_bound(self) -> None:
        """UsageError on a `--bind` of a parameter that the function has not, or to a column that no example has."""
        parameters = inspect.signature(self.function).parameters
        loose = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        columns = self.spec.columns
        for name, source in self.spec.bind.items():
            if name not in parameters and not loose:
                raise UnknownName("parameter of the target", name, parameters, f"Write --bind PARAMETER={source}.")
            if source != "answer" and columns and source not in columns:
                raise UnknownName("column of the examples", source, {*columns, "answer"})

    def examples(self, n: int, seed: int) -> list[Example]:
        """Sums with a column `solution`, which TRL's own functions ask for."""
        return sums(n, seed, lambda gold: {"solution": f"${gold}$"})

    def source(self) -> str:
        return sources(inspect.unwrap(self.function))

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        return self.grade_together([example], [turns], binding)[0]

    def grade_together(self, examples: Sequence[Example], turns: Sequence[Turns], binding: int = 0) -> Any:
        texts, chat = [t[-1] for t in turns], binding == 0
        values = {
            **self._columns(examples),
            "prompts": [e.chat if chat else e.prompt for e in examples],
            "completions": [[{"role": "assistant", "content": t}] if chat else t for t in texts],
            "completion_ids": [[zlib.crc32(w.encode("utf-8", "replace")) for w in t.split()] for t in texts],
            "trainer_state": SimpleNamespace(global_step=0, epoch=0.0, max_steps=1),
            "log_extra": _ignored,
            "log_metric": _ignored,
        }
        return list(self.function(**self._wanted(values)))

    def _columns(self, examples: Sequence[Example]) -> dict[str, list[Any]]:
        names = {n for e in examples for n in e.columns} - {"prompt", "good", "bad"}
        found = {n: [e.columns.get(n) for e in examples] for n in names}
        for parameter in inspect.signature(self.function).parameters:
            source = self.spec.bind.get(parameter)
            if source:
                found[parameter] = [e.answer if source == "answer" else e.columns.get(source) for e in examples]
            elif parameter not in found and parameter in ("solution", "answer", "ground_truth", "target"):
                found[parameter] = [str((truth.golds(e.answer) or [""])[0]) for e in examples]
        return found

    def _wanted(self, values: dict[str, Any]) -> dict[str, Any]:
        parameters = inspect.signature(self.function).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return values
        return {k: v for k, v in values.items() if k in parameters}


def _ignored(*_: Any, **__: Any) -> None:
    return None
