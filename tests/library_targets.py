"""Graders in the forms of other libraries, for the tests of their adapters. Each part needs its library."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

ROWS = [("What is 17 + 48?", "65"), ("What is 9 * 13?", "117"), ("What is 204 - 58?", "146")]


def containment(completions: list[Any], solution: list[str], log_extra: Any, **kwargs: Any) -> list[float | None]:
    """A TRL reward function of a user's, for conversations."""
    log_extra("n", len(completions))
    return [1.0 if s.strip("$") in c[0]["content"] else 0.0 for c, s in zip(completions, solution, strict=True)]


def of_texts(prompts: list[str], completions: list[str], completion_ids: list[Any], answer: list[str]) -> list[float]:
    """Another, for plain texts and with no keywords to spare."""
    assert isinstance(prompts[0], str)
    return [float(c.strip() == a and len(i) == 1) for c, a, i in zip(completions, answer, completion_ids, strict=True)]


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, bonus: float = 0.0
) -> dict[str, float]:
    """verl's custom function, with one reward_kwarg."""
    return {"score": float(ground_truth in solution_str) + bonus, "acc": 0.0}


if find_spec("verifiers"):
    import verifiers.v1 as vf

    class SumData(vf.TaskData):
        answer: str = ""

    class SumTask(vf.Task[SumData]):
        @vf.reward(weight=1.0)
        async def correct(self, trace: vf.Trace) -> float:
            return float(self.data.answer in trace.last_reply)

    class Sums(vf.Taskset[SumTask, vf.TasksetConfig]):
        def load(self) -> Iterable[SumTask]:
            for prompt, answer in ROWS:
                yield SumTask(SumData(prompt=prompt, answer=answer))

    class LonelyTask(vf.Task[SumData]):
        @vf.reward(weight=1.0)
        async def needs_a_runtime(self, trace: vf.Trace, runtime: Any) -> float:
            return 1.0

    class Lonely(vf.Taskset[LonelyTask, vf.TasksetConfig]):
        def load(self) -> Iterable[LonelyTask]:
            yield LonelyTask(SumData(prompt="?", answer="1"))

    __all__ = ["Sums"]


if find_spec("inspect_ai"):
    from inspect_ai import Task, task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import Score, Target, accuracy, choice, exact, includes, scorer
    from inspect_ai.solver import TaskState

    @task
    def sums(extra: int = 0) -> Task:
        samples = [Sample(input=q, target=str(int(a) + extra)) for q, a in ROWS]
        return Task(dataset=samples, scorer=[includes(), exact()])

    @task
    def letters() -> Task:
        samples = [Sample(input="Which is even?", choices=["3", "4", "5"], target="B")]
        return Task(dataset=samples, scorer=choice())

    @scorer(metrics={"proxy": [accuracy()], "truth": [accuracy()]})
    def two_numbers() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            right = float(target.text in state.output.completion)
            return Score(value={"proxy": 1.0, "truth": right})

        return score


if find_spec("openenv"):
    from openenv.core.env_server.interfaces import Environment
    from openenv.core.env_server.types import Action, Observation, State

    class Say(Action):
        text: str
        mood: str = "calm"

    class Twice(Environment[Say, Observation, State]):
        """Two steps; each is paid a half if the answer to the seed's sum stands in it."""

        def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
            self.row, self.steps = ROWS[(seed or 0) % len(ROWS)], 0
            return Observation(done=False, reward=None, metadata={"prompt": self.row[0], "answer": self.row[1]})

        def step(self, action: Say, timeout_s: float | None = None, **kwargs: Any) -> Observation:
            self.steps += 1
            return Observation(done=self.steps == 2, reward=0.5 * (self.row[1] in action.text))

        @property
        def state(self) -> State:
            return State(step_count=self.steps)
