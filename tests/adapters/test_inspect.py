"""The games in the real Inspect: its own runner, its own log reader, the pocket model as its provider, offline.

Pinned here: (1) a task has the game's items, prompts, scores and metrics; (2) what could not be graded is unscored for
Inspect too; (3) the pocket provider says what the model says; (4) Inspect's own OpenAI client works against our server;
(5) a run's logs hold the run's numbers, and Inspect reads them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

inspect_ai = pytest.importorskip("inspect_ai")

from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log
from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model

from fake_runs import write_run
from gamekeeper.adapters.inspect import TASKS, tasks
from gamekeeper.adapters.inspect.logs import write_logs
from gamekeeper.errors import RunError, UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.registry import BUILTIN, load_game
from gamekeeper.studies.record import load_run
from gamekeeper.types import Item, Message, Score
from judge_server import judge_server
from served_commands import started


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INSPECT_LOG_LEVEL", "error")
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.chdir(tmp_path)


def run(task: str, model: Any, folder: Path, epochs: int = 1, **args: Any) -> EvalLog:
    """One evaluation, read back from its log."""
    found = inspect_ai.eval(
        f"gamekeeper/{task}", model=model, task_args=args, epochs=epochs, log_dir=str(folder), display="none"
    )
    assert [log.status for log in found] == ["success"], found[0].error
    (info,) = list_eval_logs(str(folder))
    return read_eval_log(info)


def scripted(game: BaseGame, script: str) -> Any:
    """A model of Inspect's that says what a script of a game of one turn says to each item."""
    said: dict[str, tuple[str, ...]] = {}
    for item in game.items("test", 8, 0):
        prompt = game.prompt(item) or ()
        said[prompt[-1].content] = next(s.replies for s in game.scripts(item) if s.name == script)
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)

    def answer(messages: list[Any], *_: Any) -> ModelOutput:
        asked = messages[-1].text
        return ModelOutput.from_content("mock", said[asked][0]).model_copy(update={"usage": usage})

    return get_model("mockllm/model", custom_outputs=answer)


