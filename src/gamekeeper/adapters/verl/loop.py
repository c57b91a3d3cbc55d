"""verl's agent loop for games of several turns: the same policy is asked again, with a prompt of its own each time.

Each trained turn becomes one sequence, with the episode's reward on each; verl forms the group's mean and deviation
over episodes, not over sequences. The episode is scored here, so that verl's reward workers have nothing left to do.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from gamekeeper.adapters.verl.scoring import told
from gamekeeper.adapters.verl.spec import read_spec
from gamekeeper.games.base import BaseGame
from gamekeeper.seeds import rng
from gamekeeper.types import Item, to_plain

_OPEN: dict[str, BaseGame] = {}
_LOCK = threading.Lock()


@dataclass(slots=True)
class Turn:
    """One prompt and its reply, in tokens, with the sampler's log-probabilities if it gives them."""

    prompt: list[int]
    reply: list[int]
    logps: list[float] | None
    fields: dict[str, Any]


class GameLoop(AgentLoopBase):
    """One episode. spec: the folder's game.json."""

    def __init__(self, *args: Any, spec: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spec = read_spec(Path(spec))
        self.game = _game(spec)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> list[AgentLoopOutput]:
        """Play one episode of the row's item; one output for each trained turn, in order."""
        item = self.game.realize(Item.from_json(json.loads(kwargs["reward_model"]["ground_truth"])), _chance(kwargs))
        turns: list[Turn] = []
        replies: list[str] = []
        for limit in self.spec.reply_tokens:
            prompt = self.game.prompt(item, replies)
            if prompt is None:
                break
            turn = await self._ask(to_plain(prompt), {**sampling_params, "max_tokens": limit})
            turns.append(turn)
            replies.append(self.tokenizer.decode(turn.reply, skip_special_tokens=True))
        scored = await asyncio.get_running_loop().run_in_executor(None, _score, self.game, item, tuple(replies))
        trained = [t for n, t in enumerate(turns) if self.game.trains(n)]
        return [self._output(turn, scored, len(turns)) for turn in trained]

    async def _ask(self, messages: list[dict[str, str]], sampling: Mapping[str, Any]) -> Turn:
        prompt = await self.ct_build_initial_tokens(messages)
        made = await self.server_manager.generate(
            request_id=uuid4().hex, prompt_ids=prompt, sampling_params=dict(sampling)
        )
        limit = self.rollout_config.response_length
        logps = list(made.log_probs)[:limit] if made.log_probs else None
        return Turn(list(prompt), list(made.token_ids)[:limit], logps, dict(made.extra_fields))

    def _output(self, turn: Turn, scored: Mapping[str, Any], turns: int) -> AgentLoopOutput:
        return AgentLoopOutput(
            prompt_ids=turn.prompt,
            response_ids=turn.reply,
            response_mask=[1] * len(turn.reply),
            response_logprobs=turn.logps,
            reward_score=scored["score"],
            num_turns=2 * turns,
            metrics=AgentLoopMetrics(),
            extra_fields={**turn.fields, "reward_extra_info": dict(scored), "turn_scores": [], "tool_rewards": []},
        )


def _game(spec: str) -> BaseGame:
    """One game a worker: verl makes a loop for every episode."""
    with _LOCK:
        if spec not in _OPEN:
            _OPEN[spec] = read_spec(Path(spec)).open()
        return _OPEN[spec]


def _score(game: BaseGame, item: Item, replies: tuple[str, ...]) -> dict[str, Any]:
    with _LOCK:  # several episodes end at once, and a game may own a sandbox
        return told(item, game.score(item, replies))


def _chance(kwargs: Mapping[str, Any]) -> Any:
    """Chance of its own for every episode: verl's name of the prompt in this step, and the episode's number."""
    return rng("chance", "verl", str(kwargs.get("uid", uuid4().hex)), str(kwargs.get("session_id", uuid4().hex)))
