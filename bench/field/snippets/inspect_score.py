"""inspect_ai 0.3.285: score a reply with a scorer or with a task, without a model.

- A scorer is an async function of (TaskState, Target); its Score's value is "C", "I", "P", "N", a number, or a dict.
- TaskState wants model, sample_id, epoch, input, messages; scorers read state.output.completion, so set `output`.
- A Task carries .dataset (Samples: input, target, choices, metadata) and .scorer, a list.
- `choice()` reads state.choices, which the multiple_choice solver marks: outside a run it has to be marked by hand.
- Model-graded scorers ask a model; "mockllm/model" answers offline if every ModelOutput has its usage set.
"""

import asyncio

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Target, match
from inspect_ai.solver import TaskState

task = Task(dataset=[Sample(input="What is 9 * 13?", target="117")], scorer=match(numeric=True))


def state_of(sample: Sample, reply: str) -> TaskState:
    return TaskState(
        model=ModelName("mockllm/model"),
        sample_id=0,
        epoch=1,
        input=sample.input,
        messages=[ChatMessageUser(content=str(sample.input)), ChatMessageAssistant(content=reply)],
        output=ModelOutput.from_content("mockllm/model", reply),
        metadata=sample.metadata or {},
        completed=True,
    )


for sample in task.dataset:
    for reply in ("The result is 117", "The result is 3"):
        score = asyncio.run(task.scorer[0](state_of(sample, reply), Target(sample.target)))
        print(reply, score.value, score.as_float() if not isinstance(score.value, str) else "")
