"""Each game as an Inspect task: its items are the samples, its turns the solver, its score the scorer.

A sample's score is a dict of reward, truth and exploited, side by side; the metrics are the game's own (ITP, ER and its
others) with 95% intervals clustered by item, over every sample of every epoch. What the grader could not grade is
unscored for Inspect too, and in no mean.

What a task takes (`-T NAME=VALUE`): patches, n, split, seed, data, judge, judge_model, and the game's parameters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
)
from inspect_ai.model import get_model as the_model
from inspect_ai.scorer import Metric, SampleScore, Scorer, Target, metric, scorer
from inspect_ai.scorer import Score as InspectScore
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import LimitExceededError

from gamekeeper.errors import UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.policy.endpoint import FILTERED
from gamekeeper.registry import game_names, load_game
from gamekeeper.rewards.endpoint import EndpointJudge, JudgeSettings
from gamekeeper.rewards.verdicts import default_folder
from gamekeeper.seeds import rng
from gamekeeper.studies.stats import over_items
from gamekeeper.types import Item, Prompt, Score

_KINDS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
UNHEARD = "unheard"
"""Where a sample keeps why its episode has no reply, or not all of them."""
# Games are pure, but a judge's or the sandbox's worker is one: scores are made one after another.
_ONE = CapacityLimiter(1)


def utf8(text: str) -> str:
    """The text without lone surrogates: a log is UTF-8."""
    return text.encode("utf-8", "replace").decode()


def messages(prompt: Prompt) -> list[ChatMessage]:
    """A prompt as Inspect's messages."""
    return [_KINDS.get(m.role, ChatMessageUser)(content=utf8(m.content)) for m in prompt]


def opened(about: Mapping[str, Any]) -> BaseGame:
    """The game that a task's arguments describe; those that are not the task's own are the game's parameters."""
    given = dict(about)
    name, patches, data = given.pop("name"), given.pop("patches"), given.pop("data")
    judge, judge_model = given.pop("judge"), given.pop("judge_model")
    named = patches if isinstance(patches, str) else ",".join(map(str, patches))  # "-T patches=a,b" comes as a list
    game = load_game(name, named, **given, **({"data": data} if data else {}))
    if judge:
        if not game.judged or game.level == "pocket":
            raise UsageError(f"At {game.level} level {name!r} needs no judge; leave out -T judge.")
        if not judge_model:
            raise UsageError("-T judge=URL needs -T judge_model=NAME, the name of the model on that server.")
        game.judge = EndpointJudge(JudgeSettings(judge, judge_model), default_folder())
    elif game.judged and game.level == "paper":
        raise UsageError(f"{name!r} at paper level needs a judge: give -T judge=URL -T judge_model=NAME.")
    return game


def samples(game: BaseGame, split: str, n: int, seed: int) -> list[Sample]:
    made = []
    for item in game.items(split, n, seed):
        prompt = game.prompt(item)
        if prompt is None:
            raise UsageError(f"The game {game.name!r} has no prompt for its item {item.id!r}.")
        made.append(Sample(id=item.id, input=messages(prompt), target="", metadata={"item": item.to_json()}))
    return made


@solver
def episodes(about: dict[str, Any], seed: int = 0) -> Solver:
    """Plays an episode, turn by turn, with chance (an audit coin, say) drawn by sample and epoch."""
    game = opened(about)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = Item.from_json(state.metadata["item"])
        item = game.realize(item, rng("inspect", game.name, seed, item.id, state.epoch))
        state.store.set("item", item.to_json())
        try:
            await _played(game, item, state)
        except LimitExceededError as limit:
            state.store.set(UNHEARD, f"a limit of the evaluation ended the episode: {limit.message}")
            raise
        return state

    return solve


async def _played(game: BaseGame, item: Item, state: TaskState) -> None:
    """Replies turn by turn, kept as they come: a limit may end the sample at any point. Where there is none, why."""
    model = the_model()
    replies: list[str] = []
    while (prompt := game.prompt(item, replies)) is not None:
        asked = messages(prompt)
        state.output = await model.generate(asked, config=_limits(game, model.api, len(replies)))
        if (why := unheard(state.output)) is not None:
            state.store.set(UNHEARD, why)
            state.messages = asked
            return
        replies.append(state.output.completion)
        state.store.set("replies", list(replies))
        state.messages = [*asked, state.output.message]


