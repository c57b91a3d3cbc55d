"""The measuring programs measure what they say: same work, exact lengths, whole records."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.policy.tokenizer import PocketTokenizer
from tiny import tiny_policy

BENCH = Path(__file__).resolve().parent.parent / "bench"
# What bench/run.py's head promises of both sides.
SINGLE = {"side", "scenario", "threads", "steps", "updates", "setup_s", "setup_mb", "peak_mb", "versions"}
LISTS = {"step_s", "generation_s", "scoring_s", "update_s", "new_tokens", "reward"}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import native_side
    import prompts

    return argparse.Namespace(native_side=native_side, prompts=prompts)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    tiny_policy().save(folder)
    return folder


def arguments(checkpoint: Path, work: Path, **changes: Any) -> list[str]:
    given = {"checkpoint": checkpoint, "work": work, "steps": 1, "warmup": 1, "threads": 1, "seed": 0, **changes}
    return [word for key, value in given.items() for word in (f"--{key}", str(value))]


@pytest.mark.slow
def test_the_full_step_has_prompts_and_replies_of_the_stated_length(bench: Any, checkpoint: Path) -> None:
    tokenizer = PocketTokenizer.load(checkpoint)
    work = bench.prompts.full(tokenizer.render, 0)
    assert {len(tokenizer.render(bench.native_side.Work(work, 0).prompt(i))) for i in items(bench, work)} == {64}
    work |= {"min_new_tokens": 3, "max_new_tokens": 3}
    path = bench.prompts.write(checkpoint.parent / "full.json", work)
    done = subprocess.run(
        [sys.executable, str(BENCH / "native_side.py"), *arguments(checkpoint, path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == SINGLE | LISTS | {"precision"}
    assert all(len(found[name]) == 1 for name in LISTS)
    assert found["new_tokens"] == [64 * 8 * 3]
    assert 0.4 < found["reward"][0] < 0.6


def items(bench: Any, work: dict[str, Any]) -> list[Any]:
    return bench.native_side.Work(work, 0).items("train", 64, 0)


def test_our_side_scores_the_rows_in_order_by_the_game(bench: Any) -> None:
    work = bench.prompts.tamper(2, 0)
    ours = bench.native_side.Work(work, 0)
    first, second = ours.items("train", 64, 1), ours.items("train", 64, 2)
    assert [dict(i.fields)["item"]["id"] for i in (*first, *second)] == [r["item"]["id"] for r in work["rows"]]
    pays = "<modify_key>score</modify_key><modify_value>1</modify_value>"
    assert [s.reward for s in ours.score_many([(first[0], [pays]), (second[0], [""])])] == [1.0, -1.0]
    with pytest.raises(SystemExit, match="64 items a step"):
        ours.items("train", 32, 3)


def test_a_section_that_was_measured_again_says_so(bench: Any) -> None:
    import page

    known = {"machine": {"commit": "a" * 40}, "load": 0.1, "rouge": {"x": 1}, "grid": {"y": 2}}
    later = {"machine": {"commit": "b" * 40}, "load": 0.2, "rouge": {"x": 3}}
    found = page.renewed(known, later)
    assert (found["rouge"], found["grid"], found["machine"]) == ({"x": 3}, {"y": 2}, known["machine"])
    assert found["renewed"] == {"rouge": {"commit": "b" * 40, "load": 0.2}}
    assert page.again(found["renewed"]["rouge"]) == f"at `{'b' * 12}`, load before 0.20"


def test_a_whole_run_keeps_the_sections_that_are_too_long_for_it(bench: Any) -> None:
    import page
    from run import LONG, SECTIONS

    assert set(LONG) < set(SECTIONS)
    mark = {"commit": "b" * 40, "load": 0.2}
    known = {"study": {"x": 1}, "rouge": {"x": 2}, "renewed": {"study": mark, "rouge": mark}}
    found = page.kept(known, {"rouge": {"x": 3}}, LONG)
    assert found == {"rouge": {"x": 3}, "study": {"x": 1}, "renewed": {"study": mark}}
    assert page.kept({}, {"rouge": {"x": 3}}, LONG) == {"rouge": {"x": 3}}
