"""The grid without any training: what is run, in which order, what a failure costs, and what a kill leaves.

1. A finished cell is never run twice, by this study or by another that has it too.
2. A cell starts only when the checkpoints that it needs are on the disk; one that is gone is made again, and no other.
3. A failed cell is recorded with its error, those that need it are named, the others go on; a second call tries again.
4. Stopped at any event, the next call does exactly what was left.
5. An address depends on what the result depends on, and on nothing else.
"""

from __future__ import annotations

import json
import random
import shutil
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_studies import FakeExecutor, fake_record
from gamekeeper.config import EvalConfig, GameConfig, RunConfig, TrainConfig
from gamekeeper.errors import DataError, RunError
from gamekeeper.registry import game_class
from gamekeeper.studies import catalysis, emergence, transfer
from gamekeeper.studies.catalogue import STUDIES, study_of
from gamekeeper.studies.cell_records import read_records
from gamekeeper.studies.cells import address_of, closure, eval_cell, train_cell
from gamekeeper.studies.grid import expected_seconds, left_to_do, run_grid
from gamekeeper.studies.scope import Scope, emergent, game_of, other_settings
from gamekeeper.studies.store import Placed, Store, read_results
from gamekeeper.types import to_plain

SCOPE = Scope(games=("compliance", "tamper"), seeds=(0,))
ABOUT = {"settings": SCOPE.settings(), "command": "x", "commit": None}


def cells(placed: list[Placed]) -> list:
    return [p.cell for p in placed]


def test_a_finished_cell_is_never_run_twice(tmp_path: Path) -> None:
    wanted = cells(emergence.place(SCOPE))
    first = FakeExecutor()
    out = run_grid("emergence", wanted, Store(tmp_path), first)
    assert (out.ran, out.found, len(first.started)) == (4, 0, 4)
    assert first.closed
    assert first.most == 2
    again = FakeExecutor()
    out = run_grid("emergence", wanted, Store(tmp_path), again)
    assert (out.ran, out.found, again.started) == (0, 4, [])


def test_another_study_takes_what_is_there_and_a_seed_adds_its_own(tmp_path: Path) -> None:
    run_grid("emergence", cells(emergence.place(SCOPE)), Store(tmp_path), FakeExecutor())
    second = FakeExecutor()
    run_grid("transfer", cells(transfer.place(SCOPE)), Store(tmp_path), second)
    assert sorted(t.kind for t in second.started) == ["eval", "eval"]
    more = FakeExecutor()
    run_grid("emergence", cells(emergence.place(replace(SCOPE, seeds=(0, 1)))), Store(tmp_path), more)
    assert {t.config["seed"] for t in more.started} == {1}
    assert len(more.started) == 4


def test_cells_wait_for_their_checkpoints(tmp_path: Path) -> None:
    executor = FakeExecutor(workers=9)
    run_grid("catalysis", cells(catalysis.place(SCOPE)), Store(tmp_path), executor)
    kinds = [bool(t.models) for t in executor.started]
    assert kinds == [False, False, True, True]  # FakeExecutor.start asserts that each folder is there
    assert executor.most == 2


def test_a_checkpoint_that_is_gone_is_made_again_only_if_it_is_needed(tmp_path: Path) -> None:
    run_grid("emergence", cells(emergence.place(SCOPE)), Store(tmp_path), FakeExecutor())
    shutil.rmtree(tmp_path / "cells")
    assert left_to_do(cells(emergence.place(SCOPE)), Store(tmp_path)) == []
    due = left_to_do(cells(transfer.place(SCOPE)), Store(tmp_path))
    assert [(c.kind, c.label) for c in due] == [
        ("train", "compliance-flawed-seed0"),
        ("eval", "compliance-then-tamper-seed0"),
        ("train", "tamper-flawed-seed0"),
        ("eval", "tamper-then-compliance-seed0"),
    ]
    before = {p: p.read_bytes() for p in (tmp_path / "records").rglob("*.json")}
    run_grid("transfer", cells(transfer.place(SCOPE)), Store(tmp_path), FakeExecutor())
    after = {p: p.read_bytes() for p in (tmp_path / "records").rglob("*.json")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2  # a cell that was made again keeps the record that it has


def test_a_failure_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    wanted = cells(catalysis.place(SCOPE))
    store = Store(tmp_path)
    out = run_grid("catalysis", wanted, store, FakeExecutor(trouble={"tamper-flawed": "the judge is dead"}))
    (failed,), (waiting,) = out.failed, out.waiting
    assert failed.startswith("tamper-flawed-seed0")
    assert waiting.startswith("tamper-then-compliance")
    assert failed in out.waiting[waiting]
    assert out.ran == 2
    kept = json.loads((tmp_path / "failed" / f"{failed}.json").read_text())
    assert kept["error"] == "the judge is dead"
    executor = FakeExecutor()
    out = run_grid("catalysis", wanted, Store(tmp_path), executor)
    assert (out.ran, out.failed, len(executor.started)) == (2, {}, 2)
    assert not list((tmp_path / "failed").iterdir())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 6), max_size=4), workers=st.integers(1, 3))
