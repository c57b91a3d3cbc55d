"""OpenEnv: a game as an environment server, and its typed client.

    gamekeeper openenv tamper --port 8001

`reset(split=..., index=...)` chooses an item, as OpenEnv's task API has it; `reset(seed=...)` draws one. An observation
holds the messages to answer; an action is one reply; the last step's observation has the game's reward. Truth,
exploited and the evidence are in the state, where measurement finds them and an agent that sees observations does not.
What the grader could not grade is an error, never a reward of 0.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from typing import Any

from gamekeeper.adapters.library import need
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.games.base import SPLITS, BaseGame
from gamekeeper.seeds import derive, rng
from gamekeeper.types import Item

need("openenv", "The OpenEnv adapter")

from openenv.core.client_types import StepResult  # noqa: E402 - after what says that it is missing
from openenv.core.env_client import EnvClient  # noqa: E402
from openenv.core.env_server import create_app  # noqa: E402
from openenv.core.env_server.interfaces import Environment  # noqa: E402
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State  # noqa: E402
from pydantic import Field  # noqa: E402

GENERATED = 4096
"""How many generated items each split has, of as many as one likes."""


class GameAction(Action):
    """One reply."""

    reply: str


class GameObservation(Observation):
    """The messages to answer; none when the episode is over."""

    messages: list[dict[str, str]] = Field(default_factory=list)
    item_id: str = ""


class GameState(State):
    """Where an episode is, and after its end the whole score: reward, truth, exploited, evidence."""

    game: str = ""
    patches: list[str] = Field(default_factory=list)
    item_id: str | None = None
    replies: list[str] = Field(default_factory=list)
    score: dict[str, Any] | None = None


class GameEnvironment(Environment[GameAction, GameObservation, GameState]):
    """One session. The game is shared by all: it is pure, save for what grades it, which is asked one at a time."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    _one_at_a_time = threading.Lock()

    def __init__(self, game: BaseGame, seed: int = 0) -> None:
        super().__init__()
        self._game, self._seed = game, seed
        self._paper: dict[str, list[Item]] = {}
        self._item: Item | None = None
        self._state = self._fresh(None)

    def _fresh(self, episode_id: str | None) -> GameState:
        known = episode_id or str(uuid.uuid4())
        return GameState(game=self._game.name, patches=sorted(self._game.patches), episode_id=known)

    # The episode

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        split: str = "train",
        index: int | None = None,
        **_: Any,
    ) -> GameObservation:
        """A new episode. The same seed, split and index give the same one, chance events included."""
        chance = secrets.randbits(62) if seed is None else seed
        total = self.num_tasks(split)
        at = derive("openenv", self._game.name, split, chance) % total if index is None else index
        item = self._task(split, at)
        self._item = self._game.realize(item, rng("openenv", self._game.name, item.id, chance))
        self._state = self._fresh(episode_id)
        self._state.item_id = item.id
        return self._observed()

    def step(self, action: GameAction, timeout_s: float | None = None, **_: Any) -> GameObservation:
        if self._item is None:
            raise UsageError("There is no episode yet. Call reset first.")
        if self._state.score is not None:
            raise UsageError("The episode is over. Call reset for the next.")
        self._state.replies = [*self._state.replies, action.reply]
        self._state.step_count += 1
        return self._observed()

    def _observed(self) -> GameObservation:
        assert self._item is not None
        prompt = self._game.prompt(self._item, self._state.replies)
        if prompt is not None:
            asked = [{"role": m.role, "content": m.content} for m in prompt]
            return GameObservation(messages=asked, item_id=self._item.id)
        with self._one_at_a_time:
            score = self._game.score(self._item, self._state.replies)
        self._state.score = score.to_json()
        if score.reward is None:
            raise CouldNotLook(f"The reply could not be graded: {score.unscored}.")
        return GameObservation(item_id=self._item.id, done=True, reward=score.reward)

    @property
    def state(self) -> GameState:
        return self._state

    def get_metadata(self) -> EnvironmentMetadata:
        game = self._game
        return EnvironmentMetadata(name=game.name, description=game.question, version=str(game.version))

    # Which items there are (OpenEnv's task API)

    def list_splits(self) -> list[str]:
        return list(SPLITS)

    def num_tasks(self, split: str) -> int:
        if split not in SPLITS:
            raise UsageError(f"There is no split {split!r}; known: {', '.join(SPLITS)}.")
        return GENERATED if self._game.level == "pocket" else len(self._rows(split))

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        return [self.get_task(split, index) for index in range(self.num_tasks(split))]

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        return {"id": self._task(split, index).id, "index": index}

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        return [self.get_task(split, index) for index in range(self.num_tasks(split))[start:stop]]

    def _task(self, split: str, index: int) -> Item:
        total = self.num_tasks(split)
        if not 0 <= index < total:
            raise IndexError(f"The split {split!r} has items 0 to {total - 1}, not {index}.")
        return (
            self._game.item_at(split, self._seed, index) if self._game.level == "pocket" else self._rows(split)[index]
        )

    def _rows(self, split: str) -> list[Item]:
        if split not in self._paper:
            self._paper[split] = self._game.items(split, -1, 0)
        return self._paper[split]


class GameClient(EnvClient[GameAction, GameObservation, GameState]):
    """The typed client: `with GameClient(base_url=URL).sync() as env: env.reset(split="test", index=0)`."""

    def _step_payload(self, action: GameAction) -> dict[str, Any]:
        return {"reply": action.reply}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[GameObservation]:
        reward, done = payload.get("reward"), bool(payload.get("done", False))
        shown = GameObservation(**{**payload["observation"], "reward": reward, "done": done})
        return StepResult(observation=shown, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> GameState:
        return GameState(**payload)


def application(game: BaseGame, seed: int = 0, sessions: int = 64) -> Any:
    """The FastAPI application of a game: OpenEnv's routes, at most `sessions` episodes at once."""
    return create_app(
        lambda: GameEnvironment(game, seed),
        GameAction,
        GameObservation,
        env_name=game.name,
        max_concurrent_envs=sessions,
        state_cls=GameState,
    )
