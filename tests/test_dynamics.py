"""When an exploit appears and dominates: the definitions, by hand and by law."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.studies.dynamics import domination, dynamics, first_appearance, of_run
from gamekeeper.studies.record import RunWriter, load_run


def test_first_appearance_by_hand() -> None:
    series = [(1, 0.05), (2, 0.2999999), (3, 0.3), (4, 0.0)]
    assert first_appearance(series, 0.2) == 3
    assert first_appearance(series, 0.0) == 2
    assert first_appearance(series, 0.5) is None
    assert first_appearance([], 0.0) is None


def test_domination_by_hand() -> None:
    values = [0.1, 0.95, 0.92, 0.89, 0.9, 0.91, 0.93, 0.99, 0.9, 0.2]
    series = list(enumerate(values, 1))
    assert domination(series, 0.9, hold=5, start=1) == 5
    assert domination(series, 0.9, hold=2, start=1) == 2
    assert domination(series, 0.9, hold=2, start=3) == 5
    assert domination(series, 0.9, hold=6, start=1) is None
    assert domination(series, 0.9, hold=1, start=None) is None


def test_a_run_that_ends_too_soon_does_not_dominate() -> None:
    found = dynamics([(1, 0.1), (2, 0.95), (3, 0.95), (4, 0.95)], base=0.0, bar=0.9)
    assert (found.first_appearance, found.domination, found.steps_to_domination) == (1, None, None)


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1), st.floats(0.05, 1), st.integers(1, 6))
def test_dynamics_laws(values: list[float], base: float, bar: float, hold: int) -> None:
    series = list(enumerate(values, 1))
    found = dynamics(series, base, bar, hold=hold)
    if found.first_appearance is None:
        assert found.domination is None
        assert all(v < base + 0.1 for v in values)
    if found.domination is not None:
        assert found.steps_to_domination is not None
        assert found.steps_to_domination >= 0
        held = values[found.domination - 1 : found.domination - 1 + hold]
        assert len(held) == hold
        assert all(v >= bar - 1e-9 for v in held)


def test_dynamics_of_a_run_use_its_own_metric_and_bar(tmp_path: Path) -> None:
    game = {"emergence": "yes_given_wrong", "bar": 0.5}
    with RunWriter.create(tmp_path, {}, game=game) as run:
        assert of_run(load_run(tmp_path)) is None
        run.metrics(0, "eval", {"yes_given_wrong": 0.2, "er": 0.9})
        for step in range(1, 9):
            run.metrics(step, "train", {"yes_given_wrong": step / 10, "er": 0.9})
    found = of_run(load_run(tmp_path))
    assert found is not None
    assert (found.first_appearance, found.domination, found.steps_to_domination) == (3, None, None)
    assert "at or above 0.5" in found.definitions()["domination"]
