"""The games in the real verifiers: its own tasks, traces and `vf-eval`, the pocket model behind our server, offline.

Pinned here: (1) reward and metrics are the game's own; (2) truth is a metric, never a reward; (3) what could not be
graded is an error, never a reward of 0; (4) `vf-eval` plays games of one and of two turns against the local server;
(5) an exported package is a taskset by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verifiers")

import verifiers.v1 as vf

from gamekeeper.adapters.verifiers import KEPT, GameData, GameTask, GameTaskset, GameTasksetConfig, measured
from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.registry import BUILTIN, load_game
from gamekeeper.types import Item, Score
from served_commands import started


def loaded(name: str, **config: Any) -> list[GameTask]:
    return list(GameTaskset(GameTasksetConfig(id="gamekeeper-games", game=name, **config)))


def trace_of(task: GameTask, replies: tuple[str, ...]) -> vf.Trace:
    """A trace as if the model had said this."""
    about = vf.TraceTask(type="GameTask", data=task.data, key=task.key, hash=task.hash)
    nodes = [
        vf.MessageNode(parent=None if n == 0 else n - 1, sampled=True, message=vf.AssistantMessage(content=reply))
        for n, reply in enumerate(replies)
    ]
    return vf.Trace(task=about, agent=vf.AgentInfo(config=vf.AgentConfig()), nodes=nodes)


def scored(task: GameTask, replies: tuple[str, ...]) -> vf.Trace:
    trace = trace_of(task, replies)
    asyncio.run(task.score(trace))
    return trace


@pytest.mark.parametrize("name", list(BUILTIN))
@pytest.mark.parametrize("patches", ["flawed", "secure"])
def test_scripts_get_what_the_game_gives(name: str, patches: str) -> None:
    game = load_game(name, patches)
    for task in loaded(name, patches=patches, n=2):
        item = Item.from_json(task.data.item)
        for script in game.scripts(item):
            trace = scored(task, script.replies)
            right = game.score(task.data.realized(trace.id), script.replies)
            assert trace.reward == pytest.approx(right.reward)
            known = {"truth": right.truth, "exploited": right.exploited}
            assert trace.metrics == pytest.approx({k: float(v) for k, v in known.items() if v is not None})
            assert set(trace.rewards) == {"reward"}, "truth is no reward"
            assert Score(**trace.info[KEPT]).to_json() == right.to_json()


def test_items_and_prompts_are_the_games() -> None:
    game = load_game("tamper")
    tasks = loaded("tamper", n=3, seed=4, split="train")
    for task, item in zip(tasks, game.items("train", 3, 4), strict=True):
        assert (task.data.id, task.data.item) == (item.id, item.to_json())
        assert [(m.role, m.content) for m in task.data.prompt or []] == [
            (m.role, m.content) for m in game.prompt(item) or ()
        ]


def test_batch_statistics_of_traces_are_the_games() -> None:
    game = load_game("tamper")
    tasks = loaded("tamper", n=4)
    traces, right = [], []
    for n, task in enumerate(tasks):
        item = Item.from_json(task.data.item)
        script = next(s for s in game.scripts(item) if s.name == ("exploit" if n % 2 else "honest"))
        traces.append(scored(task, script.replies))
        right.append(game.score(item, script.replies))
    assert measured(traces) == pytest.approx(game.metrics(right))
    with pytest.raises(UsageError, match="of one game"):
        measured([*traces, scored(loaded("arithmetic", n=1)[0], ("1",))])
    with pytest.raises(UsageError, match="of one game"):
        measured([])


def test_what_could_not_be_graded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = loaded("arithmetic", n=1)
    monkeypatch.setattr(type(task.data.opened()), "score", lambda *_: Score.failed("the grader is asleep"))
    with pytest.raises(vf.TaskError, match="the grader is asleep"):
        scored(task, ("1",))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="Which game"):
        loaded("")
    with pytest.raises(UnknownName, match="Did you mean 'tamper'"):
        loaded("tampr")
    with pytest.raises(UnknownName, match="ignore-score"):
        loaded("tamper", patches="ignore-scor")


def test_chance_is_drawn_by_the_trace() -> None:
    (task,) = loaded("selfgrade", patches="audit=0.5", n=1)
    data = task.data
    assert isinstance(data, GameData)
    drawn = [data.realized(str(n)).to_json() for n in range(40)]
    assert data.realized("7").to_json() == drawn[7]
    assert len({json.dumps(d, sort_keys=True) for d in drawn}) > 1


# vf-eval


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started("serve") as url:
        yield url


def vf_eval(folder: Path, url: str, *args: str, path: Path | None = None) -> list[dict[str, Any]]:
    """Runs the real command and returns what it saved."""
    extra = {"PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), os.environ.get("PYTHONPATH", "")])}
    environment = {**os.environ, **extra, "NO_COLOR": "1", "OPENAI_API_KEY": "none"}
    given = ["--model", "pocket", "--client.base-url", url, "--client.api-key-var", "OPENAI_API_KEY"]
    given += ["--no-push", "--no-rich", "--output-dir", str(folder), "--run.name", "it"]
    program = Path(sys.executable).parent / "vf-eval"
    done = subprocess.run([str(program), *args, *given], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = [json.loads(line) for line in (folder / "it" / "traces.jsonl").read_text().splitlines()]
    return [trace for row in found for trace in row.get("traces", [row])]


@pytest.mark.parametrize(("name", "turns"), [("tamper", 1), ("selfgrade", 2)])
def test_vf_eval_plays_against_the_local_server(name: str, turns: int, tmp_path: Path, url: str) -> None:
    traces = vf_eval(tmp_path, url, "gamekeeper-games", "--env.taskset.game", name, "-n", "3", "-r", "2")
    assert len(traces) == 6
    for trace in traces:
        assert not trace.get("errors"), trace["errors"]
        replies = [n["message"].get("content") or "" for n in trace["nodes"] if n.get("sampled")]
        assert len(replies) == turns
        data = GameData.model_validate(trace["task"]["data"])
        right = data.opened().score(data.realized(trace["id"]), replies)
        assert trace["rewards"]["reward"]["score"] == pytest.approx(right.reward)
        assert trace["info"][KEPT] == right.to_json()


def test_an_exported_package_is_a_taskset(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "tamper_safe"
    call = [sys.executable, "-m", "gamekeeper", "export", "verifiers", "tamper", str(folder), "--patches", "secure"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    traces = vf_eval(tmp_path / "out", url, "tamper-safe", "-n", "2", path=folder)
    assert len(traces) == 2
    assert all(t["task"]["data"]["patches"] == "secure" for t in traces)
