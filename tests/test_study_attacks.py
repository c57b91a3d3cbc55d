"""Bad input and bad luck for a study's grid: what is there already stays whole, and the message says what to do.

1. Records, manifests and run directories that are torn, half-written, or of another version.
2. Clocks that jump: no decision reads one.
3. A disk that is full in the midst of a cell, of a record, or of the page.
4. SIGKILL at any moment, then the same command: nothing is done twice, and the results are those of a quiet run.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fake_studies import FakeExecutor
from gamekeeper.cli import app
from gamekeeper.errors import RunError
from gamekeeper.report import study as page
from gamekeeper.studies import cell_records, emergence, grid
from gamekeeper.studies.grid import run_grid
from gamekeeper.studies.pool import Pool
from gamekeeper.studies.scope import SIZES, Scope
from gamekeeper.studies.store import MANIFEST, Store, read_results
from tiny import tiny_policy

SCOPE = Scope(games=("compliance", "tamper"), seeds=(0,))
ABOUT = {"settings": SCOPE.settings(), "command": "x", "commit": None}


def finished(place: Path) -> dict[Path, bytes]:
    """A study that is done, as it lies on the disk: its records and their bytes."""
    placed = emergence.place(SCOPE)
    held = Store(place)
    held.plan("emergence", placed, ABOUT)
    run_grid("emergence", [p.cell for p in placed], held, FakeExecutor())
    return records_in(place)


def records_in(place: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in sorted((place / "records").glob("*/*-*.json"))}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_policy().save(folder)
    return folder


# Files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ('{"format": 1, "address": "ab', "cannot be read"),
        ("[]", "holds no record"),
        ('{"format": 2, "address": "ab"}', "has format 2; this gamekeeper reads format 1"),
        ('{"format": 1, "address": "ab", "kind": "train"}', "lacks config, seed, curves: half a record"),
        ('{"format": 1, "address": "ab", "kind": "eval"}', "lacks config, seed: half a record"),
        ('{"format": 1}', "neither an address nor a config"),
        ('{"format": 1, "address": "ab", "kind": "eval", "config": {}, "seed": 0}', "not that of its name"),
        ('{"format": 1, "wall_s": NaN}', "NaN is no number"),
        ('{"format": 1, "wall_s": 1e999}', "1e999 is no number"),
    ],
)
def test_a_record_that_is_half_there_is_named_and_the_others_are_left(tmp_path: Path, text: str, said: str) -> None:
    before = finished(tmp_path)
    torn, *others = before
    torn.write_text(text)
    with pytest.raises(RunError, match=said) as told:
        Store(tmp_path)
    assert str(torn) in str(told.value)
    assert all(p.read_bytes() == before[p] for p in others)
    torn.unlink()  # as the message says
    executor = FakeExecutor()
    out = run_grid("emergence", [p.cell for p in emergence.place(SCOPE)], Store(tmp_path), executor)
    assert (out.ran, out.found) == (1, len(before) - 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"final": None}, "'final' holds no metrics"),
        ({"base": {"metrics": {}}}, "'base' holds no metrics"),
        ({"final": [1]}, "'final' holds no metrics"),
        ({"final": {"metrics": {"er": "abc"}}}, "final: er is 'abc', not a number"),
        ({"final": {"metrics": {"er": True}}}, "final: er is True, not a number"),
        ({"final": {"metrics": {"er": 7.0}}}, "final: er is 7, beyond -1 to 1"),
        ({"curves": None}, "its curves are not lists"),
        ({"curves": {"er": [[1, "x"]]}}, "its curves are not lists"),
        ({"wall_s": -1.0}, "wall_s is -1.0, not seconds"),
        ({"wall_s": "x"}, "wall_s is 'x', not seconds"),
        ({"seed": 5}, "its seed is 5, which is not that of its config"),
        ({"kind": "dance"}, "its kind is 'dance'"),
        ({"config": 3}, "its config is no object"),
        ({"address": 5}, "has the address 5, which is not that of its name"),
        ({"address": "0" * 64}, "which is not that of its name"),
    ],
)
def test_what_cannot_be_a_record_is_not_averaged(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    odd = next(iter(finished(tmp_path)))
    odd.write_text(json.dumps({**json.loads(odd.read_text()), **change}))
    with pytest.raises(RunError, match=said) as told:
        read_results(tmp_path / "records", "emergence")
    assert str(odd) in str(told.value)
    assert "Delete it, and its cell is run again" in str(told.value)


def test_of_two_records_of_one_cell_none_is_chosen_in_silence(tmp_path: Path) -> None:
    first = next(iter(finished(tmp_path)))
    copy = first.with_name(f"aaa-{first.name}")
    copy.write_bytes(first.read_bytes())
    assert Store(tmp_path).record(json.loads(first.read_text())["address"])  # equal ones are one
    value = json.loads(first.read_text())
    value["final"]["metrics"] |= {"of_a_later_version": 0.5, "tests_passed": 0.123}
    copy.write_text(json.dumps(value))
    Store(tmp_path)  # nor is what a game came to read otherwise a contradiction
    value["final"]["metrics"]["er"] = 0.123
    copy.write_text(json.dumps(value))
    with pytest.raises(RunError, match=r"aaa-.* are records of one cell, and differ"):
        Store(tmp_path)


def test_a_folder_that_may_not_be_read_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = next(iter(finished(tmp_path))).parent
    allowed = os.access  # root may read everything, so that a mode of 0 would show nothing here
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and allowed(path, mode))
    with pytest.raises(RunError, match=f"{re.escape(str(closed))} may not be read"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as a study's manifest"),
        ("[]", "cannot be read as a study's manifest"),
        ('{"format": 1}', "cannot be read as a study's manifest"),
        ('{"format": 1, "cells": [{"address": "ab"}]}', "cannot be read as a study's manifest"),
        ('{"format": 7, "cells": []}', "has format 7"),
        ('{"format": 1, "study": "transfer", "cells": []}', "it is that of the study 'transfer'"),
        ('{"format": 1, "cells": [{"address": "ab", "role": {}}]}', "for nothing"),
        ('{"format": 1, "cells": [{"address": "a", "role": {"b": 1}}, {"address": "a", "role": {"b": 1}}]}', "twice"),
    ],
)
def test_a_torn_manifest_costs_no_cell(tmp_path: Path, text: str, said: str) -> None:
    before = finished(tmp_path)
    manifest = tmp_path / "records" / "emergence" / MANIFEST
    whole = manifest.read_bytes()
    manifest.write_text(text)
    with pytest.raises(RunError, match=said):
        read_results(tmp_path / "records", "emergence")
    with pytest.raises(RunError, match=said):
        Store(tmp_path).plan("emergence", emergence.place(SCOPE), ABOUT)
    manifest.unlink()  # as the message says
    Store(tmp_path).plan("emergence", emergence.place(SCOPE), ABOUT)
    assert manifest.read_bytes() == whole
    assert records_in(tmp_path) == before


def test_what_a_kill_leaves_of_a_record_is_passed_over(tmp_path: Path) -> None:
    before = finished(tmp_path)
    (tmp_path / "records" / "emergence" / ".tamper-flawed-seed0.json.tmp").write_text('{"ha')
    executor = FakeExecutor()
    run_grid("emergence", [p.cell for p in emergence.place(SCOPE)], Store(tmp_path), executor)
    assert executor.started == []
    assert records_in(tmp_path) == before


def test_a_torn_run_says_what_may_be_deleted(base: Path, tmp_path: Path) -> None:
    from gamekeeper.studies.perform import perform

    cell = next(p.cell for p in emergence.place(replace(SCOPE, model=str(base))))
    run = tmp_path / "cells" / cell.name / "run"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    task = grid.Task(cell.address, cell.name, cell.kind, cell.config, {}, str(run.parent))
    with pytest.raises(RunError, match=r"Or delete .*, and the cell starts afresh") as told:
        perform(task, 1, lambda _: None)
    assert str(run.parent) in str(told.value)


@pytest.mark.slow
def test_a_run_directory_of_another_schema_fails_its_cell_alone(base: Path, tmp_path: Path) -> None:
    """With real workers: the cell that finds it says so, the other one is done."""
    scope = replace(SIZES["quick"], games=("compliance",), seeds=(0,), model=str(base))
    scope = replace(scope, train=replace(scope.train, steps=1))
    old, new = (p.cell for p in emergence.place(scope))
    held = Store(tmp_path)
    (held.folder(old) / "run").mkdir(parents=True)
    (held.folder(old) / "run" / "run.json").write_text('{"schema": 99}')
    out = run_grid("emergence", [old, new], held, Pool(1, tmp_path / "logs", threads=1))
    assert out.ran == 1
    assert "schema version 99" in out.failed[old.name]
    assert (held.folder(old) / "run" / "run.json").read_text() == '{"schema": 99}'
    assert Store(tmp_path).record(new.address)


# Clocks


class Backwards:
    """A clock that goes back by an hour each time that it is asked."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        self.now -= 3600.0
        return self.now


