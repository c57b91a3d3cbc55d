"""Intervals: over items (clusters) inside one run, and over seeds between runs. Unknown is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from gamekeeper.metrics import TABLE, Metric
from gamekeeper.types import Score

T = TypeVar("T")
Interval = tuple[float, float]

# Two-sided 95% quantiles of Student's t by degrees of freedom (checked against scipy in the tests).
_T95 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip
_Z95, _Z95_CUBIC = 1.959964, 2.372275
_TAIL = 0.025
_ROUNDING = 1e-12


def t95(freedom: int) -> float:
    """The two-sided 95% quantile of Student's t; beyond 30 degrees, its first-order expansion (error < 0.003)."""
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {freedom}")
    return _T95[freedom - 1] if freedom <= len(_T95) else _Z95 + _Z95_CUBIC / freedom


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n independent values, and its 95% interval.

    `interval` is None where the values do not show how far they spread: of one, and of several that are all equal.
    """

    mean: float
    interval: Interval | None
    n: int

    @property
    def equal(self) -> bool:
        """Whether several values were all the same."""
        return self.interval is None and self.n > 1

    @property
    def reach(self) -> Interval | None:
        """What to draw and to decide by: the interval, or the point where all values lie; None of one value."""
        return (self.mean, self.mean) if self.equal else self.interval


def same(values: Sequence[float]) -> bool:
    """Whether values are equal but for rounding."""
    return max(values) - min(values) <= _ROUNDING * max(1.0, *(abs(v) for v in values))


def over_seeds(values: Sequence[float]) -> Estimate | None:
    """Mean and 95% t interval of values from independent runs; None of no values.

    Of values that are all equal there is a mean and no interval. The t interval would be a point, as if the next seed
    were known; a bound from the range of the values, as `over_clusters` has, would be as wide as half of it for so
    few seeds. Such an estimate is `equal`, and is printed as "all n equal, no interval".
    """
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1 or same(values):
        return Estimate(mean, None, n)
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return Estimate(mean, (mean - t95(n - 1) * error, mean + t95(n - 1) * error), n)


# Over items


def over_clusters(
    clusters: Sequence[Sequence[T]],
    statistic: Callable[[Sequence[T]], Mapping[str, float]],
    ranges: Mapping[str, Interval] | None = None,
    most: int | None = None,
) -> dict[str, Interval]:
    """95% intervals of batch statistics by the delete-one-cluster jackknife, inside each statistic's range.

    clusters: the values of one item each (its samples are not independent of each other). ranges: the lowest and the
    highest value that a statistic can have, by name; without limits where it is not named. most: delete at most so
    many groups of clusters instead, where one by one would take long.

    A cluster counts for a statistic that is defined on it alone: a share of the audits knows of audits only. One that
    is defined on no single cluster (a difference between two kinds of item, say) is counted over all of them.

    Where every deletion gives the same value, the jackknife's interval would be a point. A mean at an end of its
    finite range then has the exact bound, see `edge_bound`; anything else has no interval. There is none either of
    fewer than two clusters, or where some deletion leaves a statistic undefined.
    """
    if len(clusters) < 2:
        return {}
    groups = _grouped(clusters, most)
    whole = statistic([v for g in groups for v in g])
    parts = [statistic([v for i, g in enumerate(groups) if i != out for v in g]) for out in range(len(groups))]
    alone = [set(statistic(g)) for g in groups]
    counted = alone if groups is clusters else [set(statistic(c)) for c in clusters]
    found: dict[str, Interval] = {}
    for name, value in whole.items():
        if not all(name in p for p in parts):
            continue
        limits = (ranges or {}).get(name, (-math.inf, math.inf))
        values = [p[name] for p, own in zip(parts, alone, strict=True) if name in own] or [p[name] for p in parts]
        if not same(values):
            found[name] = _clipped(_jackknife(value, values), limits)
        elif interval := _at_an_end(value, limits, sum(name in own for own in counted)):
            found[name] = interval
    return found


def over_items(
    clusters: Sequence[Sequence[Score]],
    metrics: Callable[[Sequence[Score]], Mapping[str, float]],
    own: Sequence[Metric] = (),
    most: int | None = None,
) -> dict[str, Interval]:
    """`over_clusters` of a game's metrics over the scores of each item, by the metrics' declared ranges.

    own: the metrics that the game declares itself.
    """
    ranges = {m.name: (m.low, m.high) for m in (*TABLE.values(), *own)}
    if any(score.exploited is not None for cluster in clusters for score in cluster):
        ranges["er"] = (0.0, 1.0)  # a share of episodes; below 0 it is only where it is a difference of two shares
    return over_clusters(clusters, metrics, ranges, most)


def _grouped(clusters: Sequence[Sequence[T]], most: int | None) -> Sequence[Sequence[T]]:
    if most is None or len(clusters) <= most:
        return clusters
    return [[v for cluster in clusters[n::most] for v in cluster] for n in range(most)]


def _jackknife(value: float, parts: Sequence[float]) -> Interval:
    n = len(parts)
    mean = math.fsum(parts) / n
    error = math.sqrt((n - 1) / n * math.fsum((p - mean) ** 2 for p in parts))
    return value - t95(n - 1) * error, value + t95(n - 1) * error


def _clipped(interval: Interval, limits: Interval) -> Interval:
    (start, end), (low, high) = interval, limits
    return min(max(start, low), high), max(min(end, high), low)


def _at_an_end(value: float, limits: Interval, n: int) -> Interval | None:
    """The interval of a mean whose n values all lie at one end of their range; None elsewhere or of none."""
    low, high = limits
    if n == 0 or not math.isfinite(high - low):
        return None
    reach = (high - low) * edge_bound(n)
    if same((value, low)):
        return low, low + reach
    return (high - reach, high) if same((value, high)) else None


def edge_bound(n: int) -> float:
    """How far a mean may lie from an end of its range at which all of n independent values were seen, as a share of it.

    Clopper and Pearson's exact 95% interval for 0 of n: 1 - .025 ** (1 / n), about 3.7 / n. It holds for any values in
    a range, since those with a mean of m are off the end with a probability of m at least.
    """
    return 1.0 - (_TAIL ** (1.0 / n))


# Comparisons


def paired(after: Sequence[float], before: Sequence[float]) -> Estimate | None:
    """Mean difference, after minus before, of values that belong together pair by pair (the same seed, say)."""
    return over_seeds([a - b for a, b in zip(after, before, strict=True)])


def p_value(values: Sequence[float]) -> float | None:
    """Two-sided p of Student's t test that the mean of independent values is 0.

    None of fewer than two, and of values that are all equal: there is no spread to weigh their mean by.
    """
    n = len(values)
    if n < 2 or same(values):
        return None
    mean = math.fsum(values) / n
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return t_tails(mean / error, n - 1)


def t_tails(t: float, freedom: int) -> float:
    """P(|T| >= |t|) of Student's t, by the regularised incomplete beta function."""
    if t * t < 1:  # near 0 the share below is what keeps its digits
        return 1.0 - _beta_share(t * t / (freedom + t * t), 0.5, freedom / 2)
    return _beta_share(freedom / (freedom + t * t), freedom / 2, 0.5)


