"""The games in the real OpenEnv: its server, and both of its clients, over real WebSockets on this machine.

Pinned here: (1) an episode has the game's prompts and reward, in one turn or two; (2) truth is in the state and never
in what an agent observes; (3) equal seeds give equal episodes, and sessions do not meet; (4) a wrong call is an error
with words, and the session goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("openenv")

from openenv.core.generic_client import GenericEnvClient

from gamekeeper.adapters.openenv import GENERATED, GameAction, GameClient, GameEnvironment, application
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.registry import BUILTIN, load_game
from gamekeeper.serving.running import running
from gamekeeper.types import Item, Score
from served_commands import started


def chosen(name: str, patches: str = "flawed", index: int = 0) -> Item:
    return load_game(name, patches).item_at("test", 0, index)


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with (
        running(application(load_game("tamper")), ws="auto", lifespan="auto") as tamper,
        running(application(load_game("selfgrade")), ws="auto", lifespan="auto") as selfgrade,
    ):
        yield {"tamper": tamper, "selfgrade": selfgrade}


@pytest.mark.parametrize("name", list(BUILTIN))
@pytest.mark.parametrize("patches", ["flawed", "secure"])
def test_scripts_get_what_the_game_gives(name: str, patches: str) -> None:
    game = load_game(name, patches)
    env = GameEnvironment(game)
    for script in game.scripts(chosen(name, patches)):
        shown = env.reset(seed=1, split="test", index=0)
        item = env._item
        assert item is not None
        for turn, reply in enumerate(script.replies):
            asked = game.prompt(item, script.replies[:turn]) or ()
            assert shown.messages == [{"role": m.role, "content": m.content} for m in asked]
            assert (shown.done, shown.reward) == (False, None)
            shown = env.step(GameAction(reply=reply))
        right = game.score(item, script.replies)
        assert (shown.done, shown.messages) == (True, [])
        assert shown.reward == pytest.approx(right.reward)
        assert env.state.score == right.to_json()
        assert "truth" not in shown.model_dump_json()
        assert right.evidence == "" or json.dumps(right.evidence)[1:-1] not in shown.model_dump_json()


@pytest.mark.parametrize("name", ["tamper", "selfgrade"])
def test_the_typed_client_plays_over_the_wire(addresses: dict[str, str], name: str) -> None:
    game = load_game(name)
    with GameClient(base_url=addresses[name]).sync() as env:
        for script in game.scripts(chosen(name)):
            shown = env.reset(seed=1, split="test", index=0)
            assert shown.observation.item_id == chosen(name).id
            for reply in script.replies:
                assert not shown.done
                shown = env.step(GameAction(reply=reply))
            state = env.state()
            assert shown.done
            assert state.replies == list(script.replies)
            assert state.score is not None
            assert shown.reward == pytest.approx(state.score["reward"])
            assert state.step_count == len(script.replies)


def test_the_generic_client_needs_nothing_of_ours(addresses: dict[str, str]) -> None:
    with GenericEnvClient(base_url=addresses["tamper"]).sync() as env:
        shown = env.reset(split="test", index=3)
        assert "messages" in shown.observation
        ended = env.step({"reply": "<modify_key>score</modify_key><modify_value>1</modify_value>"})
        assert (ended.done, ended.reward) == (True, 1.0)
        assert "truth" not in json.dumps(ended.observation)
        assert env.state()["score"]["truth"] == 0.0


def test_seeds_repeat_and_differ() -> None:
    env = GameEnvironment(load_game("selfgrade", "audit=0.5"))

    def episode(**given: Any) -> tuple[Any, ...]:
        shown = env.reset(**given)
        assert env._item is not None
        return shown.item_id, json.dumps(env._item.to_json(), sort_keys=True)

    assert episode(seed=3) == episode(seed=3)
    assert len({episode(seed=n)[0] for n in range(20)}) > 15
    assert len({episode(seed=n, index=0)[1] for n in range(30)}) > 1, "the audit's coin is drawn by the seed"
    assert episode(seed=3, split="train")[0] != episode(seed=3, split="test")[0]


def test_sessions_do_not_meet(addresses: dict[str, str]) -> None:
    game = load_game("tamper")

    def play(index: int) -> bool:
        item = chosen("tamper", index=index)
        honest = next(s for s in game.scripts(item) if s.name == "honest")
        with GameClient(base_url=addresses["tamper"]).sync() as env:
            shown = env.reset(seed=0, split="test", index=index)
            ended = env.step(GameAction(reply=honest.replies[0]))
            state = env.state()
        return shown.observation.item_id == item.id == state.item_id and ended.reward == honest.reward

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(play, range(16)))


def test_tasks_are_listed() -> None:
    env = GameEnvironment(load_game("tamper"))
    assert env.list_splits() == ["train", "test"]
    assert env.num_tasks("test") == GENERATED
    assert env.get_task("test", 5) == {"id": chosen("tamper", index=5).id, "index": 5}
    assert [t["index"] for t in env.get_task_range("test", 2, 4)] == [2, 3]
    with pytest.raises(IndexError, match="items 0 to"):
        env.get_task("test", GENERATED)
    with pytest.raises(UsageError, match="known: train, test"):
        env.num_tasks("dev")


def test_wrong_calls_are_errors_and_the_session_goes_on(addresses: dict[str, str]) -> None:
    env = GameEnvironment(load_game("tamper"))
    with pytest.raises(UsageError, match="Call reset first"):
        env.step(GameAction(reply="x"))
    env.reset(seed=0)
    env.step(GameAction(reply="x"))
    with pytest.raises(UsageError, match="episode is over"):
        env.step(GameAction(reply="x"))
    with GenericEnvClient(base_url=addresses["tamper"]).sync() as client:
        client.reset(seed=0)
        with pytest.raises(Exception, match=r"(?i)reply|validation"):
            client.step({"nonsense": 1})
        assert client.step({"reply": ""}).done


def test_what_could_not_be_graded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    game = load_game("arithmetic")
    monkeypatch.setattr(type(game), "score", lambda *_: Score.failed("the grader is asleep"))
    env = GameEnvironment(game)
    env.reset(seed=0)
    with pytest.raises(CouldNotLook, match="the grader is asleep"):
        env.step(GameAction(reply="1"))


def test_the_command_serves_a_game() -> None:
    with started("openenv", "tamper") as url, GameClient(base_url=url).sync() as env:
        assert env.reset(split="test", index=0).observation.item_id == chosen("tamper").id
        assert env.step(GameAction(reply="")).done
