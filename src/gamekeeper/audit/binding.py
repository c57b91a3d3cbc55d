"""Which argument of a reward function is what: inferred from names, or declared.

A wrong guess would make every verdict worthless: an auditor that binds the arguments wrongly sends empty replies and
reports that all was well. So this module does not decide. It lists the plausible ways to call, best guess first, and
`reach` keeps the first one by which the function pays a right reply more than a wrong one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from gamekeeper.audit.examples import ANSWER_COLUMNS, PROMPT_COLUMNS
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.errors import UnknownName, UsageError

ROLES = ("completion", "prompt", "answer", "row")
_WORDS: Mapping[str, frozenset[str]] = {
    "completion": frozenset(
        [
            "completion",
            "response",
            "reply",
            "output",
            "text",
            "solution_str",
            "prediction",
            "pred",
            "generated",
            "generation",
            "model_output",
            "candidate",
            "submission",
            "student_answer",
            "predict_str",
            "llm_output",
            "model_response",
            "content",
            "hypothesis",
            "result",
            "model_answer",
            "generated_text",
            "answer_text",
            "code",
            "student",
            "response_str",
            "response_text",
            "user_answer",
            "given",
            "actual",
            "completion_text",
            "predicted",
            "attempt",
            "got",
            "said",
            "program",
            "model_reply",
            "raw",
            "message",
        ]
    ),
    "prompt": frozenset(
        ["prompt", "question", "query", "input", "instruction", "problem", "task", "input_text", "instructions", "user"]
    ),
    "answer": frozenset(
        [
            "answer",
            "ground_truth",
            "target",
            "gold",
            "label",
            "reference",
            "expected",
            "solution",
            "correct",
            "correct_answer",
            "truth",
            "gt",
            "ref",
            "reference_answer",
            "gold_answer",
            "expected_answer",
            "right",
            "key",
            "ideal",
            "want",
            "expected_output",
        ]
    ),
    "row": frozenset(
        [
            "item",
            "entry",
            "row",
            "example",
            "doc",
            "sample",
            "record",
            "instance",
            "datum",
            "extra_info",
            "info",
            "metadata",
            "meta",
        ]
    ),
}
_EITHER = frozenset(["answer", "solution"])
_PASSIVE = frozenset(["trainer_state", "log_extra", "log_metric", "tokenizer", "processor", "config"])
_SHAPES = ("text", "list of texts", "list of chats", "chat")


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to call: where each parameter's value comes from, and the shape of the reply."""

    sources: tuple[tuple[str, str], ...]
    shape: str = "text"
    answer_as_text: bool = False
    loose: bool = False
    positional: tuple[str, ...] = ()

    @property
    def batched(self) -> bool:
        return self.shape.startswith("list")

    def __str__(self) -> str:
        said = ", ".join(f"{name}={source}" for name, source in self.sources)
        return f"({said}), reply as {self.shape}{', answer as text' if self.answer_as_text else ''}"


def bindings(function: Callable[..., Any], declared: Mapping[str, str], columns: Sequence[str]) -> list[Binding]:
    """The ways to call, best guess first, at least one. Raises UsageError on a declaration that cannot be."""
    parameters = list(inspect.signature(function).parameters.values())
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    declared = _parameterwise(declared, named, columns)
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters)
    if parameters and not named:
        by_place = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        found = list(_unnamed(by_place, by_name, declared))
    else:
        found = list(_named(named, declared, columns, by_name))
    texts = [replace(b, answer_as_text=True) for b in found if "answer" in dict(b.sources).values() or b.loose]
    return [*found, *texts]


def _named(
    named: Sequence[inspect.Parameter], declared: Mapping[str, str], columns: Sequence[str], loose: bool
) -> Iterator[Binding]:
    turned = {_parameter(k, v, named): v for k, v in declared.items()}
    positional = tuple(p.name for p in named if p.kind is p.POSITIONAL_ONLY)
    for sources in _assignments(named, turned, columns):
        base = Binding(tuple(sources.items()), loose=loose, positional=positional)
        yield from (replace(base, shape=shape) for shape in _shapes(sources, named))


# The first two are what a decorator without `functools.wraps` hides most often.
_ORDERS = (
    ("completion", "answer"),
    ("answer", "completion"),
    ("prompt", "completion", "answer"),
    ("data_source", "completion", "answer", "row"),
    ("completion",),
)


