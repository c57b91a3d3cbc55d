"""Scalable vector graphics, the few pieces that the figures need: scales, ticks, paths, escaped text.

Colours are class names, so that one stylesheet serves the light and the dark page and the standalone picture. No
`style` attributes: the page's content security policy forbids them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from gamekeeper.report.text import number, visible

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps numbers from `low`..`high` to positions `start`..`end`, straight; `end` may lie before `start`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers (1, 2 or 5 times a power of ten apart) within the domain, about `most` of them."""
        return ticks(self.low, self.high, most)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` + 1 of them."""
    if not high > low:
        return [low]
    step = _round_step((high - low) / max(1, most))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, decimals) for i in range(first, last + 1)]


def tick_label(value: float, values: Sequence[float]) -> str:
    """One tick's number, with as many decimals as the distance between the ticks needs."""
    gap = min((b - a for a, b in pairwise(values)), default=abs(value) or 1.0)
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9))
    if decimals > 4 or abs(value) >= 1e6:
        return number(value)
    shown = f"{abs(value):,.{decimals}f}" if value else "0"
    return ("\u2212" if value < 0 else "") + (shown[1:] if shown.startswith("0.") else shown)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= least * (1 - 1e-9))


def domain(values: Iterable[float], low: float = math.inf, high: float = -math.inf) -> tuple[float, float]:
    """The span of the values, widened to `low` and `high` and then to round ends; never empty."""
    known = [*values, *(v for v in (low, high) if math.isfinite(v))]
    if not known:
        return (0.0, 1.0)
    bottom, top = min(known), max(known)
    if bottom == top:
        pad = abs(bottom) * 0.5 or 0.5
        bottom, top = (bottom if bottom == low else bottom - pad), top + pad
    step = _round_step((top - bottom) / 5)
    return (math.floor(bottom / step + 1e-9) * step, math.ceil(top / step - 1e-9) * step)


def thin(points: Sequence[Point], most: int = 400) -> list[Point]:
    """At most about `most` points that keep every peak: of each stretch the first, lowest, highest and last."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / max(1, most // 4))
    kept: list[Point] = []
    for i in range(0, len(points), size):
        part = points[i : i + size]
        kept += sorted({part[0], min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1]), part[-1]})
    return kept


def runs_of(points: Sequence[Point]) -> list[list[Point]]:
    """The points cut where a step is missing: a line must not bridge what is not known.

    The usual distance is the median one, so that a series recorded every tenth step is whole.
    """
    gaps = sorted(b[0] - a[0] for a, b in pairwise(points))
    usual = gaps[len(gaps) // 2] if gaps else 1
    out: list[list[Point]] = []
    for point in points:
        if out and point[0] - out[-1][-1][0] <= usual * 1.5:
            out[-1].append(point)
        else:
            out.append([point])
    return out


# Markup


def text_of(value: str) -> str:
    """Any string as character data or attribute value."""
    return escape(visible(value), quote=True)


def at(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def tag(name: str, content: str | None = None, **attributes: object) -> str:
    """An element; `cls` is class, an underscore in a name is a dash, None leaves an attribute out."""
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = at(value) if isinstance(value, float) else text_of(str(value))
            parts.append(f'{"class" if key == "cls" else key.replace("_", "-")}="{shown}"')
    opening = " ".join(parts)
    return f"<{opening}/>" if content is None else f"<{opening}>{content}</{name}>"


def words(x: float, y: float, content: str, cls: str, anchor: str = "start") -> str:
    """A line of text."""
    return tag("text", text_of(content), x=float(x), y=float(y), cls=cls, text_anchor=anchor)


def path(points: Sequence[Point]) -> str:
    """Path data through positions."""
    return "M" + "L".join(f"{at(x)},{at(y)}" for x, y in points)


def curve(points: Sequence[Point], x: Scale, y: Scale, cls: str) -> str:
    """A line through (step, value) points; broken where steps are missing, a dot where a point stands alone."""
    out = []
    for part in runs_of(points):
        placed = [(x(step), y(value)) for step, value in thin(part)]
        if len(placed) == 1:
            out.append(tag("circle", cx=placed[0][0], cy=placed[0][1], r=2, cls=f"{cls} lone"))
        else:
            out.append(tag("path", d=path(placed), cls=f"line {cls}"))
    return "".join(out)


def band(low: Sequence[Point], high: Sequence[Point], x: Scale, y: Scale, cls: str) -> str:
    """The area between two curves over the same steps."""
    out = []
    for bottom, top in zip(runs_of(low), runs_of(high), strict=True):
        edge = [(x(s), y(v)) for s, v in thin(top)] + [(x(s), y(v)) for s, v in reversed(thin(bottom))]
        if len(bottom) > 1:
            out.append(tag("path", d=path(edge) + "Z", cls=f"band {cls}"))
    return "".join(out)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, at least `gap` apart, within `low`..`high` while there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: dict[int, float] = {}
    floor = low
    for i in order:
        placed[i] = max(wanted[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return [placed[i] for i in range(len(wanted))]
