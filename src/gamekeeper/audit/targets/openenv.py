"""OpenEnv environments: `openenv:module:Environment`, `openenv:file.py:Environment`, or `openenv:http://HOST:PORT`.

An episode is one example: `reset(seed=...)` gives the prompt, each reply is one action, and the rewards of the steps
add up. The action's text goes into the field that `--param field=NAME` names, or the only text field without a default.
What the prompt and the answer are called in the observation is found by name. An environment behind an address needs
`--network`; examples with `good` replies are wanted where no observation tells the answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import attribute_of, module_of, require
from gamekeeper.audit.targets.native import OneByOne, answer_among, options_of, plain, rest_of
from gamekeeper.errors import UsageError

_RANGE = ("0.2", "1")
_PROMPTS = ("prompt", "question", "message", "text", "content", "observation", "task", "instruction", "problem")
_FIELDS = ("text", "message", "content", "answer", "response", "action", "code", "completion")
_SCHEMES = ("http://", "https://", "ws://", "wss://")


def open_grader(spec: Spec) -> OpenEnvEpisodes:
    require("openenv", *_RANGE)
    name, options = rest_of(spec), options_of(spec)
    field = str(options.pop("field", ""))
    if name.startswith(_SCHEMES):
        return OpenEnvEpisodes(Remote(name, field or _FIELDS[0]), None, spec)
    where, colon, attribute = name.rpartition(":")
    if not colon:
        raise UsageError(f"The target {spec.name!r} names no environment. Write openenv:module:Class or openenv:URL.")
    made = attribute_of(module_of(where, spec.folder), where, attribute)
    return OpenEnvEpisodes(Local(made, options, field), made, spec)


class Local:
    """An environment in this process; every episode has one of its own."""

    def __init__(self, made: Any, options: Mapping[str, Any], field: str) -> None:
        self.make = lambda: made(**options)
        self.action = _action_of(made)
        self.field = field or _only_text(self.action)

    def play(self, seed: int, turns: Turns) -> list[Mapping[str, Any]]:
        """The observation of the reset, then of each step until one says that it is done."""
        environment = self.make()
        try:
            seen = [_plain(environment.reset(seed=seed))]
            for turn in turns:
                if seen[-1].get("done"):
                    break
                seen.append(_plain(environment.step(self.action(**{self.field: turn}))))
            return seen
        finally:
            getattr(environment, "close", lambda: None)()


class Remote:
    """An environment behind an address, by OpenEnv's own client; every episode has a connection of its own."""

    def __init__(self, address: str, field: str) -> None:
        self.address, self.field = address, field

    def play(self, seed: int, turns: Turns) -> list[Mapping[str, Any]]:
        from openenv.core.generic_client import GenericEnvClient

        with GenericEnvClient(base_url=self.address).sync() as client:
            seen = [_result(client.reset(seed=seed))]
            for turn in turns:
                if seen[-1].get("done"):
                    break
                seen.append(_result(client.step({self.field: turn})))
            return seen


class OpenEnvEpisodes(OneByOne):
    kind = "OpenEnv environment"
    bindings = ("reset(seed), step(action) for each reply",)

    def __init__(self, side: Local | Remote, readable: Any, spec: Spec) -> None:
        self.side, self.first = side, spec.seed
        self.readable = getattr(readable, "step", None)

    def examples(self, n: int, seed: int) -> list[Example]:
        return [_example(seed + k, self.side.play(seed + k, ())[0]) for k in range(n)]

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        seed = example.columns.get("seed", self.first)
        rewards = [o.get("reward") for o in self.side.play(seed, turns)[1:]]
        paid = [float(r) for r in rewards if r is not None]
        return sum(paid) if paid else None


def _example(seed: int, observation: Mapping[str, Any]) -> Example:
    fields = {**observation.get("metadata", {}), **{k: v for k, v in observation.items() if k != "metadata"}}
    prompt = next((str(fields[n]) for n in _PROMPTS if fields.get(n)), "")
    return Example(prompt, answer_among(fields), {**fields, "seed": seed})


def _action_of(made: Any) -> Any:
    """The class of actions, from the annotation of `step` or the environment's type arguments."""
    from openenv.core.env_server.types import Action

    hints = inspect.get_annotations(made.step, eval_str=True)
    given = [a for base in getattr(made, "__orig_bases__", ()) for a in getattr(base, "__args__", ())]
    for kind in (*hints.values(), *given):
        if inspect.isclass(kind) and issubclass(kind, Action) and kind is not Action:
            return kind
    raise UsageError(f"{made.__name__}.step does not say what its actions are. Annotate its `action`.")


def _only_text(action: Any) -> str:
    texts = [n for n, f in action.model_fields.items() if f.annotation is str]
    needed = [n for n in texts if action.model_fields[n].is_required()]
    for names in (needed, texts, _common(texts)):
        if len(names) == 1:
            return names[0]
    raise UsageError(
        f"{action.__name__} has the text fields {', '.join(texts) or 'none'}. Say which one takes the reply: "
        "--param field=NAME"
    )


def _common(names: Iterable[str]) -> list[str]:
    return [n for n in _FIELDS if n in set(names)][:1]


def _plain(observation: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = plain(observation.model_dump())
    return found


def _result(step: Any) -> Mapping[str, Any]:
    return {**plain(step.observation), "reward": step.reward, "done": bool(step.done)}
