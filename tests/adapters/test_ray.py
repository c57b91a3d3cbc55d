"""Studies on a real Ray cluster of two nodes on this machine, offline.

Pinned here: (1) a node that is killed in the midst of its cells costs nothing but their time; (2) an error on a node is
that cell's alone; (3) checkpoints travel to the nodes that need them and back; (4) a grid that is killed goes on with
the same command; (5) the command line says where there is no cluster.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'gamekeeper[ray]'")

from ray.cluster_utils import Cluster

from gamekeeper.config import EvalConfig, RunConfig, TrainConfig
from gamekeeper.errors import CouldNotLook
from gamekeeper.studies import spread
from gamekeeper.studies.cells import Cell, eval_cell, train_cell
from gamekeeper.studies.grid import News, run_grid
from gamekeeper.studies.scope import game_of
from gamekeeper.studies.store import Store
from tiny import tiny_policy

pytestmark = pytest.mark.timeout(900)  # a busy machine takes minutes to start the workers
EVAL = EvalConfig(items=4, samples=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
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


def started_on(log: Path, doomed: str = "") -> Any:
    """`remote_cell`, after a line in a log: which cell on which node. A closure travels to the nodes whole."""

    def logged(plain: dict[str, Any], *rest: Any) -> Any:
        import ray

        from gamekeeper.studies.spread import remote_cell

        here = ray.get_runtime_context().get_node_id()
        with log.open("a") as lines:
            lines.write(f"{plain['address']} {here}\n")
        made = remote_cell(plain, *rest)
        while here == doomed:  # its result never leaves: whenever the node goes, the cell is lost with it
            time.sleep(60)
        return made

    return logged


def test_a_node_is_killed_and_nothing_is_lost(
    cluster: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    log = tmp_path / "starts"
    log.touch()
    monkeypatch.setattr(spread, "remote_cell", started_on(log, node.node_id))
    wanted = cells(base, 20)
    told: list[News] = []
    lost: list[str] = []

    def starts() -> list[list[str]]:
        return [line.split() for line in log.read_text().splitlines()]

    def killed() -> None:
        """Once a cell is done, the second node goes without a word, in the midst of its own."""
        while not lost:
            time.sleep(0.05)
            done = {n.cell.address for n in told if n.what == "done"}
            busy = [address for address, where in starts() if where == node.node_id and address not in done]
            if done and busy:
                cluster.remove_node(node, allow_graceful=False)
                lost.append(busy[-1])

    killer = threading.Thread(target=killed, daemon=True)
    killer.start()
    out = run_grid("test", wanted, Store(tmp_path), spread.Spread(cluster.address), told.append)
    killer.join(30)
    assert not killer.is_alive()
    assert (out.ran, out.failed, out.waiting) == (5, {}, {})
    again = [where for address, where in starts() if address == lost[0]]
    assert len(again) > 1, "the cell that was lost was given to another node"
    assert again[-1] != node.node_id
    assert len(starts()) == 5 + len(again) - 1, "no other cell was done twice"
    store = Store(tmp_path)
    assert all(store.record(c.address) for c in wanted)
    assert all(len(store.record(c.address)["curves"]["reward"]) == 20 for c in wanted[:4])  # type: ignore[index]
    assert store.checkpoint(wanted[1]) is not None


def test_an_error_on_a_node_is_that_cells_alone(cluster: Any, base: Path, tmp_path: Path) -> None:
    good = cells(base, 1)[0]
    bad = Cell("train", "bad", {**good.config, "seed": 9, "train": {**good.config["train"], "learning_rate": -1.0}})
    out = run_grid("test", [bad, good], Store(tmp_path), spread.Spread(cluster.address))
    assert out.ran == 1
    assert "learning_rate must be above 0" in out.failed[bad.name]


def test_a_study_by_the_command_killed_and_given_again(cluster: Any, base: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gamekeeper", "study", "transfer", "--size", "quick", "--seeds", "0", "--json"]
    command += ["--games", "compliance,selfgrade", "--model", str(base), "--set", "train.steps=2"]
    command += ["--out", str(tmp_path), "--ray", cluster.address]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records = tmp_path / "records" / "transfer"
    deadline = time.monotonic() + 300
    while len(list(records.glob("*-*.json"))) < 1 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {p: p.read_bytes() for p in records.glob("*-*.json")}
    assert before
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["found"], found["ran"], found["failed"]) == (len(before), 4 - len(before), {})
    assert all(p.read_bytes() == was for p, was in before.items())
    assert found["findings"]["heats"]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "ray://127.0.0.1:1", "not an address"])
def test_no_cluster_there_is_said(address: str) -> None:
    with pytest.raises(CouldNotLook, match=f"There is no Ray cluster at '{address}'"):
        spread.Spread(address)
