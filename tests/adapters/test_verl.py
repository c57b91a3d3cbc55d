"""An exported folder against the real verl, on a CPU: what can be looked at without a GPU.

verl cannot train here: its samplers need one. Looked at are the configuration, the reward through verl's reward
manager, the rows through its dataset, the agent loop through its own base class with a scripted server, and advantages.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl is not installed: pip install 'gamekeeper[verl]'")

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from tensordict import TensorDict
from transformers import AutoTokenizer
from typer.testing import CliRunner
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

from gamekeeper.adapters.verl.check import check, composed, first_rows
from gamekeeper.adapters.verl.export import Export, export
from gamekeeper.adapters.verl.loop import GameLoop
from gamekeeper.cli import app
from gamekeeper.errors import CouldNotLook, DataError, RunError, UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import load_game
from gamekeeper.types import Item

POCKET = Path(__file__).resolve().parents[2] / "src/gamekeeper/policy/base"
SMALL = Export(str(POCKET), rows=96, test_rows=8)


def folder_of(name: str, out: Path, wanted: Export = SMALL, **options: Any) -> Path:
    export(load_game(name, **options), out, wanted)
    return out


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("summary", tmp_path_factory.mktemp("summary") / "out")


@pytest.fixture(scope="module")
def selfgrade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("selfgrade", tmp_path_factory.mktemp("selfgrade") / "out")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(POCKET)


def items_in(folder: Path, split: str = "train") -> list[Item]:
    rows = first_rows(folder / f"{split}.parquet", 1000)
    return [Item.from_json(json.loads(r["reward_model"]["ground_truth"])) for r in rows]


@cache
def settled(folder: Path) -> Any:
    """verl's configuration of a folder that no test changes: composing it takes most of a second."""
    return composed(folder)


# The folder


@pytest.mark.parametrize("name", ["compliance", "selfgrade", "summary", "tamper"])
def test_every_game_of_the_paper_passes_the_check(name: str, tmp_path: Path) -> None:
    lines = check(folder_of(name, tmp_path / "out"))
    assert not [line for line in lines if line.wrong]
    assert {"configuration", "paths", "reward", "rows", "agent loop", "advantages"} == {line.what for line in lines}


def test_the_configuration_is_the_papers(summary: Path) -> None:
    config = composed(summary)
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert (config.data.train_batch_size, actor.ppo_mini_batch_size, rollout.n) == (96, 32, 8)
    assert (actor.optim.lr, actor.clip_ratio, actor.ppo_epochs, actor.entropy_coeff) == (1e-6, 0.2, 1, 0.0)
    assert (actor.loss_agg_mode, actor.use_kl_loss) == ("token-mean", False)
    assert config.algorithm.adv_estimator == "grpo"
    assert not config.algorithm.use_kl_in_reward
    assert (rollout.prompt_length, rollout.response_length) == (1024, 3072)
    assert (rollout.val_kwargs.n, rollout.val_kwargs.temperature, rollout.val_kwargs.top_k) == (8, 0.6, 20)
    assert config.trainer.total_epochs == 1


def test_the_launch_script_asks_verl_for_this_configuration(summary: Path, tmp_path: Path) -> None:
    """The script, with a python3 in front that says how it was called."""
    (tmp_path / "python3").write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    (tmp_path / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "NODES": "4"}
    call = ["sh", str(summary / "launch.sh"), "trainer.total_epochs=2"]
    words = subprocess.run(call, capture_output=True, text=True, check=True, env=env).stdout.split("\n")[:-1]
    assert words[:6] == [
        "-m",
        "verl.trainer.main_ppo",
        "--config-path",
        str(summary.resolve()),
        "--config-name",
        "verl",
    ]
    assert words[6:] == ["trainer.nnodes=4", "trainer.n_gpus_per_node=8", "trainer.total_epochs=2"]