def test_stopped_anywhere_nothing_is_lost_or_done_twice(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], workers: int
) -> None:
    place = tmp_path_factory.mktemp("grid")
    wanted = cells(catalysis.place(SCOPE))
    finished: list[str] = []
    for deadline in [*stops, 10**9]:
        store = Store(place)
        before = {c.address for c in wanted if store.record(c.address)}
        executor = FakeExecutor(workers, deadline=deadline)
        with suppress(KeyboardInterrupt):
            run_grid("catalysis", wanted, store, executor)
        assert not before & {t.address for t in executor.started}
        assert executor.closed
        finished += [c.address for c in wanted if Store(place).record(c.address) and c.address not in before]
    assert sorted(finished) == sorted({c.address for c in wanted})


def test_progress_tells_of_every_cell_and_ends_whole(tmp_path: Path) -> None:
    told: list = []
    run_grid("emergence", cells(emergence.place(SCOPE)), Store(tmp_path), FakeExecutor(), told.append)
    assert [n.what for n in told].count("done") == 4
    assert told[-1].share == pytest.approx(1.0)
    assert told[-1].done == told[-1].cells == 4
    assert all(a.share <= b.share + 1e-9 for a, b in pairwise(told))


# Addresses


def test_an_address_knows_what_matters_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    base = RunConfig(game_of("tamper"))
    address = train_cell("a", base).address
    machine = replace(base, train=replace(base.train, threads=7, precision="fp32", checkpoint_every=3))
    assert train_cell("another label", machine).address == address
    assert (
        train_cell("a", replace(base, model=str(Path(emergence.__file__).parent.parent / "policy" / "base"))).address
        == address
    )
    others = [
        replace(base, seed=1),
        replace(base, train=TrainConfig(steps=79)),
        replace(base, eval=EvalConfig(items=127)),
        replace(base, game=game_of("tamper", "secure")),
        replace(base, game=game_of("summary")),
    ]
    found = {train_cell("a", o).address for o in others}
    assert len(found) == 5
    assert address not in found
    start = train_cell("a", base, emergent(Scope(), "summary", 0))
    assert start.address not in found | {address}
    monkeypatch.setattr(game_class("tamper"), "version", 99)
    assert train_cell("a", base).address != address


def test_patches_and_parameters_are_spelled_out() -> None:
    short, full = GameConfig("selfgrade", ("audit",)), GameConfig("selfgrade", ("audit=1.0",), {"audit": 0.1})
    assert train_cell("a", RunConfig(short)).address == train_cell("a", RunConfig(full)).address


def test_addresses_do_not_depend_on_the_order_of_keys() -> None:
    config = to_plain(RunConfig(game_of("tamper")))
    assert address_of("train", config) == address_of("train", dict(reversed(config.items())))


def test_a_base_that_is_not_there_is_said() -> None:
    with pytest.raises(DataError, match=r"no checkpoint: config\.json cannot be read"):
        _ = train_cell("a", RunConfig(game_of("tamper"), model="/nowhere")).address


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_places_cells_that_are_all_different_and_cost_something(name: str) -> None:
    study = study_of(name)
    placed = study.place(replace(Scope(), games=study.games, seeds=(0, 1)))
    assert len({p.cell.address for p in placed}) == len(placed)
    assert len({json.dumps(p.role, sort_keys=True) for p in placed}) == len(placed)
    assert {p.role["seed"] for p in placed} == {0, 1}
    whole = closure(p.cell for p in placed)
    assert all(expected_seconds(c) > 0 for c in whole)
    order = {c.address: i for i, c in enumerate(whole)}
    assert all(order[n.address] < order[c.address] for c in whole for n in c.needs)


# The store


def test_a_manifest_grows_with_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seeds in ((0,), (1, 2)):
        store.plan("emergence", emergence.place(replace(SCOPE, seeds=seeds)), ABOUT)
    assert read_results_or_none(store, "emergence") == 12


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_cells_of_other_settings_are_told_from_more_of_the_same(name: str, tmp_path: Path) -> None:
    study, store = study_of(name), Store(tmp_path)
    games = ("selfgrade",) if study.games == ("selfgrade",) else SCOPE.games
    scope = replace(SCOPE, games=games)
    rows = store.plan(name, study.place(scope), ABOUT)["cells"]
    longer = replace(scope, train=replace(scope.train, steps=5))
    coarser = replace(scope, train=replace(scope.train, checkpoint_every=3, threads=1))
    more_games = replace(scope, seeds=(3, 4), games=study.games)
    assert other_settings(study, longer, rows)
    for same in (scope, coarser, more_games, replace(scope, audits=(0.0, 0.3))):
        assert other_settings(study, same, rows) == []


def test_a_game_without_patches_has_one_run_and_two_arms(tmp_path: Path) -> None:
    placed = emergence.place(Scope(games=("arithmetic",), seeds=(0,)))
    store = Store(tmp_path)
    whole = store.plan("emergence", placed, ABOUT)
    assert len({row["address"] for row in whole["cells"]}) == 1
    run_grid("emergence", cells(placed), store, FakeExecutor())
    assert [r.role["arm"] for r in read_results(store.records, "emergence").found] == ["flawed", "secure"]


