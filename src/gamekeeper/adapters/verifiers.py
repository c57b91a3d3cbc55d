"""verifiers (and so prime-rl): each game as a taskset, with a harness that plays its turns in this process.

    vf-eval gamekeeper-games --env.taskset.game tamper --model MODEL --client.base-url URL --no-push

The reward is the game's; truth and exploited are metrics, which training does not see. The whole score is kept in
`trace.info["gamekeeper"]`, so that `measured(traces)` gives the game's batch statistics (ITP, ER) of any saved traces.
What the grader could not grade is an error of the rollout, never a reward of 0.

An item's chance (an audit coin, say) is drawn by the trace's id, alike for its prompts and its score.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

from gamekeeper.adapters.library import need
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.policy.endpoint import FILTERED
from gamekeeper.registry import load_game
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Prompt, Score

need("verifiers", "The verifiers adapter")

import verifiers.v1 as vf  # noqa: E402 - after what says that it is missing
from pydantic import Field  # noqa: E402

KEPT = "gamekeeper"
_KINDS = {"system": vf.SystemMessage, "user": vf.UserMessage, "assistant": vf.AssistantMessage}


def messages(prompt: Prompt) -> list[Any]:
    return [_KINDS[m.role](content=m.content) for m in prompt]


class GameData(vf.TaskData):
    """One item, and which game it is of."""

    game: str
    patches: str = "flawed"
    data: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    item: dict[str, Any] = Field(default_factory=dict)

    def opened(self) -> BaseGame:
        return _opened(self.game, self.patches, self.data, json.dumps(self.params, sort_keys=True))

    def realized(self, trace_id: str) -> Item:
        """The item with the chance of one rollout drawn in."""
        item = Item.from_json(self.item)
        return self.opened().realize(item, rng("verifiers", self.game, item.id, trace_id))


@cache
def _opened(name: str, patches: str, data: str | None, params: str) -> BaseGame:
    return load_game(name, patches, **json.loads(params), **({"data": data} if data else {}))


class GameTask(vf.Task[GameData]):
    """Pays what the game pays."""

    @vf.reward(weight=1.0)
    async def reward(self, trace: vf.Trace) -> float:
        score = self._score(trace)
        if score.reward is None:
            raise CouldNotLook(f"The reply could not be graded: {score.unscored}.")
        return score.reward

    @vf.metric
    async def measured(self, trace: vf.Trace) -> Mapping[str, float]:
        """Truth and exploited, where they are known."""
        score = self._score(trace)
        known = {"truth": score.truth, "exploited": score.exploited}
        return {name: float(value) for name, value in known.items() if value is not None}

    def _score(self, trace: vf.Trace) -> Score:
        """Computed once, then kept with the trace."""
        if KEPT not in trace.info:
            replies = [message.content or "" for message in trace.assistant_messages]
            score = self.data.opened().score(self.data.realized(trace.id), [str(r) for r in replies])
            trace.info[KEPT] = score.to_json()
        return Score(**trace.info[KEPT])


class GameTasksetConfig(vf.TasksetConfig):
    """Which game, with which repairs, and which of its items (`--env.taskset.*`)."""

    game: str = ""
    patches: str = ""
    """flawed, secure, or names of patches: a,b=0.5."""
    params: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    """A file of the paper's data instead of generated items."""
    split: str = "test"
    n: int = 128
    seed: int = 0


class GameTaskset(vf.Taskset[GameTask, GameTasksetConfig]):
    """The items of a game. A subclass may fix the game and its patches."""

    GAME: ClassVar[str] = ""
    PATCHES: ClassVar[str] = "flawed"

    def load(self) -> Iterable[GameTask]:
        config = self.config
        name, patches = config.game or self.GAME, config.patches or self.PATCHES
        if not name:
            raise UsageError("Which game? Give it with --env.taskset.game NAME; see them with: gamekeeper list")
        about = {"game": name, "patches": patches, "data": config.data, "params": config.params}
        game = GameData(**about).opened()
        if game.judged and game.level == "paper":
            raise UsageError(f"{name!r} at paper level needs a judge, which this adapter does not have; see docs.")
        for item in game.items(config.split, config.n, config.seed):
            prompt = game.prompt(item)
            shown = None if prompt is None else messages(prompt)
            yield GameTask(GameData(**about, item=item.to_json(), id=item.id, prompt=shown), config.task)


class GameHarnessConfig(vf.HarnessConfig):
    """Nothing to set."""


class GameHarness(vf.Harness[GameHarnessConfig]):
    """Plays an episode turn by turn: the game makes the prompt of each turn from the replies so far. In this process:
    nothing is launched, installed or downloaded."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        import httpx

        if not isinstance(data, GameData):
            raise UsageError("This harness plays gamekeeper's games alone; choose another with --env.agent.harness.id.")
        game, item = data.opened(), data.realized(trace.id)
        replies: list[str] = []
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(headers=headers, timeout=None, trust_env=False) as client:
            while (prompt := game.prompt(item, replies)) is not None:
                asked = [{"role": m.role, "content": m.content} for m in prompt]
                answer = await client.post(f"{endpoint}/chat/completions", json={"model": ctx.model, "messages": asked})
                if answer.status_code != 200:
                    return vf.ProgramResult(1, "", f"status {answer.status_code}: {answer.text[:500]}")
                choice = answer.json()["choices"][0]
                if choice.get("finish_reason") == "content_filter":
                    return vf.ProgramResult(1, "", FILTERED)
                replies.append(choice["message"]["content"] or "")
        return vf.ProgramResult(0, "", "")


class GameEnvConfig(vf.SingleAgentEnvConfig):
    """One agent on this machine. (The library's own default is a sandbox in a cloud, which no game needs.)"""

    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())


class GameEnv(vf.SingleAgentEnv, vf.Env[GameEnvConfig]):
    """The single-agent environment with that default."""


def measured(traces: Iterable[vf.Trace]) -> dict[str, float]:
    """The game's batch statistics (ITP, ER and its others) of traces of one game, saved ones too.

    Raises UsageError when they are of several games or of none.
    """
    found = [t for t in traces if KEPT in t.info]
    games = {(t.task.data.game, t.task.data.patches, t.task.data.data) for t in found}
    if len(games) != 1:
        raise UsageError(f"The traces must be of one game with the same patches, got {len(games)}.")
    first = GameData.model_validate(found[0].task.data.model_dump())
    return first.opened().metrics([Score(**t.info[KEPT]) for t in found])
