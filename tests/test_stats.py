"""Intervals against scipy, and the rule that unknown is never 0."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.studies.stats import over_clusters, over_seeds, t95

VALUES = st.floats(-100, 100)


def mean_of(values: list[float]) -> dict[str, float]:
    return {"m": math.fsum(values) / len(values)} if values else {}


def test_t_quantiles_agree_with_scipy() -> None:
    from scipy import stats

    for freedom in (*range(1, 31), 31, 40, 63, 127, 1000):
        assert t95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=5e-3 if freedom > 30 else 1e-5)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    one = over_seeds([0.7])
    assert one is not None
    assert one.mean == 0.7
    assert one.interval is None
    assert over_seeds([]) is None
    assert over_clusters([[1.0, 2.0]], mean_of) == {}
    with pytest.raises(ValueError, match="at least 1"):
        t95(0)


def test_over_seeds_by_hand() -> None:
    # 1, 2, 3: mean 2, standard error 1/sqrt(3), t(2) = 4.302653.
    got = over_seeds([1.0, 2.0, 3.0])
    assert got is not None
    assert got.interval == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))


@given(st.lists(VALUES, min_size=2, max_size=40))
def test_the_jackknife_of_a_mean_is_its_t_interval(values: list[float]) -> None:
    """For the mean of single-valued clusters the two are the same formula."""
    got, expected = over_clusters([[v] for v in values], mean_of)["m"], over_seeds(values)
    assert expected is not None
    assert got == pytest.approx(expected.interval, abs=1e-6)


def test_samples_of_one_item_count_as_one() -> None:
    alone = over_clusters([[0.0], [1.0], [0.0], [1.0]], mean_of)["m"]
    thrice = over_clusters([[0.0] * 3, [1.0] * 3, [0.0] * 3, [1.0] * 3], mean_of)["m"]
    assert thrice == pytest.approx(alone)


def test_a_statistic_that_a_deletion_leaves_undefined_has_no_interval() -> None:
    def positives(values: list[float]) -> dict[str, float]:
        return mean_of([v for v in values if v > 0])

    assert over_clusters([[1.0], [-1.0], [-2.0]], positives) == {}
    assert "m" in over_clusters([[1.0], [2.0], [-2.0]], positives)