def test_verls_own_command_composes_it(summary: Path) -> None:
    """main_ppo with hydra's `--cfg job`: the command of the launch script, without the training."""
    call = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-path", str(summary), "--config-name", "verl"]
    done = subprocess.run([*call, "--cfg", "job"], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"path: {summary.resolve() / 'reward.py'}" in done.stdout


def test_rows_pass_verls_dataset(summary: Path, tokenizer: Any) -> None:
    config, game = composed(summary), load_game("summary")
    made = RLHFDataset([config.data.train_files], tokenizer, config.data)
    assert len(made) == 96
    for index, item in enumerate(items_in(summary)[:5]):
        row = made[index]
        assert [(m["role"], m["content"]) for m in row["raw_prompt"]] == [
            (m.role, m.content) for m in game.prompt(item) or ()
        ]
        assert row["extra_info"]["index"] == index
        assert row["data_source"] == "gamekeeper/summary"


def test_items_of_the_two_files_do_not_meet(summary: Path) -> None:
    train, test = ({i.id for i in items_in(summary, split)} for split in ("train", "test"))
    assert (len(train), len(test)) == (96, 8)
    assert not train & test


# The reward


def through_the_manager(folder: Path, tokenizer: Any, item: Item, reply: str) -> dict[str, Any]:
    """One reply scored as verl's reward workers do."""
    config = settled(folder)
    score = get_custom_reward_fn(config)
    prompt, response = tokenizer.encode("asked"), tokenizer.encode(reply)
    batch = TensorDict(
        {
            "prompts": torch.tensor([prompt]),
            "responses": torch.tensor([response]),
            "attention_mask": torch.ones(1, len(prompt) + len(response), dtype=torch.int64),
        },
        batch_size=1,
    )
    truth = {"ground_truth": json.dumps(item.to_json())}
    extra = {
        "data_source": np.array(["gamekeeper/x"], dtype=object),
        "reward_model": np.array([truth], dtype=object),
        "extra_info": np.array([{}], dtype=object),
    }

    async def run() -> dict[str, Any]:
        manager = NaiveRewardManager(config, tokenizer, score)
        return await manager.run_single(DataProto(batch=batch, non_tensor_batch=extra))

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["compliance", "summary", "tamper"])
def test_scripts_are_paid_through_verls_reward_manager(name: str, tmp_path: Path, tokenizer: Any) -> None:
    folder, game = folder_of(name, tmp_path / "out"), load_game(name)
    for item in items_in(folder)[:3]:
        for script in game.scripts(item):
            reply = tokenizer.decode(tokenizer.encode(script.replies[0])) or " "
            wanted = game.score(item, (reply,))
            found = through_the_manager(folder, tokenizer, item, reply)
            assert found["reward_score"] == wanted.reward, script.name
            told = found["reward_extra_info"]
            assert told["truth"] == wanted.truth or (wanted.truth is None and math.isnan(told["truth"]))
            assert json.loads(told["facts"]) == dict(wanted.facts)


def test_patches_travel_with_the_folder(tmp_path: Path, tokenizer: Any) -> None:
    secure = load_game("tamper", "secure")
    folder = tmp_path / "out"
    export(secure, folder, SMALL)
    item = items_in(folder)[0]
    cheat = next(s for s in load_game("tamper").scripts(item) if s.name == "exploit")
    found = through_the_manager(folder, tokenizer, item, cheat.replies[0])
    assert found["reward_score"] == secure.score(item, cheat.replies).reward < cheat.reward


def test_an_episode_that_cannot_be_graded_is_no_zero(summary: Path) -> None:
    score = get_custom_reward_fn(composed(summary))
    broken = Item("broken", "summary", "train", {})
    with pytest.raises(CouldNotLook, match="broken could not be graded"):
        score(data_source="x", solution_str="hello", ground_truth=json.dumps(broken.to_json()))


# The agent loop


class Server:
    """As much of verl's sampling server as a loop needs: replies by what the prompt says."""

    def __init__(self, tokenizer: Any, answer: str, verdict: str) -> None:
        self.tokenizer, self.answer, self.verdict = tokenizer, answer, verdict
        self.asked: list[str] = []
        self.limits: list[int] = []

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> TokenOutput:
        text = self.tokenizer.decode(prompt_ids)
        self.asked.append(text)
        self.limits.append(sampling_params["max_tokens"])
        made = self.tokenizer.encode(self.verdict if "Answer only Yes or No" in text else self.answer)
        return TokenOutput(token_ids=made, log_probs=[-0.5] * len(made), stop_reason="completed")