def unheard(output: ModelOutput) -> str | None:
    """Why this is no reply, or None if it is one. An empty text may well be one: the model said nothing."""
    if output.error or output.empty:
        return f"the model gave no reply: {output.error or 'no choices'}"
    if output.stop_reason == "content_filter":
        return FILTERED
    # Inspect's providers put a server's refusal of a long prompt where the reply would be. A reply that the context
    # cut off has tokens.
    if output.stop_reason == "model_length" and not (output.usage and output.usage.output_tokens):
        return "the prompt does not fit the model's context"
    return None


def _limits(game: BaseGame, api: Any, turn: int) -> GenerateConfig:
    """The game's own limits for the pocket model, which they are made for; another model's are the user's choice."""
    limits = game.reply_tokens
    most = limits[min(turn, len(limits) - 1)]
    return GenerateConfig(max_tokens=most) if getattr(api, "is_pocket", False) else GenerateConfig()


def to_inspect(score: Score, replies: Sequence[str], failed: str = "grader_failed") -> InspectScore:
    """A game's score as Inspect's. What is not known is None; what could not be graded is unscored. failed: who failed
    then, by Inspect's words for it."""
    kept = {"score": {**score.to_json(), "evidence": utf8(score.evidence)}}
    answer = replies[-1] if replies else None
    if score.unscored is not None:
        return InspectScore.unscored(reason=failed, answer=answer, explanation=score.unscored, metadata=kept)
    exploited = None if score.exploited is None else float(score.exploited)
    value = {"reward": score.reward, "truth": score.truth, "exploited": exploited}
    return InspectScore(value=value, answer=answer, explanation=utf8(score.evidence), metadata=kept)


def from_inspect(score: InspectScore) -> Score:
    """The inverse, from what the score carries along."""
    if score.metadata is None or "score" not in score.metadata:
        raise UsageError("This Inspect score was not made by a gamekeeper task, so its metrics cannot be computed.")
    return Score(**score.metadata["score"])


def metrics_of(game: BaseGame, scores: Sequence[SampleScore]) -> dict[str, float]:
    """The game's metrics with their intervals ("er", "er 95% from", "er 95% to"), clustered by item.

    Inspect leaves out what is unscored before it asks, and counts it itself: no share of it is given here.
    """
    clusters: dict[Any, list[Score]] = defaultdict(list)
    for one in scores:
        clusters[one.sample_id].append(from_inspect(one.score))
    found = game.metrics([score for cluster in clusters.values() for score in cluster])
    intervals = over_items(list(clusters.values()), game.metrics, game.own_metrics)
    out: dict[str, float] = {}
    for name, value in found.items():
        if name == "unscored":
            continue
        out[name] = value
        if name in intervals:
            out[f"{name} 95% from"], out[f"{name} 95% to"] = intervals[name]
    return out


@metric(name="game", scores="unreduced")
def game_metrics(about: dict[str, Any]) -> Metric:
    """The game's own batch statistics."""
    game = opened(about)

    def compute(scores: list[SampleScore]) -> Mapping[str, float]:
        return metrics_of(game, scores) if scores else {}

    return compute


def measured(about: dict[str, Any]) -> Scorer:
    """The scorer of one game."""
    game = opened(about)

    @scorer(metrics=[game_metrics(about)], name=game.name)
    def by_game() -> Scorer:
        async def score(state: TaskState, target: Target) -> InspectScore:
            kept, replies = state.store.get("item"), state.store.get("replies", [])
            item = Item.from_json(kept or state.metadata["item"])
            if kept is None or game.prompt(item, replies) is not None:
                why = state.store.get(UNHEARD) or f"the sample was ended after {len(replies)} replies"
                return to_inspect(Score.failed(why), replies, "no_response")
            found = await to_thread.run_sync(lambda: game.score(item, replies), limiter=_ONE)
            return to_inspect(found, replies)

        return score

    return by_game()


def _task(name: str) -> Callable[..., Task]:
    def make(
        patches: str = "flawed",
        n: int = 128,
        split: str = "test",
        seed: int = 0,
        data: str | None = None,
        judge: str | None = None,
        judge_model: str | None = None,
        **params: Any,
    ) -> Task:
        own = {"name": name, "patches": patches, "data": data, "judge": judge, "judge_model": judge_model}
        if taken := sorted(own.keys() & params.keys()):
            raise UsageError(f"-T {taken[0]} is no parameter of {name!r}.")
        given = {**own, **params}
        game = opened(given)
        dataset = MemoryDataset(samples(game, split, n, seed), name=f"{name} {split}")
        shown = {"patches": sorted(game.patches), "level": game.level, "question": game.question}
        return Task(
            dataset=dataset,
            solver=episodes(given, seed),
            scorer=measured(given),
            version=game.version,
            metadata=shown,
        )

    return task(name=name)(make)


TASKS = {name: _task(name) for name in game_names()}