def _unnamed(by_place: bool, by_name: bool, declared: Mapping[str, str]) -> Iterator[Binding]:
    """Ways to call a function that takes anything, so that no parameter's name says what it wants.

    Lists by name come first: what wants one reply knows no `completions`, while a text can pass for a list of letters.
    """
    if declared and not by_name:
        raise UsageError("The target takes *args alone, which have no names to bind. Give it named arguments.")
    if by_name:
        yield from _keyed(declared)
    if by_place and not declared:
        yield from (_placed(_ORDERS[0], shape) for shape in _SHAPES[: 2 if by_name else 3])
        yield from map(_placed, _ORDERS[1:])


def _keyed(declared: Mapping[str, str]) -> Iterator[Binding]:
    """By keywords: those declared alone, else what trainers pass, with every column and without."""
    if "completion" in declared.values():
        yield from (Binding(tuple(declared.items()), shape) for shape in _SHAPES[:3])
    for names, shapes in (("completions", "prompts"), _SHAPES[1:3]), (("completion", "prompt"), _SHAPES[:1]):
        least = {names[0]: "completion", "answer": "answer", **declared}
        for shape in shapes:
            yield Binding(tuple({names[1]: "prompt", **least}.items()), shape, loose=True)
            yield Binding(tuple(least.items()), shape)


def _placed(order: Sequence[str], shape: str = "text") -> Binding:
    names = tuple(f"#{n}" for n in range(1, len(order) + 1))
    return Binding(tuple(zip(names, order, strict=True)), shape, positional=names)


def _parameterwise(
    declared: Mapping[str, str], named: Sequence[inspect.Parameter], columns: Sequence[str]
) -> dict[str, str]:
    """Declarations as parameter -> source; `completion=response` may be written either way round."""
    names = {p.name for p in named}
    found = {}
    for key, value in declared.items():
        unknown = not names and value not in (*ROLES, *columns)
        turned = key in ROLES and key not in names and (value in names or unknown)
        parameter, source = (value, key) if turned else (key, value)
        found[parameter] = _source(source, columns)
    return found


def _source(name: str, columns: Sequence[str]) -> str:
    if name in (*ROLES, "data_source"):
        return name
    if columns and name not in columns:
        raise UnknownName("column of the examples", name, {*columns, *ROLES}, "Give one to --bind that they have.")
    return f"column {name}"


def _parameter(name: str, source: str, named: Sequence[inspect.Parameter]) -> str:
    known = [p.name for p in named]
    if name not in known:
        raise UnknownName("parameter of the target", name, known, f"Write --bind PARAMETER={source}.")
    return name


def _assignments(
    named: Sequence[inspect.Parameter], declared: Mapping[str, str], columns: Sequence[str]
) -> Iterator[dict[str, str]]:
    first = _guess(named, declared, columns)
    yield first
    loose = [n for n, s in first.items() if s in ("completion", "answer", "prompt") and n not in declared]
    for one, other in combinations(loose, 2):
        if role_of(one) != first[one] or role_of(other) != first[other]:  # a name that says what it is stays that
            yield {**first, one: first[other], other: first[one]}


