"""Studies over Ray: two real nodes on this machine, one killed in the midst, nothing lost. Skipped without Ray."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gamekeeper.config import EvalConfig, RunConfig, TrainConfig
from gamekeeper.errors import CouldNotLook, MissingExtra, UsageError
from gamekeeper.studies import spread
from gamekeeper.studies.cells import Cell, eval_cell, train_cell
from gamekeeper.studies.grid import News, run_grid
from gamekeeper.studies.scope import game_of
from gamekeeper.studies.store import Store
from tiny import tiny_policy

EVAL = EvalConfig(items=4, samples=1)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'gamekeeper\[ray\]'"):
        spread.need_ray()


@pytest.mark.parametrize("version", ["1.13.0", "2.9.3", "3.0.0"])
def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__=version))
    with pytest.raises(UsageError, match=f"Ray {version} is not supported"):
        spread.need_ray()


def test_a_folder_survives_packing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"\x00\xff")
    spread.unpack(spread.pack(tmp_path / "a"), tmp_path / "d")
    assert (tmp_path / "d" / "b" / "c").read_bytes() == b"\x00\xff"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="Ray is not installed: studies over a cluster were not tested")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_policy().save(folder)
    return folder


def cells(base: Path, steps: int) -> list[Cell]:
    train = TrainConfig(steps=steps, items_per_step=4, group=2, minibatches=1, precision="fp32")
    runs = [train_cell(f"c{s}", RunConfig(game_of("compliance"), train, EVAL, str(base), s)) for s in range(4)]
    return [*runs, eval_cell("m", game_of("selfgrade"), EVAL, runs[0], 0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
def test_a_node_is_killed_and_nothing_is_lost(cluster: Any, base: Path, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    wanted = cells(base, 60)
    told: list[News] = []

    def killed() -> None:
        """Once the first cell is done, the second node goes without a word, in the midst of its own."""
        while not any(n.what == "done" for n in told):
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=killed, daemon=True)
    killer.start()
    out = run_grid("test", wanted, Store(tmp_path), spread.Spread(cluster.address), told.append)
    killer.join(30)
    assert not killer.is_alive()
    assert (out.ran, out.failed, out.waiting) == (5, {}, {})
    store = Store(tmp_path)
    assert all(store.record(c.address) for c in wanted)
    assert all(len(store.record(c.address)["curves"]["reward"]) == 60 for c in wanted[:4])  # type: ignore[index]
    assert store.checkpoint(wanted[1]) is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_error_on_a_node_is_that_cells_alone(cluster: Any, base: Path, tmp_path: Path) -> None:
    good = cells(base, 1)[0]
    bad = Cell("train", "bad", {**good.config, "seed": 9, "train": {**good.config["train"], "learning_rate": -1.0}})
    out = run_grid("test", [bad, good], Store(tmp_path), spread.Spread(cluster.address))
    assert out.ran == 1
    assert "learning_rate must be above 0" in out.failed[bad.name]


def test_no_cluster_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__="2.50.0"))
    with pytest.raises(CouldNotLook, match="There is no Ray cluster at"):
        spread.Spread("127.0.0.1:1")
