"""A verifiers v1 taskset, called as it is scored: `task.score(trace)` with a trace built by hand.

The published example environments are not on the package index; TASKSETS is where a checkout's `module:Class` goes. The
one here is our own, in the form of their single-turn examples (a reward and a metric over the last reply).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import verifiers.v1 as vf

PACKAGES = ("verifiers",)
WORDS = ["stone", "lantern", "ferry", "harvest"]


class WordData(vf.TaskData):
    answer: str = ""


class BackwardsTask(vf.Task[WordData]):
    @vf.reward(weight=1.0)
    async def spelled(self, trace: vf.Trace) -> float:
        return float(trace.last_reply.strip() == self.data.answer)

    @vf.metric
    async def length(self, trace: vf.Trace) -> float:
        return float(len(trace.last_reply))


class Backwards(vf.Taskset[BackwardsTask, vf.TasksetConfig]):
    def load(self) -> Iterable[BackwardsTask]:
        for word in WORDS:
            yield BackwardsTask(WordData(prompt=f"Spell backwards: {word}", answer=word[::-1]))


TASKS = list(Backwards(vf.TasksetConfig()))


def pay(task: Any, reply: str) -> float:
    """The weighted sum of the task's rewards for one reply, without a server, a harness or a model."""
    trace = trace_of(task, reply)
    asyncio.run(task.score(trace))
    return float(trace.reward)


def trace_of(task: Any, reply: str) -> Any:
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, TraceTask

    nodes = [
        MessageNode(message=vf.UserMessage(content=task.data.prompt_text)),
        MessageNode(parent=0, message=vf.AssistantMessage(content=reply), sampled=True),
    ]
    about = TraceTask(type=type(task).__name__, data=task.data)
    return vf.Trace(task=about, agent=AgentInfo.model_construct(config=None), nodes=nodes)


def backwards(completion: str, index: int) -> float:
    return pay(TASKS[index], completion)


def rows(name: str) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Spell backwards: {word}", "answer": word[::-1], "index": n, "wrong_reply": word}
        for n, word in enumerate(WORDS)
    ]