def _beta_share(x: float, a: float, b: float) -> float:
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    # The continued fraction converges fast below this point; above it, the mirror image does.
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta_share(1.0 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / a * _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or tiny)
    found = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for part in (even, odd):
            d = 1.0 / ((1.0 + part * d) or tiny)
            c = (1.0 + part / c) or tiny
            found *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return found


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over all p values that are known; unknown ones stay unknown.

    Raises ValueError for one that is no number: it would pass for the largest of all.
    """
    if any(p is not None and math.isnan(p) for p in p_values):
        raise ValueError("a p value is not a number")
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    out: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, i) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - rank)))
        out[i] = worst
    return out


# Curves and thresholds


def half_life(series: Sequence[tuple[float, float]]) -> float | None:
    """The first x, of those measured, at which a curve is at half of its first value or below; None if it never is.

    Nothing is interpolated: a curve that falls between two measurements says no more than that it fell there. The
    first value must be above 0: of nothing there is no half.
    """
    if not series or series[0][1] <= 0:
        return None
    return next((x for x, y in series[1:] if y <= series[0][1] / 2), None)


def crossing(series: Sequence[tuple[float, float]], level: float) -> float | None:
    """The first x at which a curve, joined by straight lines, comes down to a level; None if it never does."""
    for (x0, y0), (x1, y1) in pairwise(series):
        if y0 >= level >= y1 and y0 != y1:
            return x0 + (y0 - level) / (y0 - y1) * (x1 - x0)
    return None


def falling_fit(values: Sequence[float]) -> list[float]:
    """The non-increasing sequence nearest to the values by least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        total, n = value, 1
        while blocks and blocks[-1][0] / blocks[-1][1] < total / n:
            before, many = blocks.pop()
            total, n = total + before, n + many
        blocks.append((total, n))
    return [total / n for total, n in blocks for _ in range(n)]


def threshold(points: Sequence[tuple[float, float]], level: float = 0.5) -> float | None:
    """Where a dose drives a response below a level: the crossing of the falling fit to the points of one seed.

    None if the fit stays on one side of the level.
    """
    ordered = sorted(points)
    fitted = falling_fit([y for _, y in ordered])
    return crossing([(x, y) for (x, _), y in zip(ordered, fitted, strict=True)], level)
