"""The figures of a study's page: heat maps, and curves with intervals, dots and marked thresholds.

Colours are classes; a heat map's shade is the cell's opacity, and its number stands in the cell, so that nothing
rests on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gamekeeper.report import svg
from gamekeeper.report.svg import Scale, tag, words
from gamekeeper.report.text import number, signed, span
from gamekeeper.studies.findings import Heat, Line, Mark, Plot, no_interval
from gamekeeper.studies.stats import Estimate

_CELL_W, _CELL_H, _LEFT, _TOP = 150, 58, 150, 58
_WIDE, _TALL = 760, 340
_COLOURS = 6
_APART = 7.0
_ROW = 18


def heat_map(heat: Heat) -> str:
    """Rows by columns, each cell shaded by its value between the ends of the range, with value and interval in it."""
    width = _LEFT + _CELL_W * len(heat.columns) + 8
    height = _TOP + _CELL_H * len(heat.rows) + 8
    parts = [
        words(_LEFT, 18, f"{heat.column_name} →", "axis-name"),
        words(8, _TOP - 12, f"{heat.row_name} ↓", "axis-name"),
    ]
    for c, name in enumerate(heat.columns):
        parts.append(words(_LEFT + (c + 0.5) * _CELL_W, _TOP - 12, name, "head", "middle"))
    for r, name in enumerate(heat.rows):
        parts.append(words(_LEFT - 12, _TOP + (r + 0.5) * _CELL_H + 5, name, "head", "end"))
        parts += [_shaded(heat, value, r, c) for c, value in enumerate(heat.values[r])]
    return _figure("".join(parts), width, height, heat.title)


def _settled(value: float) -> float:
    """What is left of equal values that were subtracted is no change; all else is rounded once, where it is written."""
    return 0.0 if abs(value) < 0.0005 else value


def _shaded(heat: Heat, value: Estimate | None, r: int, c: int) -> str:
    x, y = float(_LEFT + c * _CELL_W), float(_TOP + r * _CELL_H)
    middle = x + _CELL_W / 2
    box: dict[str, Any] = {"x": x + 1, "y": y + 1, "width": float(_CELL_W - 2), "height": float(_CELL_H - 2)}
    if value is None:
        return tag("rect", **box, cls="heat none") + words(middle, y + _CELL_H / 2 + 5, "–", "tick", "middle")
    centre = 0.0 if heat.low < 0 < heat.high else heat.low
    reach = (heat.high - centre) if value.mean >= centre else (centre - heat.low)
    strength = min(1.0, abs(value.mean - centre) / reach) if reach else 0.0
    side = "more" if value.mean >= centre else "less"
    mean = _settled(value.mean)
    said = signed(mean) if heat.low < 0 else number(mean)
    under = span([_settled(end) for end in value.interval]) if value.interval else no_interval(value)
    return (
        tag("rect", **box, cls=f"heat {side}", fill_opacity=f"{0.02 + 0.56 * strength:.2f}")
        + words(middle, y + 26, said, "heat-value", "middle")
        + words(middle, y + 44, under, "tick", "middle")
    )


def _figure(content: str, width: float, height: float, title: str) -> str:
    named = tag("title", svg.text_of(title))
    return tag("svg", named + content, viewBox=f"0 0 {width:g} {height:g}", cls="figure study", role="img")


# Curves


def plot(drawn: Plot) -> str:
    """Lines over one axis, each with the band of its intervals, or with dots and whiskers."""
    points = [p for line in drawn.lines for p in line.points]
    if not points:
        return ""
    low, high = _domain([e for _, e in points])
    most = max([x for x, _ in points] + [m.at for m in drawn.marks])
    x = Scale(min(0.0, *(x for x, _ in points)), most or 1.0, 56, _WIDE - 180)
    above = _ROW * len(
        drawn.marks
    )  # the names of marks stand over the figure, a row each, where no line can cross them
    y = Scale(low, high, _TALL - 50 + above, 40 + above)
    parts = [_axes(drawn, x, y), *(_mark(m, i, x, y) for i, m in enumerate(drawn.marks))]
    for i, line in enumerate(drawn.lines):
        beside = (i - (len(drawn.lines) - 1) / 2) * _APART
        parts.append(_dots(line, i, beside, x, y) if drawn.dots else _line(line, i, x, y))
    parts.append(_names(drawn.lines, x, y))
    return _figure("".join(parts), _WIDE, _TALL + above, drawn.title)


def _domain(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Shares get the whole range from 0 to 1; intervals that go far beyond it are cut off there."""
    means = [e.mean for e in estimates]
    values = [*means, *(end for e in estimates for end in e.reach or ())]
    if not all(-1.5 <= mean <= 2.5 for mean in means):
        return svg.domain(values, low=0.0, high=1.0)
    low, high = min(-0.5, *means), max(1.2, *means)
    inside = [min(max(v, low), high) for v in values]
    return min(0.0, math.floor(min(inside) * 10) / 10), max(1.0, math.ceil(max(inside) * 10 - 1e-9) / 10)


