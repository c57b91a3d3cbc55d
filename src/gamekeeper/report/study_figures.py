"""The figures of a study's page: heat maps, and curves with intervals, dots and marked thresholds.

Colours are classes; a heat map's shade is the cell's opacity, and its number stands in the cell, so that nothing
rests on colour alone.
"""

from __future__ import annotations

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
    said = signed(value.mean) if heat.low < 0 else number(value.mean)
    under = span(value.interval) if value.interval else no_interval(value)
    return (
        tag("rect", **box, cls=f"heat {side}", fill_opacity=f"{0.08 + 0.5 * strength:.2f}")
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
    highs = [v for _, e in points for v in (e.mean, *(e.reach or ()))]
    low, high = _domain(highs)
    most = max([x for x, _ in points] + [m.at for m in drawn.marks])
    x = Scale(min(0.0, *(x for x, _ in points)), most or 1.0, 56, _WIDE - 150)
    y = Scale(low, high, _TALL - 50, 40)
    parts = [_axes(drawn, x, y), *(_mark(m, i, x, y) for i, m in enumerate(drawn.marks))]
    parts += [_line(line, i, drawn.dots, x, y) for i, line in enumerate(drawn.lines)]
    parts.append(_names(drawn.lines, x, y))
    return _figure("".join(parts), _WIDE, _TALL, drawn.title)


def _domain(values: Sequence[float]) -> tuple[float, float]:
    """Shares get the whole range from 0 to 1; wider intervals are cut off a little beyond it."""
    inside = [min(max(v, -0.2), 1.2) for v in values] if all(-1.5 <= v <= 2.5 for v in values) else list(values)
    return svg.domain(inside, low=0.0, high=1.0)


def _axes(drawn: Plot, x: Scale, y: Scale) -> str:
    out = []
    marks = y.ticks(5)
    for value in marks:
        out.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), cls="axis" if value == 0 else "grid"))
        out.append(words(x.start - 8, y(value) + 4, svg.tick_label(value, marks), "tick", "end"))
    across = x.ticks(8)
    out += [words(x(t), y.start + 18, svg.tick_label(t, across), "tick", "middle") for t in across]
    out.append(words((x.start + x.end) / 2, y.start + 38, drawn.x, "axis-name", "middle"))
    out.append(words(x.start - 48, y.end - 22, drawn.y, "axis-name"))
    return "".join(out)


def _mark(mark: Mark, index: int, x: Scale, y: Scale) -> str:
    out = []
    if mark.interval:
        start, end = (min(max(x(v), x.start), x.end) for v in mark.interval)
        out.append(tag("rect", x=start, y=y.end, width=max(1.0, end - start), height=y.start - y.end, cls="rise"))
    out.append(tag("line", x1=x(mark.at), x2=x(mark.at), y1=y.end - 4, y2=y.start, cls="landmark"))
    said = f"{mark.name}: {number(mark.at)}" + (f" {span(mark.interval)}" if mark.interval else "")
    out.append(words(x(mark.at) + 6, y.end + 12 + 16 * index, said, "mark"))
    return "".join(out)


def _line(line: Line, index: int, dots: bool, x: Scale, y: Scale) -> str:
    role = f"run-{index % _COLOURS}"
    out = []
    known = [(at, e.reach) for at, e in line.points if e.reach]
    held = [(at, (_held(lo, y), _held(hi, y))) for at, (lo, hi) in known]
    if dots:
        for at, (lo, hi) in held:
            out.append(tag("line", x1=x(at), x2=x(at), y1=y(lo), y2=y(hi), cls=f"whisker {role}"))
        out += [tag("circle", cx=x(at), cy=y(e.mean), r=4, cls=f"dot {role}") for at, e in line.points]
        placed = [(x(at), y(e.mean)) for at, e in line.points]
        out.append(tag("path", d=svg.path(placed), cls=f"line {role}") if len(placed) > 1 else "")
    else:
        out.append(svg.band([(at, lo) for at, (lo, _) in held], [(at, hi) for at, (_, hi) in held], x, y, role))
        out.append(svg.curve([(at, e.mean) for at, e in line.points], x, y, role))
    return "".join(out)


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
        out.append(words(near + 12, row + 4, f"{line.name} {number(last.mean)}", "study-end"))
    return "".join(out)
