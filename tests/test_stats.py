"""Intervals against scipy, and the rule that unknown is never 0."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.metrics import means
from gamekeeper.studies.stats import (
    edge_bound,
    falling_fit,
    half_life,
    holm,
    over_clusters,
    over_items,
    over_seeds,
    p_value,
    paired,
    t95,
    t_tails,
    threshold,
)
from gamekeeper.types import Score

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
    got, expected = over_clusters([[v] for v in values], mean_of).get("m"), over_seeds(values)
    assert expected is not None
    if expected.interval is None:
        assert got is None
    else:
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


# Where there is no spread to be seen


@pytest.mark.parametrize("n", [2, 3, 12, 128, 1000])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 4.0)])
def test_items_that_all_lie_at_an_end_have_clopper_and_pearsons_bound(n: int, low: float, high: float) -> None:
    from scipy import stats

    limits = {"m": (low, high)}
    none = stats.binomtest(0, n).proportion_ci(0.95, "exact")
    every = stats.binomtest(n, n).proportion_ci(0.95, "exact")
    wide = high - low
    got = over_clusters([[low, low]] * n, mean_of, limits)["m"]
    assert got == pytest.approx((low, low + wide * none.high))
    got = over_clusters([[high, high]] * n, mean_of, limits)["m"]
    assert got == pytest.approx((low + wide * every.low, high))


def test_nothing_in_twelve_is_not_never() -> None:
    # 1 - .025 ** (1 / 12)
    assert over_clusters([[0.0]] * 12, mean_of, {"m": (0.0, 1.0)})["m"] == pytest.approx((0.0, 0.26465), abs=1e-5)


@given(st.integers(2, 40), st.floats(0.05, 0.95))
def test_equal_items_inside_a_range_or_without_one_have_no_interval(n: int, value: float) -> None:
    assert over_clusters([[value]] * n, mean_of, {"m": (0.0, 1.0)}) == {}
    assert over_clusters([[0.0]] * n, mean_of, {"m": (0.0, math.inf)}) == {}
    assert over_clusters([[0.0]] * n, mean_of) == {}


def test_a_bound_counts_only_the_items_that_a_share_knows_of() -> None:
    """Ten items, three of them audits: a share of the audits is a share of three."""

    def audits(values: list[tuple[str, float]]) -> dict[str, float]:
        known = {kind: [v for k, v in values if k == kind] for kind in ("audit", "user")}
        return {kind: mean_of(found)["m"] for kind, found in known.items() if found}

    clusters = [[("audit", 1.0)]] * 3 + [[("user", float(i % 2))] for i in range(7)]
    found = over_clusters(clusters, audits, {"audit": (0.0, 1.0), "user": (0.0, 1.0)})
    assert found["audit"] == pytest.approx((0.025 ** (1 / 3), 1.0))
    users = over_seeds([float(i % 2) for i in range(7)])
    assert users is not None
    assert users.interval is not None
    assert found["user"] == pytest.approx((max(0.0, users.interval[0]), min(1.0, users.interval[1])))


def test_a_difference_of_two_shares_without_spread_has_no_interval() -> None:
    """No single item knows of it, so that there is no count to reckon with."""

    def gap(values: list[tuple[str, float]]) -> dict[str, float]:
        one, other = ([v for k, v in values if k == kind] for kind in ("a", "b"))
        return {"gap": mean_of(one)["m"] - mean_of(other)["m"]} if one and other else {}

    assert over_clusters([[("a", 1.0)], [("b", 0.0)]] * 4, gap, {"gap": (-1.0, 1.0)}) == {}
    assert "gap" in over_clusters([[("a", 1.0)], [("b", 0.0)], [("a", 0.0)], [("b", 0.0)]], gap)


def test_many_items_are_deleted_in_groups_and_counted_one_by_one() -> None:
    clusters = [[0.0]] * 1000
    assert over_clusters(clusters, mean_of, {"m": (0.0, 1.0)}, most=10)["m"][1] == pytest.approx(0.00368, abs=1e-5)
    mixed = [[float(i % 3 == 0)] for i in range(1000)]
    low, high = over_clusters(mixed, mean_of, most=50)["m"]
    assert low < 0.334 < high


@given(st.integers(2, 60), st.integers(2, 6))
def test_a_games_share_is_bounded_by_its_own_range(items: int, samples: int) -> None:
    """ER is a difference of shares in one game alone; elsewhere it cannot fall below 0."""

    def metrics(scores: list[Score]) -> dict[str, float]:
        return means(er=[s.exploited for s in scores], reward=[s.reward for s in scores])

    told = [[Score(1.0, 1.0, False, "")] * samples] * items
    found = over_items(told, metrics)
    assert found == {"er": (0.0, pytest.approx(1 - 0.025 ** (1 / items)))}
    hidden = [[Score(1.0, 1.0, None, "")] * samples] * items
    assert over_items(hidden, lambda _: {"er": 0.0}) == {}


def test_the_interval_of_a_bound_covers() -> None:
    """By simulation: at the rate that the bound of 0 in 30 just covers, 2.5% of samples have none."""
    import random

    draw, n, rate = random.Random(0), 30, 0.1157  # 1 - .025 ** (1 / 30)
    empty = sum(all(draw.random() >= rate for _ in range(n)) for _ in range(20_000))
    assert empty / 20_000 == pytest.approx(0.025, abs=0.005)
    assert edge_bound(n) == pytest.approx(rate, abs=1e-4)


@given(st.floats(-10, 10), st.integers(2, 12))
def test_equal_seeds_have_a_mean_and_no_interval(value: float, n: int) -> None:
    found = over_seeds([value] * n)
    assert found is not None
    assert (found.interval, found.n, found.equal) == (None, n, True)
    assert found.mean == pytest.approx(value)
    assert found.reach == (found.mean, found.mean)


def test_equal_values_have_no_p() -> None:
    assert p_value([0.4, 0.4, 0.4]) is None
    assert p_value([0.0, 0.0]) is None
    assert p_value([0.1 + 0.2 - 0.3, 0.0]) is None  # equal but for rounding


# Comparisons, half-lives, thresholds


@given(st.floats(-40, 40), st.integers(1, 200))
def test_tails_of_t_agree_with_scipy(t: float, freedom: int) -> None:
    from scipy import stats

    assert t_tails(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9, abs=1e-300)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=20), st.integers(-1000, 1000))
def test_p_and_pairs_agree_with_scipy(values: list[int], shift: int) -> None:
    from scipy import stats

    before = [float(shift + (i * 37) % 11) for i in range(len(values))]
    after = [b + v for b, v in zip(before, values, strict=True)]
    if len(set(values)) == 1:
        assert p_value([float(v) for v in values]) is None
        return
    oracle = stats.ttest_rel(after, before)
    assert p_value([a - b for a, b in zip(after, before, strict=True)]) == pytest.approx(oracle.pvalue, rel=1e-7)
    found = paired(after, before)
    assert found is not None
    interval = oracle.confidence_interval(0.95)
    # Our quantiles have six digits.
    assert found.interval == pytest.approx((interval.low, interval.high), abs=1e-6 * (interval.high - interval.low))


def test_one_value_has_no_p() -> None:
    assert p_value([0.3]) is None
    assert p_value([]) is None


def test_holm_by_hand() -> None:
    # Sorted: .01 x 4, .02 x 3 = .06, .03 x 2 = .06, .5 x 1; unknown ones are not counted among them.
    assert holm([0.03, 0.01, None, 0.02, 0.5]) == [
        pytest.approx(v) if v else None for v in (0.06, 0.04, None, 0.06, 0.5)
    ]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float | None]) -> None:
    found = holm(values)
    pairs = [(p, q) for p, q in zip(values, found, strict=True) if p is not None and q is not None]
    assert len(pairs) == sum(v is not None for v in values)
    assert all(p <= q <= 1 for p, q in pairs)
    assert [q for _, q in sorted(pairs)] == sorted(q for _, q in pairs)


def test_half_life_by_hand() -> None:
    assert half_life([(0, 0.8), (10, 0.6), (20, 0.2)]) == 20  # seen there; where it was in between is not known
    assert half_life([(0, 0.8), (10, 0.5)]) is None
    assert half_life([(0, 0.0), (1, 0.0)]) is None
    assert half_life([]) is None
    assert half_life([(0, 1.0), (5, 0.5), (9, 0.9)]) == 5


@given(st.floats(0.01, 5), st.floats(0.1, 1))
def test_half_life_of_a_decay_is_its_own(rate: float, start: float) -> None:
    series = [(t / 50, start * math.exp(-rate * t / 50)) for t in range(5000)]
    assert half_life(series) == pytest.approx(math.log(2) / rate, rel=1e-2, abs=2e-2)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40))
def test_the_falling_fit_agrees_with_scipy(values: list[float]) -> None:
    from scipy.optimize import isotonic_regression

    assert falling_fit(values) == pytest.approx(list(isotonic_regression(values, increasing=False).x), abs=1e-9)


def test_a_threshold_by_hand_and_none_without_a_crossing() -> None:
    assert threshold([(0.2, 0.0), (0.0, 1.0), (0.1, 1.0)]) == pytest.approx(0.15)
    # A dip that the next point takes back is no threshold: the fit pools .4 and .9 to .65.
    assert threshold([(0.0, 1.0), (0.1, 0.4), (0.2, 0.9), (0.3, 0.35)]) == pytest.approx(0.25)
    assert threshold([(0.0, 0.4), (0.3, 0.1)]) is None
    assert threshold([(0.0, 0.9), (0.3, 0.8)]) is None