def _axes(drawn: Plot, x: Scale, y: Scale) -> str:
    out = []
    marks = y.ticks(6)
    for value in marks:
        out.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), cls="axis" if value == 0 else "grid"))
        out.append(words(x.start - 8, y(value) + 4, svg.tick_label(value, marks), "tick", "end"))
    across = x.ticks(8)
    if all(at == int(at) for line in drawn.lines for at, _ in line.points):  # steps: there is no half of one
        across = [t for t in across if t == int(t)]
    out += [words(x(t), y.start + 18, svg.tick_label(t, across), "tick", "middle") for t in across]
    out.append(words((x.start + x.end) / 2, y.start + 38, drawn.x, "axis-name", "middle"))
    out.append(words(x.start - 48, y.end - 16, drawn.y, "axis-name"))
    return "".join(out)


def _mark(mark: Mark, index: int, x: Scale, y: Scale) -> str:
    out = []
    if mark.interval:
        start, end = (min(max(x(v), x.start), x.end) for v in mark.interval)
        out.append(tag("rect", x=start, y=y.end, width=max(1.0, end - start), height=y.start - y.end, cls="rise"))
    row = 20 + _ROW * index
    out.append(tag("line", x1=x(mark.at), x2=x(mark.at), y1=row - 10, y2=y.start, cls="landmark"))
    said = f"{mark.name}: {number(mark.at)}" + (f" {span(mark.interval)}" if mark.interval else "")
    right = x(mark.at) > (x.start + x.end) / 2
    place, anchor = (x(mark.at) - 6, "end") if right else (x(mark.at) + 6, "start")
    out.append(words(place, row, said, "mark", anchor))
    return "".join(out)


def _line(line: Line, index: int, x: Scale, y: Scale) -> str:
    """A curve with the band of its intervals."""
    role = f"run-{index % _COLOURS}"
    reach = _reach(line, y)
    drawn = svg.band([(at, low) for at, low, _ in reach], [(at, high) for at, _, high in reach], x, y, role)
    return drawn + svg.curve([(at, e.mean) for at, e in line.points], x, y, role)


def _dots(line: Line, index: int, beside: float, x: Scale, y: Scale) -> str:
    """Joined dots with whiskers, a little beside their place, so that those of several lines can be told apart."""
    role = f"run-{index % _COLOURS}"
    placed = [(x(at) + beside, y(e.mean)) for at, e in line.points]
    out = [tag("path", d=svg.path(placed), cls=f"line {role}") if len(placed) > 1 else ""]
    for at, low, high in _reach(line, y):
        place = x(at) + beside
        out.append(tag("line", x1=place, x2=place, y1=y(low), y2=y(high), cls=f"whisker {role}"))
    out += [tag("circle", cx=cx, cy=cy, r=4, cls=f"dot {role}") for cx, cy in placed]
    return "".join(out)


def _reach(line: Line, y: Scale) -> list[tuple[float, float, float]]:
    """(x, low, high) where an estimate has an interval, or a point where all seeds are equal; inside the figure."""
    known = [(at, e.reach) for at, e in line.points if e.reach]
    return [(at, _held(low, y), _held(high, y)) for at, (low, high) in known]


def _held(value: float, y: Scale) -> float:
    return min(max(value, y.low), y.high)


def _names(lines: Sequence[Line], x: Scale, y: Scale) -> str:
    """Each line's name beside its end, moved apart where two would meet."""
    known = [(i, line) for i, line in enumerate(lines) if line.points]
    rows = svg.spread([y(line.points[-1][1].mean) for _, line in known], 16, y.end, y.start)
    out = []
    for (index, line), row in zip(known, rows, strict=True):
        at, last = line.points[-1]
        near = x(at) + 6
        role = f"run-{index % _COLOURS}"
        out.append(tag("line", x1=near, y1=y(last.mean), x2=near + 8, y2=row, cls=f"leader {role}"))
        out.append(words(near + 12, row + 4, f"{line.name} {number(last.mean)}", f"study-end {role}"))
    return "".join(out)
