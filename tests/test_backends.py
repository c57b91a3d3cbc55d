"""The comparison of the two trainers: what its table says of a record, and when it calls them the same."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fake_runs import write_run
from gamekeeper.studies.stats import Estimate
from test_docs import script


@pytest.fixture(scope="module")
def backends() -> ModuleType:
    return script("scripts", "backends")


def record(native: list[float], trl: list[float]) -> dict[str, Any]:
    def runs(backend: str, values: list[float]) -> list[dict[str, Any]]:
        ends = [dict.fromkeys(("reward", "itp", "er"), value) for value in values]
        base = {"metrics": {"reward": 0.5, "itp": 0.5, "er": 0.0}}
        about = {
            "game": {"name": "toy"},
            "config": {"train": {"steps": 5}},
            "device": "cpu",
            "versions": {"torch": "2"},
        }
        return [
            {
                "backend": backend,
                "seed": s,
                "base": base,
                "final": {"metrics": e},
                "curves": {"er": [[1, 0.0], [2 + s, 0.5], [4, 1.0]] if e["er"] >= 0.5 else [[1, 0.0]]},
                **about,
            }
            for s, e in enumerate(ends)
        ]

    return {"runs": [*runs("trl", trl), *runs("native", native)]}


def test_differences_are_paired_by_seed(backends: ModuleType) -> None:
    found = backends.difference(record([0.2, 0.6, 0.9], [0.3, 0.7, 1.0]), "er")
    assert found.mean == pytest.approx(0.1)
    assert found.equal, "paired by seed, all three differ by the same"
    assert found.interval is None
    assert not backends.agree(found), "a difference without spread is a difference"


@pytest.mark.parametrize(
    ("mean", "interval", "same"),
    [
        (0.1, (-0.1, 0.3), True),
        (0.1, (0.05, 0.15), False),
        (0.01, (0.005, 0.015), True),
        (-0.3, (-0.4, -0.2), False),
        (0.1, None, False),
    ],
)
def test_who_agrees(backends: ModuleType, mean: float, interval: tuple[float, float] | None, same: bool) -> None:
    assert backends.agree(Estimate(mean, interval, 3)) is same


def test_the_table_has_a_row_for_each_measure(backends: ModuleType) -> None:
    lines = backends.table(record([0.9, 1.0], [1.0, 0.9])).splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[-2].startswith("| `er` | 0.000")
    assert all(line.endswith("| yes |") for line in lines[-2:])


def test_the_step_at_which_the_exploit_prevails_is_that_of_the_curve(backends: ModuleType) -> None:
    made = record([0.9, 1.0], [0.1, 0.9])
    assert backends.rises(made, "native") == [2.0, 3.0]
    assert backends.rises(made, "trl") == [6.0, 3.0], "one that never rises is past the end"


@pytest.mark.slow
def test_a_cell_keeps_what_the_table_needs(
    backends: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "RUNS", tmp_path)
    end = {"metrics": dict.fromkeys(("reward", "itp", "er"), 0.5)}
    runs = []
    for backend in backends.BACKENDS:
        for seed in (0, 1):
            write_run(tmp_path / f"tamper-{backend}-seed{seed}", seed=seed, base=end, final=end, device="cpu")
            runs.append(backends.play("tamper", backend, seed, None, "no interpreter: the cell is done"))
    assert "tamper" in backends.describe({"runs": runs})


def test_the_docs_say_how_it_was_made(backends: ModuleType) -> None:
    text = backends.describe(record([0.9, 1.0], [1.0, 0.9]))
    assert "`toy`, flawed, 5 steps, seeds [0, 1]; one thread each on cpu; torch 2." in text
