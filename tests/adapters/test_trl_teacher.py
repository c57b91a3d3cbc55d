"""What is refused or pointed out before a large model is trained: a teacher of another level, the pocket's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

import pyarrow as pa
from pyarrow import parquet

from fake_runs import write_run
from gamekeeper.adapters.looking import Line
from gamekeeper.adapters.trl.distil import _trainer as made_trainer
from gamekeeper.adapters.trl.distil import distil, teacher_examples
from gamekeeper.adapters.trl.dryrun import arguments, dry_run
from gamekeeper.adapters.trl.settings import TrlConfig, TrlRunConfig
from gamekeeper.adapters.trl.trainer import model_path, open_tokenizer
from gamekeeper.config import GameConfig, TrainConfig
from gamekeeper.errors import DataError, RunError
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import load_game


def data(folder: Path) -> Path:
    folder.mkdir()
    asked = [{"role": "user", "content": "How many?"}]
    rows = [{"prompt": asked, "reward_model": {"ground_truth": str(n)}} for n in range(4)]
    for split in ("train", "test"):
        parquet.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return folder


def taught(path: Path, level: str, data: Path | None) -> Path:
    """A teacher's run that says this of itself."""
    write_run(path, steps=2)
    info = json.loads((path / "run.json").read_text())
    info["game"] |= {"name": "selfgrade", "level": level}
    info["config"]["game"] |= {"data": str(data) if data else None}
    (path / "run.json").write_text(json.dumps(info))
    return path


def examples(run: Path, game: BaseGame) -> int:
    return len(teacher_examples(run, game, 4, 0))


def test_a_teacher_of_another_level_is_refused(tmp_path: Path) -> None:
    own = data(tmp_path / "own")
    with pytest.raises(
        RunError, match=r"items of paper level, and this call plays those of pocket level\. Give it its"
    ):
        examples(taught(tmp_path / "a", "paper", own), load_game("selfgrade"))
    with pytest.raises(RunError, match="items of pocket level, and this call plays those of paper level"):
        examples(taught(tmp_path / "b", "pocket", None), load_game("selfgrade", data=own))
    config = TrlRunConfig(GameConfig("selfgrade"), TrainConfig(steps=1), teacher=str(tmp_path / "a"))
    with pytest.raises(RunError, match="paper level"):
        distil(config, tmp_path / "student")
    assert not (tmp_path / "student").exists()
    assert any(line.what == "data" and "paper level" in line.found for line in dry_run(config, load_game("selfgrade")))


def test_a_teacher_on_other_data_is_refused(tmp_path: Path) -> None:
    own, other = data(tmp_path / "own"), data(tmp_path / "other")
    run = taught(tmp_path / "run", "paper", own)
    with pytest.raises(RunError, match=f"was trained on {own}, and this call plays {other}"):
        examples(run, load_game("selfgrade", data=other))
    for same in (own, own / "train.parquet", tmp_path / "other" / ".." / "own"):
        assert examples(run, load_game("selfgrade", data=same)), same


def large(folder: Path) -> str:
    """The pocket model's folder, with a configuration of many times its size."""
    folder.mkdir()
    for file in Path(model_path("pocket")).iterdir():
        if file.suffix == ".json":
            (folder / file.name).write_text(file.read_text())
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"intermediate_size": 64 * about["intermediate_size"]}))
    return str(folder)


def said(model: str, **more: Any) -> dict[str, Line]:
    config = TrlRunConfig(GameConfig("summary"), model=model, **more)
    return {line.what: line for line in dry_run(config, load_game("summary")) if "made for the pocket" in line.found}


def test_a_dry_run_points_out_the_pocket_models_settings(tmp_path: Path) -> None:
    model = large(tmp_path / "large")
    assert not said("pocket")
    found = said(model)
    assert found["learning rate"].wrong
    assert "5e-04" in found["learning rate"].found or "0.0005" in found["learning rate"].found
    assert not found["reply limits"].wrong, "at pocket level the items are the pocket model's too"
    assert not said(model, trl=TrlConfig(lora=4))["learning rate"].wrong
    settled = {"train": TrainConfig(learning_rate=1e-6), "trl": TrlConfig(reply_tokens=(64,))}
    assert not said(model, **settled)


def test_what_the_chat_template_is_told_reaches_a_distillation(tmp_path: Path) -> None:
    told = TrlConfig(options={"chat_template_kwargs": {"thinking": "off"}})
    config = TrlRunConfig(GameConfig("summary"), TrainConfig(steps=1, items_per_step=2), teacher="T", trl=told)
    tokenizer = open_tokenizer("pocket")
    tokenizer.chat_template += "{% if thinking %}thinking {{ thinking }}{% endif %}"
    asked, said = {"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}
    trainer = made_trainer(config, [{"prompt": [asked], "completion": [said]}] * 2, tokenizer, tmp_path / "out")
    texts = [tokenizer.decode(row["input_ids"]) for row in trainer.train_dataset]
    assert all("thinking off" in text for text in texts)
    assert "chat_template_kwargs" not in arguments(config, load_game("summary"))


def test_a_student_without_room_for_its_replies_is_refused(tmp_path: Path) -> None:
    run = taught(tmp_path / "run", "pocket", None)
    long = TrlConfig(reply_tokens=(512, 4))
    config = TrlRunConfig(GameConfig("selfgrade"), TrainConfig(steps=1), teacher=str(run), trl=long)
    with pytest.raises(DataError, match="no room for a prompt"):
        distil(config, tmp_path / "student")
    assert not (tmp_path / "student").exists()
    assert any(line.wrong and "no room" in line.found for line in dry_run(config, load_game("selfgrade")))
