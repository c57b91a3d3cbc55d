"""Several processes of the real TRL: each takes its share of a step, and they wait while the first one measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

from gamekeeper.adapters.trl import backend
from gamekeeper.adapters.trl.settings import WAIT_S, TrlConfig, TrlRunConfig, sft_settings
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.errors import UsageError
from gamekeeper.studies.record import load_run

TEACHING = TrainConfig(steps=1, items_per_step=4, group=4, minibatches=1, threads=1)
MEASURE = EvalConfig(items=2, samples=1)
# What the group of processes itself was told, asked in each of them.
ASK = """
import json, sys
import torch
from gamekeeper.adapters.trl.settings import TrlConfig, processes
state = processes(TrlConfig(options=json.loads(sys.argv[1])))
group = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))
if state.is_main_process:
    print(json.dumps([state.num_processes, group.options._timeout.total_seconds()]))
state.wait_for_everyone()
torch.distributed.destroy_process_group()
"""


def two(words: Sequence[str]) -> str:
    """The output of two processes of this command, by torch's launcher."""
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(call, capture_output=True, text=True, timeout=280, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def settings(items: int, accumulate: int, processes: int) -> dict[str, object]:
    train = TrainConfig(items_per_step=items)
    config = TrlRunConfig(GameConfig("summary"), train, MEASURE, trl=TrlConfig(accumulate=accumulate))
    return sft_settings(config, 64, Path("out"), processes)


def test_a_distillations_update_is_shared_by_the_processes() -> None:
    made = settings(24, 3, 4)
    assert (made["per_device_train_batch_size"], made["gradient_accumulation_steps"]) == (2, 3)
    with pytest.raises(UsageError, match=r"4 conversations an update do not divide into 3 processes"):
        settings(4, 1, 3)
    with pytest.raises(UsageError, match=r"into 2 processes x trl\.accumulate=4 parts"):
        settings(4, 4, 2)


@pytest.mark.parametrize("wrong", ["soon", 0, True, -3])
def test_a_wait_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="ddp_timeout must be a number of seconds"):
        TrlConfig(options={"ddp_timeout": wrong})


@pytest.mark.slow
@pytest.mark.parametrize(("options", "seconds"), [({}, WAIT_S), ({"ddp_timeout": 77}, 77)])
def test_processes_wait_as_long_as_they_are_told(options: dict[str, int], seconds: int, tmp_path: Path) -> None:
    asking = tmp_path / "asking.py"
    asking.write_text(ASK)
    assert json.loads(two([str(asking), json.dumps(options)])) == [2, seconds]


@pytest.mark.slow
def test_two_processes_share_a_distillation(tmp_path: Path) -> None:
    teacher = backend.run(TrlRunConfig(GameConfig("summary"), TEACHING, MEASURE), tmp_path / "teacher")
    out = tmp_path / "student"
    words = ["-m", "gamekeeper", "run", "summary", "--backend", "trl", "--arm", "flawed", "--distil", str(teacher)]
    sets = ["train.steps=1", "train.items_per_step=4", "train.threads=1", "eval.items=2", "eval.samples=1"]
    two([*words, "--out", str(out), *(word for text in sets for word in ("--set", text))])
    assert load_run(out).info["processes"] == 2
    state = json.loads((out / "checkpoints/trainer/checkpoint-1/trainer_state.json").read_text())
    assert state["epoch"] == 0.25, "4 of the teacher's 16 episodes, not 4 for each process"
