"""The emergence table is made from records alone and says what it does not know."""

from __future__ import annotations

from gamekeeper.studies.emergence import cells, shown, table
from gamekeeper.studies.stats import over_seeds


def record(seed: int, er: float, domination: int | None) -> dict:
    return {
        "game": {"name": "tamper", "arm": "flawed"},
        "seed": seed,
        "base": {"metrics": {"er": 0.02, "itp": 0.5}},
        "final": {"metrics": {"er": er, "itp": 0.1}},
        "dynamics": {"first_appearance": 3 + seed, "domination": domination},
        "wall_s": 60.0,
    }


def test_a_row_by_hand() -> None:
    rows = table([record(0, 1.0, 10), record(1, 0.9, 12), record(2, 0.5, None)]).splitlines()
    assert len(rows) == 3
    cells_of_row = [c.strip() for c in rows[2].strip("|").split("|")]
    assert cells_of_row[:5] == ["tamper", "flawed", "3", "`er`", "0.020 [0.020, 0.020]"]
    # Mean .8; standard deviation sqrt(.07) = .2646, over sqrt 3 = .1528; times t(2) = 4.303: .657.
    assert cells_of_row[5] == "0.800 [0.143, 1.000]"  # a share: cut at 1
    assert cells_of_row[6] == "2 of 3 (>= 0.9)"
    assert cells_of_row[9] == "3 to 5"
    assert cells_of_row[10] == "10 to 12 (2 of 3 seeds)"


def test_unknown_is_said() -> None:
    assert shown(over_seeds([])) == "unknown"
    assert shown(over_seeds([0.5])) == "0.500 (n=1, no interval)"
    assert "never" in table([{**record(0, 0.0, None), "dynamics": {"first_appearance": None, "domination": None}}])


def test_a_secure_run_is_expected_not_to_rise() -> None:
    rose = {**record(0, 0.08, None), "game": {"name": "tamper", "arm": "secure"}}
    kept = {**record(1, 0.07, None), "game": {"name": "tamper", "arm": "secure"}}
    assert "1 of 2 (rise <= 0.05)" in table([rose, kept])


def test_the_grid_goes_seed_by_seed() -> None:
    names = [c.name for c in cells(("a", "b"), (0, 1))]
    assert names[:4] == ["a-flawed-seed0", "a-secure-seed0", "b-flawed-seed0", "b-secure-seed0"]
    assert len(set(names)) == 8
