"""verifiers 0.4.0 (v1): score a reply by `task.score(trace)`, without a server, a harness or a model.

- A Taskset's load() yields Tasks; iterating over the taskset numbers them (task.data.idx). task.data.prompt_text is the
  prompt as text; the gold answer is whatever field the author's TaskData has.
- A Trace is a pydantic model: task=TraceTask(type=, data=), agent=AgentInfo(config=), nodes=[MessageNode...]; each node
  names its parent, and the reply's has sampled=True. AgentInfo.model_construct(config=None) spares a harness config.
- score() fills trace.rewards (name -> weighted Reward) and trace.metrics; trace.reward is their weighted sum.
- Rewards that ask for `runtime` without a default are skipped when there is none (logged at INFO, easily missed: then
  trace.rewards is empty or short, and the target has not been reached). Faults come out as TaskError.
"""

import asyncio
from collections.abc import Iterable

import verifiers.v1 as vf
from verifiers.v1.graph import MessageNode
from verifiers.v1.trace import AgentInfo, TraceTask


class SumData(vf.TaskData):
    answer: str = ""


class SumTask(vf.Task[SumData]):
    @vf.reward(weight=1.0)
    async def correct(self, trace: vf.Trace) -> float:
        return float(trace.last_reply.strip() == self.data.answer)


class Sums(vf.Taskset[SumTask, vf.TasksetConfig]):
    def load(self) -> Iterable[SumTask]:
        yield SumTask(SumData(prompt="What is 9 * 13?", answer="117"))


def scored(task: vf.Task, reply: str) -> vf.Trace:
    nodes = [
        MessageNode(message=vf.UserMessage(content=task.data.prompt_text)),
        MessageNode(parent=0, message=vf.AssistantMessage(content=reply), sampled=True),
    ]
    about = TraceTask(type=type(task).__name__, data=task.data)
    trace = vf.Trace(task=about, agent=AgentInfo.model_construct(config=None), nodes=nodes)
    asyncio.run(task.score(trace))
    return trace


for task in Sums(vf.TasksetConfig()):
    for reply in ("117", "3"):
        trace = scored(task, reply)
        print(reply, trace.reward, {name: reward.value for name, reward in trace.rewards.items()})
