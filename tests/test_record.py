"""The run directory: what is written is what is read, whatever the text and whenever the writer is killed."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamekeeper.errors import RunError, UnknownName, UsageError
from gamekeeper.metrics import Metric
from gamekeeper.studies import disk, rollouts
from gamekeeper.studies.record import Record, Rollout, RunWriter, load_run
from gamekeeper.types import Message, Score

ANY_TEXT = st.text(st.characters(exclude_categories=()))
HOSTILE = "\x00 \ud800 \udfff \U0010ffffd800 \U0010ffff </script> \u2028 \r\n\t é 😀 " + "\ud83d" + "\ude00"


def row(reply: str = "a reply", index: int = 0, **changes: Any) -> Rollout:
    prompts = ((Message("system", "be kind"), Message("user", f"task {index}")),)
    given = {"replies": (reply,), "score": Score(0.5, 1.0, False, "stated", facts={"n": 3}), "prompts": prompts}
    return Rollout(index, f"item-{index}", **{**given, **changes})


def play(run: RunWriter, steps: range) -> None:
    """The same calls for the same steps, always."""
    for step in steps:
        run.rollouts(step, "train", [row(f"{step} {i}", i) for i in range(3)])
        run.metrics(step, "train", {"reward": step / 7, "er": 0.1, "step_s": 1.25}, {"er": (0.0, 0.2)})


def files(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()}


# Round trips


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", {"game": {"name": "tamper"}}, seed=3) as run:
        run.metrics(0, "eval", {"reward": 0.25, "er": 0.0}, {"reward": (0.2, 0.3)})
        play(run, range(1, 3))
        run.finish(wall_s=1.5)
    read = load_run(tmp_path / "run")
    assert (read.status, read.info["seed"], read.info["config"]) == ("finished", 3, {"game": {"name": "tamper"}})
    assert read.metrics[0] == Record(0, "eval", {"reward": 0.25, "er": 0.0}, {"reward": (0.2, 0.3)})
    assert read.metrics[2] == Record(2, "train", {"reward": 2 / 7, "er": 0.1, "step_s": 1.25}, {"er": (0.0, 0.2)})
    assert read.series("er") == [(1, 0.1), (2, 0.1)]
    assert read.base == read.metrics[0]
    assert read.final is None
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "metrics.jsonl",
        "rollouts.parquet",
        "run.json",
        "timings.jsonl",
    ]


def test_what_a_clock_measured_is_kept_apart(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        run.metrics(1, "train", {"reward": 1.0, "step_s": 2.5})
    assert "step_s" not in (tmp_path / "metrics.jsonl").read_text()
    assert load_run(tmp_path).metrics[0].metrics == {"reward": 1.0, "step_s": 2.5}


def test_equal_calls_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with RunWriter.create(tmp_path / name, {}) as run:
            play(run, range(1, 4))
            a_name, b_name = ("er", "truth") if name == "a" else ("truth", "er")
            run.metrics(4, "train", {a_name: 0.5, b_name: 0.5})  # the order of a mapping does not count
            run.finish()
    a, b = files(tmp_path / "a"), files(tmp_path / "b")
    assert a["metrics.jsonl"] == b["metrics.jsonl"]
    assert list(load_run(tmp_path / "a").rollouts()) == list(load_run(tmp_path / "b").rollouts())


@given(ANY_TEXT)
def test_escape_is_reversible_utf8(text: str) -> None:
    stored = rollouts.escape(text)
    assert rollouts.unescape(stored.encode("utf-8").decode("utf-8")) == text


@given(st.text())
def test_escape_leaves_ordinary_text_alone(text: str) -> None:
    assert rollouts.escape(text) == text or "\U0010ffff" in text


def test_escape_by_hand() -> None:
    assert rollouts.escape("a\ud800b") == "a\U0010ffffd800b"
    assert rollouts.escape("\U0010ffffd800") == "\U0010ffffffffd800"
    assert rollouts.unescape("\U0010ffffffffd800") == "\U0010ffffd800"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_TEXT, ANY_TEXT, st.none() | st.floats(allow_nan=False), st.none() | st.booleans())
def test_any_episode_survives(tmp_path: Path, text: str, other: str, number: float | None, flag: bool | None) -> None:
    score = Score(number, number, flag, text, other, {"said": text, "n": number, "on": flag})
    given = Rollout(4, other, ((Message(text, other),), ()), (text, other), score, 9, "eval")
    with RunWriter.create(tmp_path / "run", {}) as run:
        run.rollouts(9, "eval", [given])
        run.finish()
    assert list(load_run(tmp_path / "run").rollouts()) == [given]
    shutil.rmtree(tmp_path / "run")


def test_hostile_and_huge_replies_survive(tmp_path: Path) -> None:
    huge = (HOSTILE + "x" * 60) * 11_000
    with RunWriter.create(tmp_path, {}) as run:
        run.rollouts(1, "train", [row(huge), row(HOSTILE, replies=())])
    first, second = load_run(tmp_path).rollouts()
    assert first.replies == (huge,)
    assert second.replies == ()
    assert len(huge) > 1_000_000


def test_rows_come_in_order_of_time_and_can_be_chosen(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        run.rollouts(2, "eval", [row("c")])
        run.rollouts(2, "train", [row("old"), row("old")])
        run.rollouts(2, "train", [row("a"), row("b")])
        run.rollouts(100_000, "train", [row("d")])
        run.rollouts(3, "train", [])
    read = load_run(tmp_path)
    assert [r.replies[0] for r in read.rollouts()] == ["a", "b", "c", "d"]
    assert [(r.step, r.replies[0]) for r in read.rollouts({1, 3})] == [(2, "b"), (100_000, "d")]
    assert [t.num_rows for t in read.tables(["step"])] == [2, 1, 1]


# Resuming


@pytest.mark.parametrize("ending", ["killed", "finished", "stopped"])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, ending: str) -> None:
    with RunWriter.create(tmp_path / "whole", {}) as run:
        play(run, range(1, 7))
        run.finish()
    with RunWriter.create(tmp_path / "cut", {}) as run:
        play(run, range(1, 6))
        if ending != "killed":
            run.finish(ending)
    with (tmp_path / "cut/metrics.jsonl").open("ab") as lines:
        lines.write(b'{"step": 6, "pha')
    with RunWriter.resume(tmp_path / "cut", 3) as run:
        assert load_run(tmp_path / "cut").status == "running"
        assert run.has(3, "train")
        assert not run.has(4, "train")
        assert {r.step for r in load_run(tmp_path / "cut").rollouts()} == {1, 2, 3}
        play(run, range(4, 7))
        run.finish()
    whole, cut = files(tmp_path / "whole"), files(tmp_path / "cut")
    assert whole["metrics.jsonl"] == cut["metrics.jsonl"]
    assert list(load_run(tmp_path / "whole").rollouts()) == list(load_run(tmp_path / "cut").rollouts())


def test_metrics_cut_at_any_byte_stay_readable(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 4))
    lines = tmp_path / "metrics.jsonl"
    whole, records = lines.read_bytes(), load_run(tmp_path).metrics
    for size in range(len(whole)):
        lines.write_bytes(whole[:size])
        assert load_run(tmp_path).metrics == records[: whole[:size].count(b"\n")]


def test_a_kill_while_joining_or_taking_apart_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 4))
        parts = {p.name: p.read_bytes() for p in (tmp_path / "rollouts").iterdir()}
        run.finish()
    expected = list(load_run(tmp_path).rollouts())
    (tmp_path / "rollouts").mkdir()  # as if killed before the parts were removed
    for name, data in list(parts.items())[:2]:
        (tmp_path / "rollouts" / name).write_bytes(data)
    (tmp_path / "rollouts" / ".part-00003-train.parquet.tmp").write_bytes(b"half")
    assert list(load_run(tmp_path).rollouts()) == expected
    with RunWriter.resume(tmp_path, 2):
        assert list(load_run(tmp_path).rollouts()) == expected[:6]


KILLED = """
import sys
from gamekeeper.studies.record import RunWriter, Rollout
from gamekeeper.types import Message, Score
run = RunWriter.create(sys.argv[1], {})
print("ready", flush=True)
step = 0
while True:
    step += 1
    run.rollouts(step, "train", [Rollout(0, "i", ((Message("user", "u"),),), ("r" * 9999,), Score(1.0, 1.0, False))])
    run.metrics(step, "train", {"reward": step / 3})
    run.info(wall_s=step)
    if step == 3:
        print("going", flush=True)
