"""Inspect's scorers and tasks: `inspect:NAME` for a scorer that it ships, `inspect:module:function` or
`inspect:file.py:function` for a task or scorer of yours; `--param` gives the arguments of the function.

A state is built by hand around the reply, as after the solver: no model, no log. Of a task, the samples are the
examples, and `--param scorer=1` picks another than its first scorer. Scorers that ask a model need one.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, require
from gamekeeper.audit.targets.native import OneByOne, options_of, plain, rest_of
from gamekeeper.audit.targets.sums import sums
from gamekeeper.errors import UnknownName, UsageError

_RANGE = ("0.3.200", "0.4")


def open_grader(spec: Spec) -> InspectScorer:
    require("inspect-ai", *_RANGE)
    from inspect_ai import Task

    name, options = rest_of(spec), options_of(spec)
    chosen = options.pop("scorer", 0) if ":" in name else 0
    where, colon, attribute = name.rpartition(":")
    found = attribute_of(module_of(where, spec.folder), where, attribute) if colon else _shipped(name)
    made = _made(name, found, options)
    if not isinstance(made, Task):
        return InspectScorer(made, found, (), name)
    scorers = made.scorer or []
    if not isinstance(chosen, int) or not 0 <= chosen < len(scorers):
        raise UsageError(f"{name} has {len(scorers)} scorers, so --param scorer={chosen} names none of them.")
    return InspectScorer(scorers[chosen], scorers[chosen], made.dataset, name)


def _shipped(name: str) -> Callable[..., Any]:
    import inspect_ai.scorer as scorers

    known = ("answer", "choice", "exact", "f1", "includes", "match", "math", "pattern")
    if name not in known:
        raise UnknownName("scorer of Inspect", name, known, "Your own: inspect:file.py:task_or_scorer.")
    found: Callable[..., Any] = getattr(scorers, name)
    return found


def _made(name: str, found: Any, options: Mapping[str, Any]) -> Any:
    """A task or a scorer, from itself or from the function that makes it."""
    from inspect_ai import Task

    if isinstance(found, Task) or (inspect.iscoroutinefunction(found) and not options):
        return found
    try:
        return found(**options)
    except TypeError as error:
        raise UsageError(
            f"{name} cannot be made: {error}. Give its arguments by --param: {inspect.signature(found)}."
        ) from None


class InspectScorer(OneByOne):
    """One scorer on hand-built states."""

    kind = "Inspect scorer"
    bindings = ("scorer(state, target)",)

    def __init__(self, scorer: Any, readable: Any, samples: Sequence[Any], name: str) -> None:
        self.scorer, self.samples, self.name = scorer, samples, name
        self.readable = inspect.unwrap(readable)

    def examples(self, n: int, seed: int) -> list[Example]:
        if self.samples or ":" in self.name:
            return [_example(k, self.samples[k]) for k in range(min(n, len(self.samples)))]
        return sums(n, seed, lambda gold: {})

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        from inspect_ai.scorer import Target

        index = example.columns.get("index")
        sample = self.samples[index] if isinstance(index, int) and index < len(self.samples) else None
        target = sample.target if sample is not None else example.columns.get("target", example.answer)
        score = asyncio.run(self.scorer(_state(example, sample, turns[-1]), Target(_texts(target))))
        return None if score is None else _number(score.value)


def _texts(target: Any) -> Any:
    return [str(t) for t in target] if isinstance(target, list | tuple) else str(target)


def _example(index: int, sample: Any) -> Example:
    targets = sample.target if isinstance(sample.target, list) else [sample.target]
    prompt = sample.input if isinstance(sample.input, str) else "\n".join(m.text for m in sample.input)
    if sample.choices:
        letters = (f"{chr(65 + n)}) {text}" for n, text in enumerate(sample.choices))
        prompt = "\n".join((prompt, *letters, "End with a line: ANSWER: LETTER"))
    columns = {"index": index, "target": plain(sample.target), "metadata": plain(sample.metadata or {})}
    return Example(prompt, targets if len(targets) > 1 else targets[0], columns)


def _state(example: Example, sample: Any, reply: str) -> Any:
    """The state that a solver leaves behind: the messages, the output and, for choices, the marks."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelName, ModelOutput
    from inspect_ai.solver import TaskState

    state = TaskState(
        model=ModelName("mockllm/model"),
        sample_id=example.columns.get("index", 0),
        epoch=1,
        input=sample.input if sample is not None else example.prompt,
        messages=[ChatMessageUser(content=example.prompt), ChatMessageAssistant(content=reply)],
        output=ModelOutput.from_content("mockllm/model", reply),
        choices=(sample.choices if sample is not None else example.columns.get("choices")) or [],
        metadata=dict((sample.metadata if sample is not None else example.columns.get("metadata")) or {}),
        completed=True,
    )
    if len(state.choices):
        from inspect_ai.solver._multiple_choice import parse_answers, set_choices_based_on_generated_response

        set_choices_based_on_generated_response(state, parse_answers(state, multiple_correct=False))
    return state


def _number(value: Any) -> float | None:
    """A score's value: letters as Inspect counts them, a dict by its mean."""
    from inspect_ai.scorer import value_to_float

    if isinstance(value, Mapping):
        parts = [_number(v) for v in value.values()]
        known = [p for p in parts if p is not None]
        return sum(known) / len(known) if known else None
    return None if value is None else float(value_to_float()(value))