def test_a_clock_that_jumps_back_changes_nothing_that_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "time", Backwards())
    told: list[Any] = []
    wanted = [p.cell for p in emergence.place(SCOPE)]
    out = run_grid("emergence", wanted, Store(tmp_path), FakeExecutor(), told.append)
    assert (out.ran, out.failed) == (len(wanted), {})
    assert all(n.left is None or n.left >= 0 for n in told)
    for shift in (-(10**9), 10**9):  # files from 1995, files from the future
        for path in tmp_path.rglob("*"):
            os.utime(path, (time.time() + shift,) * 2)
        executor = FakeExecutor()
        assert run_grid("emergence", wanted, Store(tmp_path), executor).found == len(wanted)
        assert executor.started == []


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 420 kB: two of the four cells below fit."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=420k", "tmpfs", str(place)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("no right to mount a small disk: a study on a full disk was not tested")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_keeps_what_is_done_and_the_next_call_goes_on(base: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    command = ["study", "emergence", "--size", "quick", "--games", "compliance", "--seeds", "0-1", "--workers", "1"]
    command += ["--model", str(base), "--set", "train.steps=2", "--out", str(out)]
    full = CliRunner().invoke(app, command)
    assert full.exit_code == 3
    assert full.exception is None or isinstance(full.exception, SystemExit)
    assert "disk is full" in " ".join(full.stderr.split())
    before = records_in(out)
    assert 0 < len(before) < 4
    assert all(json.loads(data)["final"] for data in before.values())
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["found"], found["ran"]) == (len(before), 4 - len(before))
    assert before.items() <= records_in(out).items()