def test_a_run_on_its_way_is_no_finished_checkpoint(tmp_path: Path) -> None:
    """Its record is there, its work was removed, and making the checkpoint again was killed after a first step."""
    cell = emergent(Scope(), "tamper", 0)
    store = Store(tmp_path)
    store.keep("emergence", cell, fake_record(cell, random.Random(0)))
    run = store.folder(cell) / "run"
    (run / "checkpoints" / "step-1").mkdir(parents=True)
    for status, found in (("running", None), ("stopped", None), ("finished", run / "checkpoints" / "step-1")):
        (run / "run.json").write_text(json.dumps({"schema": 1, "status": status}))
        assert store.checkpoint(cell) == found


def test_a_checkpoint_that_comes_out_otherwise_is_named_in_what_starts_from_it(tmp_path: Path) -> None:
    placed = transfer.place(SCOPE)
    start = next(p.cell for p in placed if p.cell.kind == "train")
    store = Store(tmp_path)
    before = fake_record(start, random.Random(1), final={"er": 0.5})
    store.keep("emergence", start, {**before, "threads": 1})
    out = run_grid("transfer", cells(placed), store, FakeExecutor())  # which makes the checkpoint again
    assert list(out.remade) == [start.name]
    assert "by its record" in out.remade[start.name]
    held = read_records(store.records)
    marked = {address for address, r in held.items() if r.get("started_from_other")}
    assert marked == {p.cell.address for p in placed if start in p.cell.needs}
    assert marked
    assert held[start.address]["final"]["metrics"]["er"] == 0.5  # the record stays
    again = Store(tmp_path)
    assert again.differs(start) == out.remade[start.name]  # and a later call knows it too
    again.keep("emergence", start, {**before, "threads": 1})
    assert again.differs(start) == ""


def read_results_or_none(store: Store, study: str) -> int:
    return read_results(store.records, study).missing


def test_a_second_grid_is_kept_out(tmp_path: Path) -> None:
    import subprocess
    import sys

    store = Store(tmp_path)
    store.hold()
    code = (
        f"from pathlib import Path; from gamekeeper.studies.store import Store; Store(Path({str(tmp_path)!r})).hold()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Another process is writing" in done.stderr
    store.close()


def test_a_run_beside_serves_only_if_it_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    cell = emergent(Scope(), "tamper", 0)
    store = Store(tmp_path / "studies")
    record = fake_record(cell, random.Random(0))
    store.keep("emergence", cell, record)
    beside = tmp_path / "emergence" / "tamper-flawed-seed0"
    (beside / "checkpoints" / "step-80").mkdir(parents=True)
    info = {"schema": 1, "status": "finished", **{k: record[k] for k in ("config", "base", "final")}}
    (beside / "run.json").write_text(json.dumps(info))
    assert store.checkpoint(cell) == beside / "checkpoints" / "step-80"
    info["final"]["metrics"]["er"] += 0.01
    (beside / "run.json").write_text(json.dumps(info))
    assert store.checkpoint(cell) is None


def test_a_full_disk_stops_the_grid_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from gamekeeper.studies import cell_records as room

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path)
    monkeypatch.setattr(room, "write_atomic", full)
    with pytest.raises(RunError, match="disk is full"):
        run_grid("emergence", cells(emergence.place(SCOPE)), store, FakeExecutor())


def test_an_eval_cell_depends_on_whose_checkpoint_it_measures() -> None:
    scope = Scope()
    found = {
        eval_cell("x", game_of("tamper"), scope.eval, model, 0).address
        for model in ("pocket", emergent(scope, "summary", 0), emergent(scope, "summary", 1))
    }
    assert len(found) == 3


@pytest.mark.parametrize(("game", "since"), [("tamper", "derive"), ("compliance", "clean"), ("selfgrade", "tokenizer")])
def test_a_setting_that_came_later_leaves_old_addresses_alone(game: str, since: str) -> None:
    config = to_plain(RunConfig(GameConfig(game)))
    new = train_cell("x", RunConfig(game_of(game)))
    params = dict(new.config["game"]["params"])
    assert since in params
    del params[since]
    old = {**config, "game": {**config["game"], "params": params}}
    assert address_of("train", old) == new.address
    changed = {**old, "game": {**old["game"], "params": {**params, since: "other"}}}
    assert address_of("train", changed) != new.address


def test_other_records_beside_those_of_studies_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "parity").mkdir()
    (tmp_path / "parity" / "rows.json").write_text('{"rows": []}')
    (tmp_path / "parity" / "torn.json").write_text('{"ro')
    assert Store(tmp_path / "out", tmp_path).record("x") is None
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "torn.json").write_text('{"ro')
    with pytest.raises(RunError, match=r"torn\.json cannot be read"):
        Store(tmp_path / "out", tmp_path)
