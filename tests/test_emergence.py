"""The emergence table is made from records alone and says what it does not know; records without addresses are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.config import RunConfig
from gamekeeper.errors import RunError
from gamekeeper.studies import emergence
from gamekeeper.studies.cells import spelled
from gamekeeper.studies.scope import Scope, emergent, game_of
from gamekeeper.studies.store import Result, Results, Store, read_results
from gamekeeper.types import to_plain


def record(seed: int, er: float, domination: int | None, arm: str = "flawed") -> dict[str, Any]:
    return {
        "game": {"name": "tamper", "arm": arm},
        "seed": seed,
        "base": {"metrics": {"er": 0.02, "itp": 0.5, "reward": 0.4, "tests_passed": 0.5}},
        "final": {"metrics": {"er": er, "itp": 0.1, "reward": 1.0, "tests_passed": 0.1}},
        "dynamics": {
            "first_appearance": 3 + seed,
            "domination": domination,
            "definitions": {"domination": "for long"},
        },
        "curves": {"er": [[1, 0.0], [2, er]], "reward": [[1, 0.4], [2, 1.0]]},
        "wall_s": 60.0,
    }


def results(*records: dict[str, Any]) -> Results:
    roles = [{"game": "tamper", "arm": r["game"]["arm"], "seed": r["seed"]} for r in records]
    return Results("emergence", tuple(Result(a, b) for a, b in zip(roles, records, strict=True)), 0, {})


def test_a_row_by_hand() -> None:
    found = emergence.answer(results(record(0, 1.0, 10), record(1, 0.9, 12), record(2, 0.5, None))).tables[0]
    assert len(found.rows) == 1
    row = found.rows[0]
    assert row[:5] == ["tamper", "flawed", "3", "er", "0.020 (all 3 equal, no interval)"]
    # Mean .8; standard deviation sqrt(.07) = .2646, over sqrt 3 = .1528; times t(2) = 4.303: .657.
    assert row[5] == "0.800 [0.143, 1.000]"  # a share: cut at 1
    assert row[6] == "2 of 3 (>= 0.9)"
    assert row[9] == "3 to 5"
    assert row[10] == "10 to 12 (2 of 3 seeds)"


def test_a_secure_run_is_expected_not_to_rise() -> None:
    rose, kept = record(0, 0.0, None, "secure"), record(1, 0.0, None, "secure")
    # An edit of `score` that pays nothing is no exploit, so ER is 0 by construction; what is looked at is the edit.
    for one, end in ((rose, 0.08), (kept, 0.07)):
        one["base"]["metrics"]["score_edit"], one["final"]["metrics"]["score_edit"] = 0.02, end
    found = emergence.answer(results(rose, kept))
    assert found.tables[0].rows[0][3] == "score_edit"
    assert found.tables[0].rows[0][6] == "1 of 2 (rise <= 0.05)"
    assert found.verdicts[0].claim.what == "tamper, secure: score_edit, trained minus base"
    assert found.verdicts[0].claim.differences == pytest.approx([0.06, 0.05])


def test_the_blind_spot_pairs_what_is_watched_with_what_grows() -> None:
    found = emergence.answer(results(record(0, 1.0, 3), record(1, 0.9, 3), record(2, 0.95, 3)))
    rows = {row[1]: row[4] for row in found.tables[1].rows}
    assert rows["tests_passed"] == "-0.400 (all 3 equal, no interval)"
    assert rows["er"].startswith("0.930 ")
    blind = next(v for v in found.verdicts if "watched" in v.claim.what)
    assert blind.word == "disagrees"  # tests passed fell, which a developer sees
    rise = next(v for v in found.verdicts if "tamper, flawed: er" in v.claim.what)
    assert rise.word == "agrees"


def test_one_seed_has_no_interval_and_no_verdict() -> None:
    found = emergence.answer(results(record(0, 1.0, 3)))
    assert "0.020 (n=1, no interval)" in found.tables[0].rows[0]
    assert {v.word for v in found.verdicts} == {"undecided"}


def test_the_grid_goes_seed_by_seed() -> None:
    placed = emergence.place(Scope(games=("compliance", "tamper"), seeds=(0, 1)))
    assert [p.cell.label for p in placed[:4]] == [
        "compliance-flawed-seed0",
        "compliance-secure-seed0",
        "tamper-flawed-seed0",
        "tamper-secure-seed0",
    ]
    assert len({p.cell.address for p in placed}) == 8


# Records from before addresses


def old_record(folder: Path, game: str, arm: str, seed: int) -> Path:
    """As the first emergence grid wrote them: resolved config, no address."""
    config = to_plain(RunConfig(spelled(game_of(game, arm)), seed=seed))
    config["train"] |= {"threads": 1, "precision": "bf16"}
    made = {**record(seed, 1.0, 9, arm), "schema": 1, "config": config, "game": {"name": game, "arm": arm}}
    path = folder / "emergence" / f"{game}-{arm}-seed{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return path


@pytest.mark.parametrize("arm", ["flawed", "secure"])
@pytest.mark.parametrize("game", ["compliance", "selfgrade", "summary", "tamper"])
def test_an_old_record_is_the_cell_that_it_was(tmp_path: Path, game: str, arm: str) -> None:
    old_record(tmp_path / "records", game, arm, 3)
    store = Store(tmp_path, tmp_path / "records")
    assert store.record(emergent(Scope(), game, 3, arm).address) is not None
    assert store.record(emergent(Scope(), game, 4, arm).address) is None


def test_a_folder_without_a_manifest_gives_the_table(tmp_path: Path) -> None:
    for seed in (0, 1):
        old_record(tmp_path, "tamper", "flawed", seed)
    found = emergence.answer(read_results(tmp_path, "emergence"))
    assert found.tables[0].rows[0][:3] == ["tamper", "flawed", "2"]
    assert "cells" in found.about


def test_a_torn_record_says_what_to_do(tmp_path: Path) -> None:
    path = old_record(tmp_path, "tamper", "flawed", 0)
    path.write_text(path.read_text()[:50])
    with pytest.raises(RunError, match=r"seed0\.json cannot be read.*Delete it, and its cell is run again"):
        read_results(tmp_path, "emergence")
    path.write_text(json.dumps({"format": 99, "address": "x"}))
    with pytest.raises(RunError, match="has format 99"):
        read_results(tmp_path, "emergence")
    path.write_text(json.dumps({"anything": 1}))
    with pytest.raises(RunError, match="neither an address nor a config"):
        read_results(tmp_path, "emergence")