def no_room(path: Path, *_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("trouble", [{}, {"tamper-flawed-seed1": "no luck"}], ids=["a record", "a failure"])
def test_no_room_for_a_file_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: dict[str, str]
) -> None:
    before = finished(tmp_path)
    more = [p.cell for p in emergence.place(replace(SCOPE, seeds=(0, 1)))]
    monkeypatch.setattr(cell_records, "write_atomic", no_room)
    executor = FakeExecutor(trouble=trouble)
    with pytest.raises(RunError, match=r"disk is full.*by the same command"):
        run_grid("emergence", more, Store(tmp_path), executor)
    assert executor.closed
    assert records_in(tmp_path) == before
    monkeypatch.undo()
    assert run_grid("emergence", more, Store(tmp_path), FakeExecutor()).failed == {}
    assert len(records_in(tmp_path)) == len(more)


def test_no_room_for_the_page_costs_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = finished(tmp_path)
    monkeypatch.setattr(page, "write_atomic", no_room)
    with pytest.raises(RunError, match="disk is full"):
        page.write_study(emergence.answer(read_results(tmp_path / "records", "emergence")), tmp_path / "page.html")
    assert records_in(tmp_path) == before
    assert not (tmp_path / "page.html").exists()


# Kills


def grown(place: Path) -> int:
    """How far a study has come: lines of metrics and records."""
    lines = sum(p.read_bytes().count(b"\n") for p in place.glob("cells/*/run/metrics.jsonl"))
    return lines + len(records_in(place))


def measured(place: Path) -> dict[str, Any]:
    """What the records say, without when and where."""
    return {
        p.name: {k: json.loads(data)[k] for k in ("address", "config", "base", "final", "curves", "dynamics")}
        for p, data in records_in(place).items()
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_it_ends_as_a_quiet_run_does(base: Path, tmp_path: Path) -> None:
    """Both the grid and its worker die at the same moment, a few times; then one call to the end."""
    command = [sys.executable, "-m", "gamekeeper", "study", "emergence", "--size", "quick", "--games", "compliance"]
    command += ["--seeds", "0", "--workers", "2", "--model", str(base), "--set", "train.steps=6", "--json"]
    command += ["--set", "train.checkpoint_every=1"]
    draw, torn, seen = random.Random(7), tmp_path / "torn", dict[Path, bytes]()
    for _ in range(4):
        call = subprocess.Popen(
            [*command, "--out", str(torn)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        aim, deadline = grown(torn) + draw.randint(1, 4), time.monotonic() + 300
        while grown(torn) < aim and call.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01 * draw.random())
        if call.poll() is None:
            os.killpg(call.pid, signal.SIGKILL)
        call.wait()
        assert seen.items() <= records_in(torn).items(), "a finished cell was touched"
        seen = records_in(torn)
    last = subprocess.run([*command, "--out", str(torn)], capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    found = json.loads(last.stdout)
    assert (found["found"], found["ran"], found["failed"]) == (len(seen), 2 - len(seen), {})
    quiet = subprocess.run([*command, "--out", str(tmp_path / "quiet")], capture_output=True, text=True, check=False)
    assert quiet.returncode == 0, quiet.stderr
    assert measured(torn) == measured(tmp_path / "quiet")


def test_a_study_without_a_finished_cell_has_no_page(tmp_path: Path) -> None:
    Store(tmp_path).plan("emergence", emergence.place(SCOPE), ABOUT)
    asked = ["report", "emergence", "--records", str(tmp_path / "records"), "--out", str(tmp_path / "page.html")]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 2
    assert "No cell of the study 'emergence' is finished" in said.output
    assert not (tmp_path / "page.html").exists()
    finished(tmp_path)
    assert CliRunner().invoke(app, asked).exit_code == 0


def test_a_call_that_plans_nothing_new_leaves_the_manifest(tmp_path: Path) -> None:
    first = Store(tmp_path).plan("emergence", emergence.place(SCOPE), ABOUT)
    again = {**ABOUT, "command": "gamekeeper study emergence --workers 7"}
    assert Store(tmp_path).plan("emergence", emergence.place(SCOPE), again) == first
    more = replace(SCOPE, seeds=(*SCOPE.seeds, 99))
    assert Store(tmp_path).plan("emergence", emergence.place(more), again)["command"] == again["command"]
