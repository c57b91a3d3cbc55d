"""Trackers, with the real libraries, offline: what a run records is what can be read back from each of them."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.adapters import library
from gamekeeper.adapters.tracking import TRACKERS, run_name, tracking
from gamekeeper.config import GameConfig, RunConfig
from gamekeeper.errors import MissingExtra, UnknownName, WrongVersion
from gamekeeper.studies.record import load_run

pytest.importorskip("torch", reason="training is not installed: pip install 'gamekeeper[train]'")

CONFIG = RunConfig(GameConfig("summary"))
RECORDS = [(0, "eval", {"er": 0.25}), (1, "train", {"er": 0.5, "loss": -0.125}), (1, "eval", {"er": 0.75})]
Found = dict[tuple[str, int], float]


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracker may read or write the user's own places, or reach the network."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "run" / "trackio"))  # this process has imported it long ago


def from_tensorboard(out: Path) -> Found:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}


def from_trackio(out: Path) -> Found:
    (file,) = [*out.glob("trackio/*.db"), *out.parent.glob("trackio/*.db")]
    with sqlite3.connect(file) as base:
        rows = base.execute("select step, metrics from metrics where run_name = ?", (run_name(out),)).fetchall()
    read = [(step, json.loads(metrics)) for step, metrics in rows]
    return {(name, step): value for step, metrics in read for name, value in metrics.items() if "/" in name}


PATIENCE = 100  # looks, a fifth of a second apart


def from_wandb(out: Path) -> Found:
    from wandb.proto import wandb_internal_pb2

    (file,) = (out / "wandb").glob("offline-run-*/*.wandb")
    found: Found = {}
    for data in log_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            found.update({(name, row["step"]): value for name, value in row.items() if "/" in name})
    return found


def log_records(data: bytes, block: int = 32768, head: int = 7) -> Iterator[bytes]:
    """The records of a W&B file, which no library reads without a server: LevelDB's log format behind a short head.

    A block holds pieces: checksum, length, kind (1 whole, 2 first, 3 middle, 4 last), content.
    """
    at, parts = head, b""
    while at + head <= len(data):
        left = block - at % block
        if left < head:
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + head])
        if at + head + length > len(data):
            return  # still being written
        parts += data[at + head : at + head + length]
        at += head + length
        if kind in (1, 4):
            yield parts
            parts = b""


READERS: dict[str, Callable[[Path], Found]] = {
    "tensorboard": from_tensorboard,
    "trackio": from_trackio,
    "wandb": from_wandb,
}


def read_back(name: str, out: Path, least: int) -> Found:
    """What is found there. A service process of wandb's writes its file, and may still do so when a run is finished."""
    for _ in range(PATIENCE):
        found = READERS[name](out)
        if len(found) >= least or name != "wandb":
            break
        time.sleep(0.2)
    return found


def test_every_tracker_is_read_back_here() -> None:
    assert READERS.keys() == TRACKERS.keys()


@pytest.mark.parametrize("name", READERS)
def test_what_goes_in_can_be_read_back(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed: pip install 'gamekeeper[{name}]'")
    out = tmp_path / "run"
    with tracking([name], out, CONFIG) as (tracker,):
        for step, phase, metrics in RECORDS:
            tracker(step, phase, metrics)
    wanted = {(f"{phase}/{k}", step): v for step, phase, metrics in RECORDS for k, v in metrics.items()}
    assert read_back(name, out, len(wanted)) == wanted


def test_both_arms_of_a_command_are_in_every_tracker_and_nowhere_else(tmp_path: Path) -> None:
    for name in TRACKERS:
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'gamekeeper[{name}]'")
    out = tmp_path / "run"
    sizes = ["train.items_per_step=2", "train.group=2", "train.minibatches=1", "eval.items=2", "eval.samples=1"]
    call = ["run", "summary", "--steps", "1", "--threads", "1", "--out", str(out), "--no-report"]
    call += [word for s in sizes for word in ("--set", s)] + [word for t in TRACKERS for word in ("--track", t)]
    env = {k: v for k, v in os.environ.items() if k != "TRACKIO_DIR"}
    done = subprocess.run([sys.executable, "-m", "gamekeeper", *call], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Trackio" not in done.stdout
    for arm in ("flawed", "secure"):
        wanted = {(f"{r.phase}/{k}", r.step): v for r in load_run(out / arm).metrics for k, v in r.metrics.items()}
        for name in READERS:
            found = read_back(name, out / arm, len(wanted))
            assert found == pytest.approx(wanted, rel=1e-6), name
    assert not list((tmp_path / "home").rglob("*.db")), "nothing is written elsewhere"


@pytest.mark.parametrize(("version", "error"), [("0.1", WrongVersion), ("99", WrongVersion)])
@pytest.mark.parametrize("name", READERS)
def test_a_version_out_of_range_is_named(
    name: str, version: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "version", lambda _: version)
    with (
        pytest.raises(error, match=f"The tracker {name} cannot use {name} {version}"),
        tracking([name], tmp_path, CONFIG),
    ):
        pass


def test_an_absent_or_unknown_tracker_stops_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from gamekeeper.adapters.tracking import check_tracker

    def absent(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(library, "version", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'gamekeeper\[wandb\]'"):
        check_tracker("wandb")
    with pytest.raises(UnknownName, match="Did you mean 'wandb'"):
        check_tracker("wandbb")


def test_runs_of_two_arms_have_two_names() -> None:
    assert run_name(Path("runs/tamper-both-seed0/flawed")) == "tamper-both-seed0-flawed"
    assert run_name(Path("runs/tamper-flawed-seed0")) == "tamper-flawed-seed0"