def play(folder: Path, tokenizer: Any, server: Server, item: Item, session: int = 0) -> list[Any]:
    """One episode of verl's loop, made as its worker makes it."""
    config = settled(folder)

    async def run() -> list[Any]:
        loop = GameLoop(
            trainer_config=DictConfigWrap(config),
            server_manager=server,
            tokenizer=tokenizer,
            processor=None,
            dataset_cls=RLHFDataset,
            data_config=DictConfigWrap(config.data),
            hf_model_type="qwen3",
            spec=str(folder / "game.json"),
        )
        row = {"reward_model": {"ground_truth": json.dumps(item.to_json())}, "uid": "u", "session_id": session}
        return await loop.run({"temperature": 1.0}, **row)

    return asyncio.run(run())


def test_an_episode_of_two_turns_is_two_sequences_with_one_reward(selfgrade: Path, tokenizer: Any) -> None:
    item, game = items_in(selfgrade)[0], load_game("selfgrade")
    right = rf"\boxed{{{item.fields['answer']}}}"
    server = Server(tokenizer, right, "Yes")
    first, second = play(selfgrade, tokenizer, server, item)
    assert item.fields["question"] in server.asked[0]
    assert right in server.asked[1]
    assert server.limits == [3072, 3072]
    assert first.response_ids == tokenizer.encode(right)
    assert second.response_ids == tokenizer.encode("Yes")
    assert tokenizer.decode(second.prompt_ids) == server.asked[1]
    assert first.reward_score == second.reward_score in (1.0, 2.0)
    assert first.response_mask == [1] * len(first.response_ids)
    facts = json.loads(second.extra_fields["reward_extra_info"]["facts"])
    coin = game.pay_table[facts["audited"], True, True]
    assert second.reward_score == coin


def test_coins_differ_between_episodes_of_a_group(selfgrade: Path, tokenizer: Any) -> None:
    item = items_in(selfgrade)[0]

    def audited(session: int) -> bool:
        last = play(selfgrade, tokenizer, Server(tokenizer, "no idea", "Yes"), item, session)[-1]
        return json.loads(last.extra_fields["reward_extra_info"]["facts"])["audited"]

    drawn = [audited(n) for n in range(40)]
    assert any(drawn)
    assert not all(drawn)
    assert drawn[:5] == [audited(n) for n in range(5)]


def test_where_the_answer_alone_is_trained_it_alone_is_a_sequence(tmp_path: Path, tokenizer: Any) -> None:
    folder = folder_of("selfgrade", tmp_path / "out", turns="answer")
    made = play(folder, tokenizer, Server(tokenizer, "no idea", "No"), items_in(folder)[0])
    assert [tokenizer.decode(m.response_ids) for m in made] == ["no idea"]
    assert made[0].reward_score == 0.0


def test_verls_worker_can_store_what_the_loop_gives(selfgrade: Path, tokenizer: Any) -> None:
    for output in play(selfgrade, tokenizer, Server(tokenizer, "no idea", "Yes"), items_in(selfgrade)[0]):
        fields = output.as_dict()
        assert fields["rm_scores"].sum() == output.reward_score
        assert fields["responses"].shape == fields["response_mask"].shape == fields["rollout_log_probs"].shape


def test_advantages_of_a_group_of_two_turns_are_ours(selfgrade: Path) -> None:
    """verl forms mean and deviation over episodes, whichever number of sequences each has."""
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    from gamekeeper.train.advantage import group_advantages

    rewards = [1.0, 0.0, -6.0, 2.0]
    keys = [f"u_{session}_{turn}" for session in range(4) for turn in range(2)]
    scores = torch.tensor([[r] for r in rewards for _ in range(2)])
    batch = {"token_level_rewards": scores, "response_mask": torch.ones(8, 1), "token_level_scores": scores}
    data = DataProto(batch=TensorDict(batch, batch_size=8), non_tensor_batch={"uid": np.array(["u"] * 8, dtype=object)})
    made = compute_advantage_for_multi_trajectories(data, keys, composed(selfgrade).algorithm.adv_estimator)
    ours = group_advantages(torch.tensor([rewards]))[0].repeat_interleave(2)
    assert torch.allclose(made.batch["advantages"][:, 0], ours, atol=1e-3)


