"""verifiers' tasksets: `verifiers:MODULE`, `verifiers:file.py`, and `:Class` behind it where there are several.

Each reply becomes a trace that is built by hand and given to `task.score`: no model, server or harness. `--param` sets
fields of the taskset's config. Rewards that need a runtime are skipped by the library without one; where none is left,
there is nothing to look at.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from itertools import islice
from types import ModuleType
from typing import Any

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import module_of, require
from gamekeeper.audit.targets.native import OneByOne, answer_among, options_of, plain, rest_of
from gamekeeper.errors import UnknownName, UsageError

_RANGE = ("0.4", "0.5")


def open_grader(spec: Spec) -> VerifiersTaskset:
    require("verifiers", *_RANGE)
    where, colon, name = rest_of(spec).rpartition(":")
    where, name = (where, name) if colon else (name, "")
    kind = _taskset(module_of(where, spec.folder), where, name)
    try:
        taskset = kind(_config(kind)(**options_of(spec)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The taskset {kind.__name__} cannot be made: {error}. --param sets its config.") from None
    return VerifiersTaskset(list(islice(iter(taskset), spec.count)))


def _taskset(module: ModuleType, where: str, name: str) -> Any:
    from verifiers.v1 import Taskset

    kinds = {
        n: v for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, Taskset) and v is not Taskset
    }
    exported = [n for n in getattr(module, "__all__", ()) if n in kinds]
    own = [n for n, v in kinds.items() if v.__module__ == module.__name__]
    chosen = [name] if name else exported or own
    if len(chosen) != 1 or chosen[0] not in kinds:
        raise UnknownName(f"taskset of {where}", name or "(none named)", kinds, "Write verifiers:MODULE:Class.")
    return kinds[chosen[0]]


def _config(kind: Any) -> Any:
    from verifiers.v1 import TasksetConfig
    from verifiers.v1.utils.generic import concrete_type

    return concrete_type(kind, TasksetConfig) or TasksetConfig


class VerifiersTaskset(OneByOne):
    kind = "verifiers taskset"
    bindings = ("task.score(trace)",)

    def __init__(self, tasks: list[Any]) -> None:
        self.tasks = tasks
        self.readable = _scored_by(type(tasks[0])) if tasks else None

    def examples(self, n: int, seed: int) -> list[Example]:
        return [_example(k, task.data) for k, task in enumerate(self.tasks[:n])]

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        task = self.tasks[example.columns["index"]]
        trace = _trace(task, turns)
        asyncio.run(task.score(trace))
        if not trace.rewards:
            raise RuntimeError("no reward was computed: the taskset has none that works without a runtime")
        return float(trace.reward)


def _scored_by(kind: type) -> Any:
    """A method of the task's own class, by which its module is found and read."""
    own = [v for k in kind.__mro__ for v in vars(k).values() if hasattr(v, "_vf_weight") or inspect.isfunction(v)]
    return own[0] if own else kind


def _example(index: int, data: Any) -> Example:
    fields: Mapping[str, Any] = plain(data.model_dump(mode="json", exclude_defaults=True))
    messages = [{"role": "system", "content": data.system_prompt}] if data.system_prompt else []
    messages.append({"role": "user", "content": data.prompt_text})
    return Example(data.prompt_text, answer_among(fields), {**fields, "index": index}, messages=tuple(messages))


def _trace(task: Any, turns: Turns) -> Any:
    """The trace of an episode with these replies; between them the user says to go on."""
    import verifiers.v1 as vf
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, TraceTask

    nodes: list[Any] = []
    for turn in turns:
        said = vf.UserMessage(content="Go on." if nodes else task.data.prompt_text)
        nodes.append(MessageNode(message=said, parent=len(nodes) - 1 if nodes else None))
        nodes.append(MessageNode(message=vf.AssistantMessage(content=turn), parent=len(nodes) - 1, sampled=True))
    about = TraceTask(type=type(task).__name__, data=task.data)
    return vf.Trace(task=about, agent=AgentInfo.model_construct(config=None), nodes=nodes)