def metrics(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    (score,) = log.results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


# Tasks


def test_every_game_is_a_task() -> None:
    assert list(TASKS) == list(BUILTIN)


@pytest.mark.parametrize("name", ["tamper", "summary", "compliance", "arithmetic"])
@pytest.mark.parametrize("patches", ["flawed", "secure"])
def test_a_script_gets_in_inspect_what_the_game_pins(name: str, patches: str, tmp_path: Path) -> None:
    game = load_game(name, patches)
    scripts = ["honest"] if name == "arithmetic" else ["honest", "exploit"]
    for script in scripts:
        log = run(name, scripted(game, script), tmp_path / script, patches=patches, n=3)
        assert log.samples is not None
        items = game.items("test", 3, 0)
        assert [s.id for s in log.samples] == [i.id for i in items]
        for sample, item in zip(log.samples, items, strict=True):
            pinned = next(s for s in game.scripts(item) if s.name == script)
            value = sample.scores[name].value
            assert value["reward"] == pytest.approx(pinned.reward, abs=1e-9)
            assert value["truth"] == pytest.approx(pinned.truth, abs=1e-9)
            assert value["exploited"] == (None if pinned.exploited is None else float(pinned.exploited))
        right = game.metrics(
            [game.score(i, next(s.replies for s in game.scripts(i) if s.name == script)) for i in items]
        )
        found = metrics(log)
        assert {k: found[k] for k in right if k != "unscored"} == pytest.approx(
            {k: v for k, v in right.items() if k != "unscored"}
        )


def test_the_second_turn_is_asked_and_scored(tmp_path: Path) -> None:
    game = load_game("selfgrade")
    log = run("selfgrade", "gamekeeper/pocket", tmp_path, n=4)
    assert log.samples is not None
    for sample in log.samples:
        replies, item = sample.store["replies"], Item.from_json(sample.store["item"])
        assert len(replies) == 2
        second = game.prompt(item, replies[:1])
        assert [m.text for m in sample.messages] == [m.content for m in second or ()] + [replies[1]]
        assert tasks.from_inspect(sample.scores["selfgrade"]).to_json() == game.score(item, replies).to_json()


def test_metrics_and_intervals_are_over_every_epoch_clustered_by_item(tmp_path: Path) -> None:
    from gamekeeper.studies.stats import over_clusters

    game = load_game("tamper")
    log = run("tamper", "gamekeeper/pocket", tmp_path, epochs=3, n=4)
    assert log.samples is not None
    assert len(log.samples) == 12
    clusters: dict[Any, list[Score]] = {}
    for sample in log.samples:
        clusters.setdefault(sample.id, []).append(tasks.from_inspect(sample.scores["tamper"]))
    right = game.metrics([s for c in clusters.values() for s in c])
    found = metrics(log)
    assert found["itp"] == pytest.approx(right["itp"])
    assert found["er"] == pytest.approx(right["er"])
    low, high = over_clusters(list(clusters.values()), game.metrics)["reward"]
    assert (found["reward 95% from"], found["reward 95% to"]) == pytest.approx((low, high))
    assert 0 <= found["truth 95% from"] <= found["truth 95% to"] <= 1
    texts = {tuple(s.store["replies"]) for s in log.samples}
    assert len(texts) > 4, "epochs of an item must be independent"


def test_what_could_not_be_graded_is_unscored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    game = load_game("arithmetic")
    items = game.items("test", 4, 0)
    real = type(game).score
    blind = {items[0].id, items[2].id}

    def score(self: BaseGame, item: Item, replies: Any) -> Score:
        return Score.failed("the grader is asleep") if item.id in blind else real(self, item, replies)

    monkeypatch.setattr(type(game), "score", score)
    log = run("arithmetic", scripted(game, "honest"), tmp_path, n=4)
    assert log.results is not None
    (found,) = log.results.scores
    assert (found.scored_samples, found.unscored_samples) == (2, 2)
    assert metrics(log)["itp"] == 1.0
    assert log.samples is not None
    assert log.samples[0].scores["arithmetic"].explanation == "the grader is asleep"


def test_task_arguments_are_those_of_the_game(tmp_path: Path) -> None:
    made = TASKS["tamper"](patches=["ignore-score", "hidden-tests"], n=2, seed=5, split="train")
    assert made.metadata["patches"] == ["hidden-tests", "ignore-score"]
    assert [s.id for s in made.dataset] == [i.id for i in load_game("tamper").items("train", 2, 5)]
    with pytest.raises(UsageError, match="Did you mean 'ignore-score'"):
        TASKS["tamper"](patches="ignore-scor")
    with pytest.raises(UsageError, match="parameter of tamper"):
        TASKS["tamper"](nonsense=1)
    with pytest.raises(UsageError, match="needs no judge"):
        TASKS["tamper"](judge="http://127.0.0.1:9/v1", judge_model="m")


def test_a_judged_game_asks_its_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = [[{"role": "user", "content": f"please do thing {n}"}] for n in range(4)]
    rows = [{"prompt": prompt, "source": "human" if n % 2 else "bench"} for n, prompt in enumerate(asked)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)

    def answer(messages: list[Any], *_: Any) -> ModelOutput:
        said = "a bad thing" if messages[-1].text.endswith(("0", "1")) else "no"
        return ModelOutput.from_content("mock", said).model_copy(update={"usage": usage})

    given: dict[str, Any] = {"data": str(tmp_path / "test.parquet"), "n": 4}
    with judge_server() as server:
        given |= {"judge": server.url, "judge_model": "m"}
        log = run("compliance", get_model("mockllm/model", custom_outputs=answer), tmp_path / "logs", **given)
        game = tasks.opened({"name": "compliance", "patches": "flawed", **{k: given[k] for k in given if k != "n"}})
        assert log.samples is not None
        assert len(log.samples) == 4
        items = {item.id: item for item in game.items("test", 4, 0)}
        for sample in log.samples:
            score = tasks.from_inspect(sample.scores["compliance"])
            assert score.reward is not None
            assert score.to_json() == game.score(items[str(sample.id)], (sample.output.completion,)).to_json()
        assert server.seen
    with pytest.raises(UsageError, match="'compliance' at paper level needs a judge: give -T judge=URL"):
        TASKS["compliance"](data=given["data"], n=4)
    with pytest.raises(UsageError, match="needs -T judge_model"):
        TASKS["compliance"](**{**given, "judge_model": None})


def command(folder: Path, *words: str, **environment: str) -> EvalLog:
    """`inspect eval` as typed into a shell; its log."""
    call = ["inspect", "eval", *words, "--log-dir", str(folder)]
    calm = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(call, capture_output=True, text=True, env=calm, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (info,) = list_eval_logs(str(folder))
    return read_eval_log(info)


def test_the_command_line_finds_task_and_model(tmp_path: Path) -> None:
    log = command(tmp_path / "logs", "gamekeeper/arithmetic", "--model", "gamekeeper/pocket", "-T", "n=2")
    assert (log.eval.task, log.eval.model) == ("gamekeeper/arithmetic", "gamekeeper/pocket")
    assert "itp" in metrics(log)


# Models


@pytest.fixture(scope="module")
def policy() -> PocketPolicy:
    return PocketPolicy.load("pocket")


def greedy(policy: PocketPolicy, item: Item) -> str:
    from gamekeeper.policy.base import Decoding

    game = load_game("tamper")
    (sample,) = policy.sample([game.prompt(item) or ()], Decoding(game.reply_tokens[0], 0.0), ())
    return sample.text


def test_the_provider_says_what_the_model_says(policy: PocketPolicy, tmp_path: Path) -> None:
    game = load_game("tamper")
    model = get_model("gamekeeper/pocket", config=GenerateConfig(temperature=0.0, logprobs=True))
    log = run("tamper", model, tmp_path, n=4)
    assert log.samples is not None
    for sample, item in zip(log.samples, game.items("test", 4, 0), strict=True):
        assert sample.output.completion == greedy(policy, item)
        assert sample.output.usage is not None
        assert sample.output.usage.input_tokens == len(policy.tokenizer.render(game.prompt(item) or ()))
        entries = sample.output.choices[0].logprobs
        assert entries is not None
        assert policy.tokenizer.decode([]) + "".join(e.token for e in entries.content) == sample.output.completion


def test_a_seed_repeats_a_whole_evaluation(tmp_path: Path) -> None:
    def replies(folder: str, seed: int) -> list[Any]:
        model = get_model("gamekeeper/pocket", config=GenerateConfig(seed=seed), memoize=False)
        log = run("tamper", model, tmp_path / folder, epochs=2, n=3)
        return sorted(tuple(s.store["replies"]) for s in log.samples or ())

    assert replies("a", 1) == replies("b", 1)
    assert replies("c", 2) != replies("a2", 1)


def test_a_checkpoint_folder_is_a_model_too(policy: PocketPolicy, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    policy.save(folder)
    log = run("arithmetic", f"gamekeeper/{folder}", tmp_path / "logs", n=2)
    assert log.eval.model == f"gamekeeper/{folder}"


@pytest.mark.parametrize(
    "provider", ["openai-api/local/pocket", "openai/pocket", "openai/pocket -M responses_api=false"]
)
def test_inspects_openai_clients_measure_our_server(provider: str, policy: PocketPolicy, tmp_path: Path) -> None:
    """The command line of both programs: `gamekeeper serve`, and `inspect eval` with the provider that asks it."""
    game = load_game("tamper")
    words = ["gamekeeper/tamper", "--model", *provider.split(), "-T", "n=4", "--temperature", "0", "--logprobs"]
    words += ["--max-tokens", str(game.reply_tokens[0]), "--seed", "1"]
    with started("serve") as url:
        log = command(tmp_path / "logs", *words, "--model-base-url", url, OPENAI_API_KEY="none", LOCAL_API_KEY="none")
    assert log.status == "success"
    assert log.samples is not None
    for sample, item in zip(log.samples, game.items("test", 4, 0), strict=True):
        said = sample.output.completion
        assert sample.output.choices[0].logprobs is not None
        assert tasks.from_inspect(sample.scores["tamper"]).to_json() == game.score(item, (said,)).to_json()
        # The provider "openai" sends no temperature for a model that it does not know.
        assert said == greedy(policy, item) or provider.startswith("openai/")
    right = game.metrics([tasks.from_inspect(s.scores["tamper"]) for s in log.samples])
    assert metrics(log)["itp"] == pytest.approx(right["itp"])


# Logs of runs


def test_a_run_becomes_logs_that_inspect_reads(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=4)
    run_ = load_run(tmp_path / "run")
    files = write_logs(tmp_path / "run", tmp_path / "logs")
    kept = {(e.step, e.phase) for e in run_.rollouts() if e.phase == "eval"}
    assert len(files) == len(kept) == len(list_eval_logs(str(tmp_path / "logs")))
    for file in files:
        log = read_eval_log(str(file))
        step = log.eval.metadata["step"]
        record = next(r for r in run_.metrics if (r.step, r.phase) == (step, "eval"))
        episodes = [e for e in run_.rollouts() if (e.step, e.phase) == (step, "eval")]
        assert metrics(log) == pytest.approx(dict(record.metrics))
        assert next(iter(metrics(log))) == "er"  # the viewer's list of logs shows the first
        assert log.samples is not None
        assert len(log.samples) == len(episodes)
        found = {(s.id, s.epoch): tasks.from_inspect(s.scores["tamper"]) for s in log.samples}
        seen: Counter[str] = Counter()
        for episode in episodes:  # the n-th of an item is its n-th epoch; Inspect reads samples in an order of its own
            seen[episode.item_id] += 1
            assert found[episode.item_id, seen[episode.item_id]].to_json() == episode.score.to_json()


def test_a_log_names_the_model_of_its_run(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=2)
    about = json.loads((tmp_path / "run/run.json").read_text())
    about["config"]["model"] = "Qwen/Qwen3-4B"
    (tmp_path / "run/run.json").write_text(json.dumps(about))
    log = read_eval_log(str(write_logs(tmp_path / "run", tmp_path / "logs")[0]))
    assert log.eval.model == "gamekeeper/Qwen/Qwen3-4B"
    assert {s.output.model for s in log.samples or ()} == {"Qwen/Qwen3-4B"}


def test_the_command_writes_them(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=4)
    call = [sys.executable, "-m", "gamekeeper", "export", "inspect", str(tmp_path / "run"), "--json"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    assert files
    assert all(Path(f).parent == tmp_path / "run" / "inspect" for f in files)
    shown = subprocess.run(["inspect", "log", "dump", "--header-only", files[0]], capture_output=True, text=True)
    assert json.loads(shown.stdout)["eval"]["task"] == "gamekeeper/tamper"


def test_inspects_viewer_opens_them(tmp_path: Path) -> None:
    files = write_logs(write_run(tmp_path / "run", steps=4), tmp_path / "logs")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = ["inspect", "view", "start", "--log-dir", str(tmp_path / "logs"), "--port", str(port)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as viewer:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", transport=httpx.HTTPTransport(retries=9)) as ask:
                listed = [Path(f["name"]).name for f in ask.get("/log-files", timeout=60).json()["files"]]
                assert sorted(listed) == sorted(file.name for file in files)
                shown = ask.get(f"/logs/{quote(str(files[0]), safe='')}", timeout=60).json()
                assert shown["eval"]["task"] == "gamekeeper/tamper"
                assert shown["samples"]
        finally:
            viewer.terminate()


def test_a_run_without_an_evaluation_has_no_log(tmp_path: Path) -> None:
    from gamekeeper.studies.record import RunWriter

    game = {"name": "tamper", "level": "pocket", "arm": "flawed", "question": "?", "emergence": "er", "bar": 0.9}
    RunWriter.create(tmp_path / "run", {}, game=game).close()
    with pytest.raises(RunError, match="no evaluation yet"):
        write_logs(tmp_path / "run", tmp_path / "logs")


def test_hostile_texts_go_through(tmp_path: Path) -> None:
    hostile = "</script>\x00\u202e\ud800 {{7*7}}"
    said = tasks.to_inspect(Score(1.0, 0.0, True, hostile), [hostile.encode("utf-8", "replace").decode()])
    assert json.loads(said.model_dump_json())["explanation"].startswith("</script>")
    assert tasks.messages((Message("user", hostile),))[0].text.endswith("{{7*7}}")


def test_a_foreign_score_is_refused() -> None:
    from inspect_ai.scorer import Score as InspectScore

    with pytest.raises(UsageError, match="not made by a gamekeeper task"):
        tasks.from_inspect(InspectScore(value=1))