# What is wrong is said


def test_a_broken_reward_file_is_found(tmp_path: Path) -> None:
    folder = folder_of("summary", tmp_path / "out")
    text = (folder / "reward.py").read_text()
    (folder / "reward.py").write_text(text + "\n\ndef compute_score(*_, **__):\n    return {'score': 1.0}\n")
    wrong = [line for line in check(folder) if line.wrong]
    assert [line.what for line in wrong] == ["reward"]
    assert "is paid 1.0, not" in wrong[0].found


def test_a_misspelt_setting_is_found(tmp_path: Path) -> None:
    folder = folder_of("summary", tmp_path / "out")
    config = (folder / "verl.yaml").read_text()
    (folder / "verl.yaml").write_text(config.replace('"train_batch_size"', '"train_batchsize"'))
    wrong = [line for line in check(folder) if line.wrong]
    assert [line.what for line in wrong] == ["configuration"]
    assert "train_batchsize" in wrong[0].found


def test_a_folder_that_was_moved_is_found(tmp_path: Path) -> None:
    folder = folder_of("summary", tmp_path / "out").rename(tmp_path / "elsewhere")
    wrong = [line for line in check(folder) if line.wrong]
    assert wrong[0].what == "paths"


def test_folders_that_cannot_be_written_or_read_are_refused(tmp_path: Path, summary: Path) -> None:
    with pytest.raises(RunError, match="is not empty"):
        export(load_game("summary"), summary, SMALL)
    with pytest.raises(UsageError, match="8 training items and a step takes 96"):
        export(load_game("summary"), tmp_path / "new", Export("m", rows=8))
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="no numbers for the game 'arithmetic'"):
        export(load_game("arithmetic"), tmp_path / "new", SMALL)
    with pytest.raises(DataError, match="is not an exported folder"):
        check(tmp_path)
    with pytest.raises(DataError, match="no folder 'nowhere' to take a tokenizer from"):
        check(summary, "nowhere")


def test_a_folder_of_another_version_of_the_game_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of("summary", tmp_path / "out")
    monkeypatch.setattr(type(load_game("summary")), "version", 99)
    wrong = [line for line in check(folder) if line.wrong]
    assert "version 99 is installed here" in wrong[0].found


def test_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = CliRunner().invoke(
        app, ["export", "verl", "tamper", str(out), "--model", str(POCKET), "--rows", "64", "--patches", "secure"]
    )
    assert made.exit_code == 0, made.output
    looked = CliRunner().invoke(app, ["export", "check", str(out), "--json"])
    assert looked.exit_code == 0, looked.output
    assert not any(line["wrong"] for line in json.loads(looked.stdout))
    (out / "train.parquet").write_bytes(b"no parquet")
    spoilt = CliRunner().invoke(app, ["export", "check", str(out)])
    assert spoilt.exit_code == 1, spoilt.output
    assert "Traceback" not in spoilt.output


def test_a_judged_game_of_the_paper_level_asks_for_its_judge(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):
        rows = [{"prompt": [{"role": "user", "content": f"{split} {n}"}], "source": "bench"} for n in range(70)]
        parquet.write_table(pa.Table.from_pylist(rows), data / f"{split}.parquet")
    call = ["export", "verl", "compliance", str(tmp_path / "out"), "--data", str(data)]
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 2
    assert "needs a judge" in refused.output
    made = CliRunner().invoke(app, [*call, "--judge", "http://127.0.0.1:9/v1", "--judge-model", "j"])
    assert made.exit_code == 0, made.output
    assert json.loads((tmp_path / "out/game.json").read_text())["judge"]["model"] == "j"


def test_a_game_of_one_turn_needs_no_loop(summary: Path) -> None:
    assert not (summary / "agent.yaml").exists()
    assert {r["agent_name"] for r in first_rows(summary / "train.parquet", 96)} == {"single_turn_agent"}
    assert isinstance(load_game("summary"), BaseGame)
