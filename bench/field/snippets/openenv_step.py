"""openenv 0.10.0: drive an environment in this process, without its server.

- `openenv.core.env_server.interfaces.Environment`: reset() and step(action) return an Observation.
- Action and Observation are pydantic models; Observation has done, reward (bool, int, float or None) and metadata.
- The action's text field has no fixed name: take the only str field without a default, or ask for it.
- Not installable beside verifiers 0.4.0 from openenv 0.4.2 on (they pin different versions of mcp).
"""

from typing import Any
from uuid import uuid4

from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State


class Say(Action):
    text: str


class Sum(Environment[Say, Observation, State]):
    """What is 9 * 13? One step."""

    def __init__(self) -> None:
        super().__init__()
        self._state = State(episode_id=str(uuid4()), step_count=0)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        return Observation(done=False, reward=None, metadata={"prompt": "What is 9 * 13?"})

    def step(self, action: Say, timeout_s: float | None = None, **kwargs: Any) -> Observation:
        self._state.step_count += 1
        return Observation(done=True, reward=float(action.text.strip() == "117"))

    @property
    def state(self) -> State:
        return self._state


def pay(environment: Environment, action: Action) -> float:
    environment.reset(seed=0)
    return float(environment.step(action).reward or 0.0)


print([name for name, field in Say.model_fields.items() if field.annotation is str and field.is_required()])
print(pay(Sum(), Say(text="117")), pay(Sum(), Say(text="3")))
