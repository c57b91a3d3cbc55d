"""How runs by the real TRL end and go on: a training that is over gets no further update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

import torch
from transformers import AutoModelForCausalLM

from gamekeeper.adapters.trl import backend
from gamekeeper.adapters.trl.distil import distil
from gamekeeper.adapters.trl.settings import TrlConfig, TrlRunConfig
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.errors import RunError
from gamekeeper.studies.record import Run, load_run

MEASURE = EvalConfig(items=2, samples=1)
TEACHING = TrainConfig(steps=1, items_per_step=4, group=4, minibatches=1, threads=1, checkpoint_every=100)
# 16 examples are three updates of 6; the fourth update begins a pass that is not gone through.
STUDYING = TrainConfig(steps=4, items_per_step=6, threads=1, checkpoint_every=1, learning_rate=1e-3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose training has 16 episodes."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    return load_run(backend.run(TrlRunConfig(GameConfig("summary"), TEACHING, MEASURE), out))


def student(teacher: Run, **trl: Any) -> TrlRunConfig:
    return TrlRunConfig(GameConfig("summary"), STUDYING, MEASURE, teacher=str(teacher.path), trl=TrlConfig(**trl))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def stop_in_the_last_measurement(out: Path) -> Callable[[Mapping[str, Any]], None]:
    def stop(event: Mapping[str, Any]) -> None:
        if event["phase"] == "eval" and (out / "checkpoints/trainer/checkpoint-4").is_dir():
            raise KeyboardInterrupt

    return stop


def test_a_distillation_that_was_all_but_finished_gets_no_further_update(teacher: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    with pytest.raises(KeyboardInterrupt):
        distil(student(teacher), out, progress=stop_in_the_last_measurement(out))
    heard: list[Any] = []
    run = load_run(distil(student(teacher), out, resume=True, progress=lambda e: heard.append((e["phase"], e["step"]))))
    assert run.status == "finished"
    assert not [e for e in heard if e[0] == "train"]
    assert [(r.step, r.phase) for r in run.metrics] == [(0, "eval"), *((s, "train") for s in range(1, 5)), (4, "eval")]
    assert same(weights(out / "checkpoints/step-4"), weights(out / "checkpoints/trainer/checkpoint-4"))
    assert not (out / "checkpoints/trainer/checkpoint-5").exists()


def test_a_finished_distillation_stays_as_it_is(teacher: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    before = load_run(distil(student(teacher), out))
    kept = weights(out / "checkpoints/step-4")
    after = load_run(distil(student(teacher), out, resume=True))
    assert after.metrics == before.metrics
    assert same(weights(out / "checkpoints/step-4"), kept)


def test_adapters_that_are_finished_are_merged_again_as_they_were(teacher: Run, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: pip install 'gamekeeper[lora]'")
    out = tmp_path / "student"
    distil(student(teacher, lora=2), out)
    kept = weights(out / "checkpoints/step-4")
    distil(student(teacher, lora=2), out, resume=True)
    assert same(weights(out / "checkpoints/step-4"), kept)


def test_weights_past_the_last_update_are_refused(teacher: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    distil(student(teacher), out)
    kept = weights(out / "checkpoints/step-4")
    folder = out / "checkpoints/trainer"
    (folder / "checkpoint-4").rename(folder / "checkpoint-5")
    state = folder / "checkpoint-5/trainer_state.json"
    state.write_text(state.read_text().replace('"global_step": 4', '"global_step": 5'))
    with pytest.raises(RunError, match="have 5 updates behind them, and its settings say 4"):
        distil(student(teacher), out, resume=True)
    assert same(weights(out / "checkpoints/step-4"), kept)
