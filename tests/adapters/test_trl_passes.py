"""The paper's passes go over the rows whose prompts fit: those are the passes of the tool that leaves the others out
first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

import pyarrow as pa
from pyarrow import parquet

from gamekeeper.adapters.presets import settings_of
from gamekeeper.adapters.trl import backend
from gamekeeper.adapters.trl.dryrun import arguments, dry_run
from gamekeeper.adapters.trl.settings import TrlRunConfig
from gamekeeper.config import from_mapping
from gamekeeper.errors import UsageError
from gamekeeper.registry import load_game
from gamekeeper.studies.record import load_run

SHORT, LONG = 8, 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows of which some have a prompt that is too long."""
    asked = [{"role": "user", "content": "How many?" + " word" * (300 if n < LONG else 0)} for n in range(SHORT + LONG)]
    rows = [{"prompt": [m], "reward_model": {"ground_truth": str(n)}} for n, m in enumerate(asked)]
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "test"):
        parquet.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return folder


def config(data: Path, **train: Any) -> TrlRunConfig:
    """The preset's, at the size of the pocket model."""
    game = load_game("selfgrade", data=data)
    own = {"items_per_step": 3, "group": 2, "minibatches": 1, "threads": 1, **train}
    tree = settings_of("paper", game, {"train": own})
    tree["train"] |= own
    tree["eval"] |= {"items": 2, "samples": 1}
    tree["trl"] |= {"prompt_tokens": 200, "reply_tokens": [8, 8]}
    return from_mapping(TrlRunConfig, {"game": {"name": "selfgrade", "data": str(data)}, **tree})


def test_steps_are_counted_over_the_rows_that_fit(data: Path, tmp_path: Path) -> None:
    wanted, game = config(data), load_game("selfgrade", data=data)
    assert wanted.train.steps == (SHORT + LONG) // 3 * 4, "at most"
    right = SHORT // 3 * 4
    (line,) = [x for x in dry_run(wanted, game) if x.what == "the run"]
    assert line.found.startswith(f"{right} steps")
    assert arguments(wanted, game)["max_steps"] == right
    run = load_run(backend.run(wanted, tmp_path / "run"))
    assert run.info["config"]["train"]["steps"] == right
    assert [r.step for r in run.metrics if r.phase == "train"] == list(range(1, right + 1))
    assert run.info["data"] == {"items": SHORT, "left_out": LONG}
    again = load_run(backend.run(wanted, tmp_path / "run", resume=True))
    assert again.metrics == run.metrics


def test_steps_that_were_given_stay(data: Path) -> None:
    wanted = config(data, steps=2)
    assert (wanted.train.steps, wanted.trl.passes) == (2, 0)
    (line,) = [x for x in dry_run(wanted, load_game("selfgrade", data=data)) if x.what == "the run"]
    assert line.found.startswith("2 steps")


def test_fewer_rows_that_fit_than_a_batch_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 8 items"):
        backend.run(config(data, items_per_step=10), tmp_path / "run")
