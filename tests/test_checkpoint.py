"""Killing and resuming: a run that was killed at any moment ends as if it had never been."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gamekeeper.config import EvalConfig, GameConfig, RunConfig, TrainConfig
from gamekeeper.errors import RunError
from gamekeeper.studies.record import load_run
from gamekeeper.studies.runner import run
from gamekeeper.train.checkpoint import restore, save_checkpoint, steps_in
from gamekeeper.train.grpo import Trainer, train
from tiny import Vowels, tiny_policy

TRAIN = TrainConfig(
    steps=6,
    items_per_step=4,
    group=4,
    minibatches=2,
    threads=1,
    precision="fp32",
    checkpoint_every=2,
    learning_rate=3e-3,
)


def stepped(steps: int, seed: int = 0) -> Trainer:
    trainer = Trainer(TrainConfig(**{**as_dict(TRAIN), "steps": steps}), tiny_policy())
    list(train(trainer, Vowels(), seed))
    return trainer


def as_dict(config: TrainConfig) -> dict:
    return {name: getattr(config, name) for name in config.__slots__}


def test_a_restored_trainer_goes_on_bit_by_bit(tmp_path: Path) -> None:
    save_checkpoint(stepped(3), tmp_path)
    fresh = Trainer(TRAIN, tiny_policy(seed=9))
    assert restore(fresh, tmp_path) == 3
    list(train(fresh, Vowels(), 0))
    whole = stepped(6)
    for a, b in zip(fresh.policy.model.parameters(), whole.policy.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_only_complete_checkpoints_count(tmp_path: Path) -> None:
    trainer = stepped(1)
    save_checkpoint(trainer, tmp_path)
    (tmp_path / ".partial-5").mkdir()
    (tmp_path / "step-x").mkdir()
    assert steps_in(tmp_path) == [1]
    assert restore(Trainer(TRAIN, tiny_policy()), tmp_path / "nothing") == 0


def test_old_checkpoints_go(tmp_path: Path) -> None:
    trainer = stepped(1)
    for step in (1, 2, 3):
        trainer.step = step
        save_checkpoint(trainer, tmp_path, keep=2)
    assert steps_in(tmp_path) == [2, 3]


def test_a_broken_state_names_the_file(tmp_path: Path) -> None:
    folder = save_checkpoint(stepped(1), tmp_path)
    (folder / "trainer.safetensors").write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"trainer\.safetensors"):
        restore(Trainer(TRAIN, tiny_policy()), tmp_path)


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = stepped(1)
    save_checkpoint(trainer, tmp_path)
    trainer.step = 2

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gamekeeper.train.checkpoint._flush", full)
    with pytest.raises(RunError, match="No space left"):
        save_checkpoint(trainer, tmp_path)
    assert steps_in(tmp_path) == [1]
    assert not list(tmp_path.glob(".partial*"))


# Whole runs, on the toy game through the registry


@pytest.fixture(autouse=True)
def _toy_in_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("gamekeeper.registry").registry.BUILTIN, "vowels", "tiny:Vowels")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    tiny_policy().save(folder)
    return folder


def config(base: Path, **changes: object) -> RunConfig:
    given = {"game": GameConfig("vowels"), "train": TRAIN, "eval": EvalConfig(items=6, samples=2), "model": str(base)}
    return RunConfig(**{**given, **changes})  # type: ignore[arg-type]


def outcome(path: Path) -> tuple[bytes, list, dict]:
    record = load_run(path)
    rollouts = [(r.step, r.phase, r.item_id, tuple(r.replies), r.score.to_json()) for r in record.rollouts()]
    return (path / "metrics.jsonl").read_bytes(), rollouts, record.info["final"]["metrics"]


def test_a_run_leaves_a_readable_record(base: Path, tmp_path: Path) -> None:
    events: list = []
    out = run(config(base), tmp_path / "run", progress=events.append)
    record = load_run(out)
    assert record.status == "finished"
    assert [r.step for r in record.metrics if r.phase == "train"] == [1, 2, 3, 4, 5, 6]
    assert [r.step for r in record.metrics if r.phase == "eval"] == [0, 6]
    assert record.info["config"]["train"]["precision"] == "fp32"
    assert record.info["game"]["arm"] == "flawed"
    assert {e["phase"] for e in events} == {"train", "eval"}
    assert sum(1 for r in record.rollouts() if r.phase == "train") == 6 * 16
    assert (out / "checkpoints" / "step-6" / "model.safetensors").is_file()
    with pytest.raises(RunError, match="already"):
        run(config(base), out)


KILLED = """
import sys, tiny, gamekeeper.registry
gamekeeper.registry.BUILTIN["vowels"] = "tiny:Vowels"
from pathlib import Path
from test_checkpoint import config
from gamekeeper.studies.runner import run
base, out, resume = sys.argv[1:]
print("ready", flush=True)
run(config(Path(base)), Path(out), resume=resume == "resume")
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(base: Path, tmp_path: Path) -> None:
    expected = outcome(run(config(base), tmp_path / "whole"))
    out, kills = tmp_path / "killed", 0
    draw = random.Random(4)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    for _ in range(60):
        mode = "resume" if (out / "run.json").exists() else "start"
        if mode == "start":
            shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-c", KILLED, str(base), str(out), mode]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            patience = draw.uniform(0.05, 0.9) if kills < 6 else 60
            try:
                assert child.wait(patience) == 0
                break
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                kills += 1
    assert kills >= 3
    assert outcome(out) == expected


def test_resuming_with_other_settings_is_refused(base: Path, tmp_path: Path) -> None:
    out = run(config(base), tmp_path / "run")
    other = TrainConfig(**{**as_dict(TRAIN), "learning_rate": 0.5})
    with pytest.raises(RunError, match="learning_rate"):
        run(config(base, train=other), out, resume=True)
    with pytest.raises(RunError, match="seed"):
        run(config(base, seed=4), out, resume=True)
    with pytest.raises(RunError, match="no such directory"):
        run(config(base), tmp_path / "nowhere", resume=True)
    before = outcome(out)
    run(config(base), out, resume=True)  # of a finished run: nothing to do, nothing lost
    assert outcome(out) == before


def test_a_failing_game_is_written_into_the_record(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gamekeeper.errors import CouldNotLook
    from gamekeeper.types import Score

    monkeypatch.setattr(Vowels, "score", lambda self, item, replies: Score.failed("the judge is away"))
    with pytest.raises(CouldNotLook, match="the judge is away"):
        run(config(base), tmp_path / "run")
    record = load_run(tmp_path / "run")
    assert record.status == "failed"
    assert "the judge is away" in record.info["error"]


def test_time_is_measured(base: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    out = run(config(base), tmp_path / "run")
    assert 0 < json.loads((out / "run.json").read_text())["wall_s"] <= time.monotonic() - started + 0.1