def _guess(named: Sequence[inspect.Parameter], declared: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    sources = dict(declared)
    replies = sum(role_of(p.name) == "completion" for p in named)
    for p in named:
        if p.name in sources:
            continue
        role = role_of(p.name)
        if p.name in columns and _is_column(p.name, role, columns, replies):
            sources[p.name] = f"column {p.name}"
        elif role is not None:
            sources[p.name] = role
        elif p.name in columns:
            sources[p.name] = f"column {p.name}"
        elif p.name.rstrip("s") in columns:
            sources[p.name] = f"column {p.name.rstrip('s')}"
        elif p.name in _PASSIVE or p.name == "data_source" or p.name == "completion_ids":
            sources[p.name] = p.name
    if "completion" not in sources.values():
        _find_completion(named, sources, declared)
    free = [p for p in named if p.name not in sources and p.default is p.empty]
    for p, role in zip(free, [r for r in ("answer", "prompt") if r not in sources.values()], strict=False):
        sources[p.name] = role
    for p in free:
        sources.setdefault(p.name, "nothing")
    return {p.name: sources[p.name] for p in named if p.name in sources}


def _is_column(name: str, role: str | None, columns: Sequence[str], replies: int) -> bool:
    """Whether a parameter that has a role's name and a column's name is that column.

    The column that is the example's prompt or answer is that role. Of several names for the reply, a column is none.
    """
    known = {"prompt": PROMPT_COLUMNS, "answer": ANSWER_COLUMNS}
    if role in known:
        return next((n for n in known[role] if n in columns), name) != name
    return role == "row" or (role == "completion" and replies > 1)


def _find_completion(named: Sequence[inspect.Parameter], sources: dict[str, str], declared: Mapping[str, str]) -> None:
    """No name says "completion": of two that say "answer", the first that could be either; else the first unknown."""
    answers = [p.name for p in named if sources.get(p.name) == "answer" and p.name not in declared]
    either = [n for n in answers if n.rstrip("s") in _EITHER or n in _EITHER]
    unknown = [p.name for p in named if p.name not in sources and p.default is p.empty]
    if len(answers) > 1 and either:
        sources[either[0]] = "completion"
    elif unknown:
        sources[unknown[0]] = "completion"
    elif answers:
        sources[answers[0]] = "completion"
    elif named:
        sources[named[0].name] = "completion"
    else:
        raise UsageError("The target takes no named argument, so there is nowhere to put a reply.")


def role_of(name: str) -> str | None:
    """The role that a parameter's name speaks of, if any."""
    low = name.lower()
    for role, words in _WORDS.items():
        if low in words or low.rstrip("s") in words:
            return role
    return None


def _shapes(sources: Mapping[str, str], named: Sequence[inspect.Parameter]) -> list[str]:
    name = next((n for n, s in sources.items() if s == "completion"), "")
    hint = next((str(p.annotation) for p in named if p.name == name), "")
    plural = name.endswith("s") and role_of(name) is not None
    listed = "list" in hint.lower() or "sequence" in hint.lower()
    if "dict" in hint or "Message" in hint:
        order = ("chat", "list of chats") if hint.lower().count("list") < 2 else ("list of chats", "chat")
        return [*order, *(s for s in _SHAPES if s not in order)]
    if plural or listed:
        return ["list of texts", "list of chats", "text", "chat"]
    if "<class 'str'>" in hint or hint == "str":
        return ["text"]
    return ["text", "list of texts", "list of chats", "chat"]


# Values


def arguments(
    binding: Binding, examples: Sequence[Example], turns: Sequence[Turns]
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for one call: of one example, or of several if the binding is batched."""
    values: dict[str, Any] = {}
    for name, source in binding.sources:
        each = [_value(source, e, t, binding) for e, t in zip(examples, turns, strict=True)]
        values[name] = each if binding.batched and source not in _PASSIVE else each[0]
    if binding.loose:
        values = {**_extras(binding, examples, turns), **values}
    return [values.pop(n) for n in binding.positional if n in values], values


def _extras(binding: Binding, examples: Sequence[Example], turns: Sequence[Turns]) -> dict[str, Any]:
    """What a function with **kwargs is given besides: every column, as trainers do."""
    rows = [_row(e, binding) for e in examples]
    shared = {k: [r.get(k) for r in rows] for k in rows[0]}
    if binding.batched:
        shared |= {
            "prompts": [_prompt(e, binding) for e in examples],
            "completion_ids": [list(t[-1].encode("utf-8", "replace")) for t in turns],
        }
        return {k: v for k, v in shared.items() if k != "prompt"}
    return rows[0]


def _value(source: str, example: Example, turns: Turns, binding: Binding) -> Any:
    if source == "completion":
        text = turns[-1] if turns else ""
        return [{"role": "assistant", "content": text}] if "chat" in binding.shape else text
    if source == "prompt":
        return _prompt(example, binding)
    if source == "answer":
        return _answer(example, binding)
    if source == "row":
        return _row(example, binding)
    if source.startswith("column "):
        return example.columns.get(source.removeprefix("column "))
    if source == "data_source":
        return example.columns.get("data_source", "audit")
    if source == "completion_ids":
        return list(turns[-1].encode("utf-8", "replace"))
    if source in ("log_extra", "log_metric"):
        return lambda *_, **__: None
    return example.columns.get(source)


def _prompt(example: Example, binding: Binding) -> Any:
    return example.chat if "chat" in binding.shape else example.prompt


def _answer(example: Example, binding: Binding) -> Any:
    wanted = binding.answer_as_text and not isinstance(example.answer, str)
    return str(example.answer) if wanted else example.answer


def _row(example: Example, binding: Binding) -> dict[str, Any]:
    return {
        "prompt": example.prompt,
        "question": example.prompt,
        **example.columns,
        "answer": _answer(example, binding),
    }
