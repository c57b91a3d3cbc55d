"""Intervals: over items (clusters) inside one run, and over seeds between runs. Unknown is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
Interval = tuple[float, float]

# Two-sided 95% quantiles of Student's t by degrees of freedom (checked against scipy in the tests).
_T95 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip
_Z95, _Z95_CUBIC = 1.959964, 2.372275


def t95(freedom: int) -> float:
    """The two-sided 95% quantile of Student's t; beyond 30 degrees, its first-order expansion (error < 0.003)."""
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {freedom}")
    return _T95[freedom - 1] if freedom <= len(_T95) else _Z95 + _Z95_CUBIC / freedom


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n independent values; `interval` is None for n = 1, which says nothing of its spread."""

    mean: float
    interval: Interval | None
    n: int


def over_seeds(values: Sequence[float]) -> Estimate | None:
    """Mean and 95% t interval of values from independent runs; None of no values."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, 1)
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return Estimate(mean, (mean - t95(n - 1) * error, mean + t95(n - 1) * error), n)


def over_clusters(
    clusters: Sequence[Sequence[T]], statistic: Callable[[Sequence[T]], Mapping[str, float]]
) -> dict[str, Interval]:
    """95% intervals of batch statistics by the delete-one-cluster jackknife.

    clusters: the values of one item each (its samples are not independent of each other). A statistic that some
    deletion leaves undefined gets no interval, and neither does a batch of fewer than two clusters.
    """
    n = len(clusters)
    if n < 2:
        return {}
    whole = statistic([v for c in clusters for v in c])
    parts = [statistic([v for i, c in enumerate(clusters) if i != out for v in c]) for out in range(n)]
    return {
        name: _jackknife(value, [p.get(name) for p in parts]) for name, value in whole.items() if _known(name, parts)
    }


def _known(name: str, parts: Sequence[Mapping[str, float]]) -> bool:
    return all(name in p for p in parts)


def _jackknife(value: float, parts: Sequence[float | None]) -> Interval:
    known = [p for p in parts if p is not None]
    n = len(known)
    mean = math.fsum(known) / n
    error = math.sqrt((n - 1) / n * math.fsum((p - mean) ** 2 for p in known))
    return value - t95(n - 1) * error, value + t95(n - 1) * error