"""


def test_sigkill_leaves_a_readable_run(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert [process.stdout.readline(), process.stdout.readline()] == [b"ready\n", b"going\n"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    read = load_run(tmp_path / "run")
    steps = [r.step for r in read.metrics]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 3
    assert len(list(read.rollouts())) in (len(steps), len(steps) + 1)
    RunWriter.resume(tmp_path / "run", 2).close()
    assert [r.step for r in load_run(tmp_path / "run").metrics] == [1, 2]


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    resume = f"from gamekeeper.studies.record import RunWriter; RunWriter.resume({str(tmp_path)!r}, 0).close()"
    with RunWriter.create(tmp_path, {}):
        tried = subprocess.run([sys.executable, "-c", resume], capture_output=True, text=True)
        assert "RunError: Another process is writing to" in tried.stderr
    assert subprocess.run([sys.executable, "-c", resume], capture_output=True).returncode == 0


def test_importing_the_record_is_light() -> None:
    code = (
        "import gamekeeper.studies.record, sys; print([m for m in ('pyarrow', 'numpy', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


# What is refused


def test_a_record_is_written_once(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 2))
        before = files(tmp_path)["metrics.jsonl"]
        play(run, range(1, 2))
        assert files(tmp_path)["metrics.jsonl"] == before
        with pytest.raises(RunError, match="another train record of step 1"):
            run.metrics(1, "train", {"reward": 0.9})


@pytest.mark.parametrize(
    ("metrics", "intervals", "error"),
    [
        ({"rewrd": 1.0}, {}, UnknownName),
        ({"reward": math.nan}, {}, UsageError),
        ({"reward": 1.0}, {"reward": (0.0, math.inf)}, UsageError),
        ({"reward": 1.0}, {"reward": (2.0, 1.0)}, UsageError),
    ],
)
def test_only_declared_finite_numbers_are_recorded(
    tmp_path: Path, metrics: dict[str, float], intervals: dict[str, tuple[float, float]], error: type[Exception]
) -> None:
    with RunWriter.create(tmp_path, {}) as run, pytest.raises(error):
        run.metrics(1, "train", metrics, intervals)
    assert load_run(tmp_path).metrics == []


def test_wrong_steps_phases_and_endings(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        with pytest.raises(UnknownName, match="Did you mean 'train'"):
            run.metrics(1, "trian", {})
        with pytest.raises(UsageError, match="0 or more"):
            run.rollouts(-1, "train", [])
        with pytest.raises(UnknownName, match="finished"):
            run.finish("done")


def test_own_metrics_of_a_game_are_declared_with_the_run(tmp_path: Path) -> None:
    own = Metric("bites", "mean bites", 0, math.inf, "down", "ours")
    with RunWriter.create(tmp_path, {}, own_metrics=[own]) as run:
        run.metrics(1, "train", {"bites": 3.0})
    with RunWriter.resume(tmp_path, 1) as run:
        run.metrics(2, "train", {"bites": 4.0})
    assert load_run(tmp_path).table["bites"] == own
    json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", {}):
        pass
    with pytest.raises(RunError, match=r"already holds a run.*--resume"):
        RunWriter.create(tmp_path / "run", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        RunWriter.create(tmp_path / "file", {})
    with pytest.raises(RunError, match="could not be written"):
        RunWriter.create(tmp_path / "file" / "run", {})


def failing(number: int) -> int:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full.*--resume"), (errno.EACCES, "No permission")]
)
def test_disk_faults_are_told_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 3))
        before, info = files(tmp_path)["metrics.jsonl"], files(tmp_path)["run.json"]
        write = os.write

        def half(handle: int, data: bytes) -> int:
            if len(data) > 4:
                return write(handle, data[:4])
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(disk.os, "write", lambda h, d: half(h, d) if len(d) > 60 else failing(number))
            with pytest.raises(RunError, match=words):
                run.metrics(3, "train", {"reward": 0.5})
            patched.setattr(disk.os, "fsync", lambda h: failing(number))
            with pytest.raises(RunError, match=words):
                run.info(wall_s=1)
            with pytest.raises(RunError, match=words):
                run.rollouts(3, "train", [row()])
        assert files(tmp_path)["metrics.jsonl"] == before
        assert files(tmp_path)["run.json"] == info
        assert not list(tmp_path.rglob("*.tmp"))
        play(run, range(3, 4))
        run.finish()
    assert [r.step for r in load_run(tmp_path).metrics] == [1, 2, 3]


def test_a_directory_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such directory"):
        load_run(tmp_path / "none")
    with RunWriter.create(tmp_path / "inside", {}):
        pass
    with pytest.raises(RunError, match=r"not a run directory. Runs inside it: inside"):
        load_run(tmp_path)
    with pytest.raises(RunError, match="is a file"):
        load_run(tmp_path / "inside" / "run.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": 2}', "schema version 2"),
        ("[]", "schema version None"),
        ('{"sche', "cannot be read"),
        ("\xff", "read"),
    ],
)
def test_run_json_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=words):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"step": 1}', '{"step": "x", "phase": "train", "metrics": {}}', "\xff"]
)
def test_a_damaged_line_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 3))
    lines = (tmp_path / "metrics.jsonl").read_bytes().split(b"\n")
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([lines[0], line.encode("latin-1"), lines[1], b""]))
    with pytest.raises(RunError, match=r"Line 2 of .* is not a record"):
        _ = load_run(tmp_path).metrics
    with pytest.raises(RunError, match="Line 2"):
        RunWriter.resume(tmp_path, 2)


def test_damaged_or_foreign_parquet_is_told(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    with RunWriter.create(tmp_path, {}) as run:
        play(run, range(1, 2))
        run.finish()
    whole = tmp_path / "rollouts.parquet"
    data = whole.read_bytes()
    for damaged in (b"", data[:40], data[:-9], b"x" * len(data)):
        whole.write_bytes(damaged)
        with pytest.raises(RunError, match="cannot be read as a parquet file"):
            list(load_run(tmp_path).rollouts())
    parquet.write_table(pa.table({"step": [1]}), whole)
    with pytest.raises(RunError, match="lacks the columns phase, group"):
        list(load_run(tmp_path).rollouts())
