"""Studies for real, in miniature: a tiny random model, real worker processes, kills, and the command line.

A tiny model finds nothing out; what is tested is that every kind of cell runs, resumes and is recorded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.cli import app
from gamekeeper.cli.studying import call_for_records, columns_of, seeds_in
from gamekeeper.config import EvalConfig, RunConfig, SftConfig, TrainConfig
from gamekeeper.errors import RunError, UsageError
from gamekeeper.studies.catalogue import study_of
from gamekeeper.studies.cells import Cell, Lesson, eval_cell, pretrain_cell, sft_cell, train_cell
from gamekeeper.studies.grid import Event, Task, run_grid
from gamekeeper.studies.perform import perform
from gamekeeper.studies.pool import Pool, ending, threads_for
from gamekeeper.studies.scope import SIZES, game_of
from gamekeeper.studies.store import Store
from tiny import tiny_policy

TRAIN = TrainConfig(steps=2, items_per_step=4, group=2, minibatches=1, precision="fp32")
EVAL = EvalConfig(items=4, samples=1)
SMALL = ["--size", "quick", "--games", "compliance", "--seeds", "0", "--workers", "1"]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that the native trainer reads, small enough to train in a second."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_policy().save(folder)
    return folder


def run_cell(base: Path, steps: int = 2, seed: int = 0) -> Cell:
    from dataclasses import replace

    return train_cell(f"c{seed}", RunConfig(game_of("compliance"), replace(TRAIN, steps=steps), EVAL, str(base), seed))


def task_of(cell: Cell, folder: Path, **models: str) -> Task:
    return Task(cell.address, cell.name, cell.kind, cell.config, models, str(folder))


# Cells, in this process


@pytest.mark.slow
def test_every_kind_of_cell_leaves_a_record_and_a_checkpoint(base: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    shares: list[float] = []

    def done(cell: Cell) -> dict[str, Any]:
        models = {n.address: str(store.checkpoint(n)) for n in cell.needs}
        record = perform(task_of(cell, store.folder(cell), **models), 1, shares.append)
        json.dumps(record, allow_nan=False)
        store.keep("test", cell, record)
        return record

    trained = run_cell(base)
    record = done(trained)
    assert record["config"]["model"] == str(base)
    assert set(record["curves"]) >= {"reward", "itp", "er"}
    assert [s for s, _ in record["curves"]["reward"]] == [1, 2]
    assert store.checkpoint(trained) is not None
    assert shares[-1] == 1.0

    measured = eval_cell("m", game_of("selfgrade"), EVAL, trained, 0)
    assert "itp" in done(measured)["final"]["metrics"]
    assert store.checkpoint(measured) is None

    sft = SftConfig(samples=6, epochs=1, tokens_per_batch=512, measure_every=1)
    student = sft_cell("s", Lesson(game_of("compliance"), sft, trained), EVAL, str(base), 0)
    record = done(student)
    assert record["lesson"] == {"asked": 6, "used": 6, "sampled": 6}
    assert record["curves"]["itp"][0][0] == 0
    assert record["config"]["teacher"] == trained.reference
    assert store.checkpoint(student) is not None

    again = train_cell("t", RunConfig(game_of("compliance", "secure"), TRAIN, EVAL), student)
    assert done(again)["base"]["metrics"] is not None

    honest = sft_cell("h", Lesson(game_of("selfgrade"), sft), EVAL, student, 0)
    assert done(honest)["teacher"] is None


@pytest.mark.slow
def test_the_base_of_a_run_is_the_measurement_that_transfer_pairs_with(base: Path, tmp_path: Path) -> None:
    """Transfer reads the base off the runs: it must be what measuring the base with that seed gives."""
    trained = perform(task_of(run_cell(base), tmp_path / "a"), 1, lambda _: None)
    measured = perform(
        task_of(eval_cell("m", game_of("compliance"), EVAL, str(base), 0), tmp_path / "b"), 1, lambda _: None
    )
    assert trained["base"]["metrics"] == pytest.approx(measured["final"]["metrics"])


def test_a_matched_student_stops_early(base: Path, tmp_path: Path) -> None:
    """Teacher and student are the same random model: matched at the first look."""
    sft = SftConfig(samples=16, epochs=2, tokens_per_batch=256, measure_every=1, learning_rate=1e-6)
    lesson = Lesson(game_of("compliance"), sft, str(base), match=True)
    record = perform(task_of(sft_cell("s", lesson, EVAL, str(base), 0), tmp_path), 1, lambda _: None)
    if "er" in record["final"]["metrics"]:
        assert [s for s, _ in record["curves"]["er"]] == [0, 1]


def test_a_base_of_another_size_is_made_and_trained_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gamekeeper.studies import pretraining

    monkeypatch.setattr(pretraining, "TOKENIZER_DOCUMENTS", 40)
    sizes = {"vocab": 300, "width": 32, "layers": 1, "heads": 2, "kv_heads": 1, "head_width": 16, "ffn": 48}
    made = pretrain_cell("base", sizes, 2)
    shares: list[float] = []
    record = perform(task_of(made, tmp_path / "base"), 1, shares.append)
    assert shares == [0.5, 1.0]
    assert record["config"] == {"sizes": sizes, "steps": 2, "seed": 0}
    assert record["curves"]["loss"][0][0] == 1
    # Half-made, it is begun anew; whole, it is not made again.
    (tmp_path / "other" / "model").mkdir(parents=True)
    (tmp_path / "other" / "model" / "tokenizer.json").write_text("{}")
    again = perform(task_of(made, tmp_path / "other"), 1, shares.append)
    assert again["curves"] == record["curves"]
    assert perform(task_of(made, tmp_path / "base"), 1, shares.append)["curves"] == record["curves"]
    assert len(shares) == 4
    run = train_cell("t", RunConfig(game_of("compliance"), TRAIN, EVAL), made)
    found = perform(
        task_of(run, tmp_path / "run", **{made.address: str(tmp_path / "base" / "model")}), 1, shares.append
    )
    assert found["config"]["model"] == made.reference


# Worker processes


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(1, tmp_path / "logs", threads=1)
    yield made
    made.close()


def news(pool: Pool) -> Event:
    while (event := pool.next()).what == "at":
        pass
    return event


@pytest.mark.slow
def test_a_worker_does_cell_after_cell_and_survives_a_failure(base: Path, tmp_path: Path, pool: Pool) -> None:
    good, bad = run_cell(base), run_cell(base, seed=1)
    broken = Task(bad.address, bad.name, bad.kind, {**bad.config, "model": "/nowhere"}, {}, str(tmp_path / "bad"))
    pool.start(broken)
    event = news(pool)
    assert (event.address, event.what) == (bad.address, "failed")
    assert "/nowhere" in event.value
    pool.start(task_of(good, tmp_path / "good"))
    event = news(pool)
    assert (event.what, event.value["seed"]) == ("done", 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_worker_costs_its_cell_and_is_replaced(base: Path, tmp_path: Path, pool: Pool) -> None:
    pool.start(task_of(run_cell(base, steps=10_000), tmp_path / "long"))
    assert pool.next().what == "at"
    process = pool._all[0]._process
    assert process is not None
    process.kill()
    event = news(pool)
    assert event.what == "failed"
    assert "its worker died: SIGKILL" in event.value
    pool.start(task_of(run_cell(base), tmp_path / "short"))
    assert news(pool).what == "done"


def leaving(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that holds a folder for a while, as the worker of a killed grid does until it notices."""
    code = (
        "import time; from pathlib import Path; from gamekeeper.studies.disk import lock\n"
        f"held = lock(Path({str(folder)!r}))\n"
        f"print('held', flush=True); time.sleep({seconds})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.slow
def test_a_cell_waits_for_the_worker_that_is_about_to_leave_it(base: Path, tmp_path: Path) -> None:
    with leaving(tmp_path, 1.0):
        record = perform(task_of(run_cell(base, 1), tmp_path), 1, lambda _: None)
    assert len(record["curves"]["reward"]) == 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.slow
def test_a_cell_interrupted_in_its_run_is_done_by_a_worker_of_any_threads(
    base: Path, tmp_path: Path, threads: int
) -> None:
    """--workers may be another the second time."""

    def halfway(share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(task_of(run_cell(base, 4), tmp_path), 1, halfway)
    record = perform(task_of(run_cell(base, 4), tmp_path), threads, lambda _: None)
    assert record["threads"] == threads
    assert len(record["curves"]["reward"]) == 4


def test_a_cell_does_not_share_its_folder(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gamekeeper.studies import perform as room

    monkeypatch.setattr(room, "_PATIENCE_S", 0.2)
    with leaving(tmp_path, 60.0) as other:
        with pytest.raises(RunError, match="Another process is writing to"):
            perform(task_of(run_cell(base, 1), tmp_path), 1, lambda _: None)
        other.kill()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_leave_when_the_grid_is_killed_and_the_next_call_goes_on(base: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gamekeeper", "study", "emergence", *SMALL, "--model", str(base)]
    command += ["--out", str(tmp_path), "--set", "train.steps=24", "--set", "train.checkpoint_every=2"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    saved = tmp_path / "cells"
    deadline = time.monotonic() + 900
    while not list(saved.glob("*/run/checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    steps = [int(p.name[5:]) for p in saved.glob("*/run/checkpoints/step-*")]
    assert steps, "no checkpoint in time"
    assert max(steps) < 24
    done = subprocess.run(
        command, capture_output=True, text=True, check=False
    )  # at once: the worker may still be there
    assert done.returncode == 0, done.stderr
    records = sorted((tmp_path / "records" / "emergence").glob("compliance*.json"))
    assert len(records) == 2
    assert [s for s, _ in json.loads(records[0].read_text())["curves"]["reward"]] == list(range(1, 25))


# The command line


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_the_recorded_call_says_nothing_of_this_machine() -> None:
    words = [
        "study",
        "transfer",
        "--out",
        "/home/me/runs",
        "--seeds",
        "0-4",
        "--ray=ray://10.0.0.1:1",
        "--workers",
        "2",
    ]
    assert call_for_records(words) == "gamekeeper study transfer --seeds 0-4 --workers 2"


def test_studies_are_listed(runner: CliRunner) -> None:
    found = json.loads(runner.invoke(app, ["study", "--json"]).output)
    assert [s["name"] for s in found][:2] == ["emergence", "transfer"]
    assert len(found) == 8


def test_a_dry_run_counts_cells_and_writes_nothing(runner: CliRunner, tmp_path: Path) -> None:
    found = json.loads(runner.invoke(app, ["study", "emergence", "--dry-run", "--json"]).output)
    assert (found["cells"], len(found["to_do"])) == (40, 40)
    assert 300 < found["expected_s"] < 3600
    text = runner.invoke(app, ["study", "audit-grid", "--dry-run", "--seeds", "0"]).output
    assert "25 cells, 0 of them finished; 25 to run" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["emergense"], "Did you mean 'emergence'?"),
        (["emergence", "--seeds", "4-1"], "must rise"),
        (["emergence", "--seeds", "a"], "not of the form 0-4 or 0,3,7"),
        (["emergence", "--games", "temper"], "Did you mean 'tamper'?"),
        (["audit-grid", "--games", "tamper"], "about selfgrade alone"),
        (["emergence", "--size", "huge"], "Unknown size 'huge'"),
        (["emergence", "--workers", "0"], "--workers must be at least 1"),
        (["emergence", "--set", "train.stepz=1"], "train.steps"),
        (["emergence", "--set", "sft.samples=0", "--dry-run"], "must be at least 1"),
        (["emergence", "--model", "/nowhere", "--dry-run"], "no checkpoint"),
    ],
)
def test_a_wrong_call_says_so(runner: CliRunner, arguments: list[str], said: str) -> None:
    result = runner.invoke(app, ["study", *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def asked(runner: CliRunner, *arguments: str) -> tuple[int, str]:
    done = runner.invoke(app, ["study", *arguments, "--dry-run"])
    return done.exit_code, " ".join(done.stderr.split())


def test_a_setting_that_would_change_nothing_is_refused(runner: CliRunner) -> None:
    code, said = asked(runner, "distill", "--set", "sft.samples=3")
    assert (code, "sft.samples changes nothing in the study 'distill'" in said) == (2, True)
    assert asked(runner, "distill", "--set", "sft.epochs=1")[0] == 0
    assert asked(runner, "emergence", "--set", "train.checkpoint_every=7")[0] == 0


def test_cells_of_other_settings_are_not_mixed_into_a_table(runner: CliRunner, tmp_path: Path) -> None:
    placed = study_of("emergence").place(SIZES["pocket"])
    Store(tmp_path).plan("emergence", placed, {"settings": {}, "command": "gamekeeper study emergence", "commit": None})
    assert asked(runner, "emergence", "--out", str(tmp_path), "--seeds", "7")[0] == 0
    code, said = asked(runner, "emergence", "--out", str(tmp_path), "--size", "quick")
    assert code == 2
    assert "(made by: gamekeeper study emergence): 24 of its 24 cells" in said
    assert "must not mix them" in said


def test_scale_and_studies_of_pairs_say_what_they_need(runner: CliRunner, base: Path) -> None:
    assert asked(runner, "scale", "--model", str(base))[0] == 2
    assert "compares bases" in asked(runner, "scale", "--model", str(base))[1]
    for name in ("transfer", "catalysis"):
        code, said = asked(runner, name, "--games", "tamper")
        assert (code, "--games needs 2 of them at least" in said) == (2, True)


def test_an_out_that_is_a_link_to_nothing(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    code, said = asked(runner, "emergence", "--out", "link")
    assert (code, "is a link to nothing" in said) == (2, True)


def test_an_out_that_is_a_file_and_a_study_without_records(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = runner.invoke(app, ["study", "emergence", "--out", "file"])
    assert (result.exit_code, "is a file" in result.stderr) == (2, True)
    result = runner.invoke(app, ["report", "emergence"])
    assert result.exit_code == 2
    assert "no records of the study 'emergence'" in " ".join(result.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_miniature_study_and_its_page(runner: CliRunner, base: Path, tmp_path: Path) -> None:
    call = ["study", "transfer", "--size", "quick", "--games", "compliance,selfgrade", "--seeds", "0", "--json"]
    call += ["--model", str(base), "--set", "train.steps=1", "--out", "out"]
    result = runner.invoke(app, call)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["ran"], found["failed"]) == (4, {})
    assert len(found["findings"]["heats"]) == 2
    again = json.loads(runner.invoke(app, call).stdout)
    assert (again["ran"], again["found"]) == (0, 4)
    made = runner.invoke(app, ["report", "transfer", "--records", "out/records", "--out", "page.html"])
    assert made.exit_code == 0, made.stderr
    assert "Does a policy that has learnt one exploit" in (tmp_path / "page.html").read_text()


def test_a_study_with_a_failed_cell_ends_with_3_and_keeps_the_others(
    runner: CliRunner, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fake_studies import FakeExecutor
    from gamekeeper.cli import studying

    monkeypatch.setattr(studying, "_executor", lambda *_: FakeExecutor(trouble={"compliance-secure": "no luck"}))
    result = runner.invoke(app, ["study", "emergence", *SMALL, "--model", str(base), "--out", "out"])
    assert result.exit_code == 3
    said = " ".join(result.stderr.split())
    assert "1 cells failed" in said
    assert "no luck" in said
    assert "Does the exploit emerge?" in result.output
    assert (tmp_path / "out" / "emergence.html").exists()


# Small things


def test_seeds_are_read() -> None:
    assert seeds_in("0-2,5, 1") == (0, 1, 2, 5)
    for wrong in ("", "-1", "1-", "0-100000", "1.5"):
        with pytest.raises(UsageError):
            seeds_in(wrong)


def test_columns_line_up_and_are_never_broken() -> None:
    assert columns_of([["a", "b"], ["long one", "c"]]) == ["a         b", "long one  c"]


def test_endings_in_words() -> None:
    assert ending(-9).startswith("SIGKILL")
    assert ending(3) == "it ended with status 3"
    assert threads_for(10_000) == 1


def test_a_grid_with_real_workers_records_what_they_did(base: Path, tmp_path: Path) -> None:
    cells = [run_cell(base, 1), run_cell(base, 1, seed=1)]
    out = run_grid("test", cells, Store(tmp_path), Pool(1, tmp_path / "logs", threads=1))
    assert (out.ran, out.failed) == (2, {})
    assert [Store(tmp_path).record(c.address)["threads"] for c in cells] == [1, 1]  # type: ignore[index]
