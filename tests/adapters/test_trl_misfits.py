"""Models that transformers can open and that are none for a game: each is the user's data, not a bug."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

from typer.testing import CliRunner

from gamekeeper.adapters.trl import backend
from gamekeeper.adapters.trl.settings import TrlRunConfig
from gamekeeper.adapters.trl.trainer import model_path
from gamekeeper.cli import app
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.errors import DataError

BLOOM = {"model_type": "bloom", "vocab_size": 512, "hidden_size": 16, "n_layer": 1, "n_head": 2}
T5 = {"model_type": "t5", "vocab_size": 512, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
STRANGE = {"model_type": "qwen3", "hidden_size": 16, "num_attention_heads": 0, "max_position_embeddings": 64}
SMALL = {**STRANGE, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1, "vocab_size": 512}


def folder(path: Path, config: dict[str, Any]) -> str:
    """A model's folder with the pocket tokenizer and this configuration."""
    path.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (file := Path(model_path("pocket")) / name).is_file():
            (path / name).write_text(file.read_text())
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (BLOOM, "does not say how many positions it has: max_position_embeddings is None"),
        (T5, "makes no language model of this configuration (t5)"),
        ({**T5, "max_position_embeddings": 512}, "makes no language model of this configuration (t5)"),
        ({**SMALL, "max_position_embeddings": -1}, "max_position_embeddings is -1"),
        (STRANGE, "makes no language model of this configuration (qwen3)"),
    ],
    ids=["bloom", "t5", "t5 with positions", "no positions", "no heads"],
)
def test_a_model_that_is_none_for_a_game_is_refused(config: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "model", config)
    train, out = TrainConfig(steps=1, items_per_step=2, group=2, minibatches=1, threads=1), tmp_path / "run"
    with pytest.raises(DataError):
        backend.run(TrlRunConfig(GameConfig("summary"), train, EvalConfig(items=1, samples=1), model=model), out)
    assert not out.exists()
    words = ["run", "summary", "--backend", "trl", "--arm", "flawed", "--model", model, "--dry-run"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 1, shown.output
    assert "bug" not in shown.output
    assert "".join(complaint.split()) in "".join(shown.output.split())
