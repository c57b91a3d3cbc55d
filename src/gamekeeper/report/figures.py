"""The figures: reward and truth over the steps of each run, and one small chart for every other metric.

Every curve has a colour, a dash and a label at its end, so that none rests on colour alone. Compared runs share
their axes. Colours come from the stylesheet of the page, or from `PICTURE_STYLE` in a standalone picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.report import svg
from gamekeeper.report.svg import Point, Scale, curve, tag, words
from gamekeeper.report.text import label, number
from gamekeeper.report.verdict import verdict
from gamekeeper.report.view import Curve, Side, headline_curves

# Beyond these ends a reward would flatten the shares beside it, and gets an axis of its own.
_SHARED_REWARD = (-1.25, 1.25)


# Room for the dots at the first and the last step, within the grid.
_INSET = 12
# Paper around the standalone picture.
_MARGIN = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of the headline figure, in pixels of the drawing."""

    width: int
    columns: int
    height: int
    left: int = 40
    top: int = 58
    bottom: int = 46
    gap: int = 20


@dataclass(frozen=True, slots=True)
class Box:
    """Where one run is plotted."""

    x: Scale
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Axis:
    """One vertical axis and the curves on it; `top` and `bottom` are shares of the box's height."""

    curves: tuple[Curve, ...]
    low: float
    high: float
    top: float = 0.0
    bottom: float = 1.0

    def scale(self, box: Box) -> Scale:
        height = box.bottom - box.top
        return Scale(self.low, self.high, box.top + self.bottom * height, box.top + self.top * height)


def wide(n: int) -> Layout:
    """The figure on a desk: one run, or two in a row."""
    return Layout(1040, 1, 430) if n == 1 else Layout(1040, 2, 360)


def narrow() -> Layout:
    """The figure on a telephone: one run below the other."""
    return Layout(380, 1, 330, left=32, gap=8)


def headline(sides: Sequence[Side], layout: Layout, uid: str = "headline") -> str:
    """Reward, truth and ER of every run over its steps, as one inline SVG."""
    content, height = _drawn(sides, layout, uid)
    return _svg(content, f"0 0 {layout.width} {height}", uid)


def _svg(content: str, view: str, uid: str, **attributes: object) -> str:
    named = f"{uid}-title {uid}-desc"
    space = "http://www.w3.org/2000/svg"
    return tag("svg", content, xmlns=space, viewBox=view, cls="figure", role="img", aria_labelledby=named, **attributes)


def _drawn(sides: Sequence[Side], layout: Layout, uid: str) -> tuple[str, int]:
    """All panels, and their height together."""
    axes = _axes(sides)
    most = max(1, *(side.steps for side in sides))
    rows = -(-len(sides) // layout.columns)
    cell = (layout.width - layout.gap * (layout.columns - 1)) / layout.columns
    title_room = 24 if len(sides) > 1 else 0
    right = _label_room(axes)
    tall = layout.height + title_room
    panels = [_described(sides, uid)]
    for i, side in enumerate(sides):
        left, top = (i % layout.columns) * (cell + layout.gap), (i // layout.columns) * tall
        x = Scale(0, most, left + layout.left + _INSET, left + cell - right - _INSET)
        box = Box(x, top + title_room + layout.top, top + tall - layout.bottom)
        title = words(left, top + 18, side.name, "panel-title") if title_room else ""
        panels.append(_panel(side, axes, box, title))
    return "".join(panels), rows * tall


def _label_room(axes: Sequence[Axis]) -> float:
    """Width for the longest label at a curve's end, with its value."""
    longest = max((len(c.label) for a in axes for c in a.curves), default=0)
    return 24 + 8.0 * (longest + 4)


def _described(sides: Sequence[Side], uid: str) -> str:
    title = tag("title", "Reward, truth and exploit ratio over training steps", id=f"{uid}-title")
    return title + tag("desc", svg.text_of(" ".join(verdict(s, len(sides) > 1) for s in sides)), id=f"{uid}-desc")


def _axes(sides: Sequence[Side]) -> list[Axis]:
    """One axis for all curves, or two where the reward leaves the range of shares."""
    curves = headline_curves(sides)
    rewards = [v for s in sides for v in _values(s, "reward")]
    others = [v for s in sides for c in curves if c.metric != "reward" for v in _values(s, c.metric)]
    if not rewards or (min(rewards) >= _SHARED_REWARD[0] and max(rewards) <= _SHARED_REWARD[1]):
        return [Axis(tuple(curves), *_share_domain([*rewards, *others]))]
    own, rest = tuple(c for c in curves if c.metric == "reward"), tuple(c for c in curves if c.metric != "reward")
    return [Axis(own, *svg.domain(rewards), bottom=0.4), Axis(rest, *_share_domain(others), top=0.5)]


def _share_domain(values: Sequence[float]) -> tuple[float, float]:
    low, high = min([0.0, *values]), max([1.0, *values])
    return (0.0 if low == 0 else svg.domain([low, 0])[0], 1.0 if high <= 1.0 else svg.domain([0, high])[1])


def _values(side: Side, metric: str) -> list[float]:
    """All numbers of a metric that the figure must have room for, interval ends among them."""
    known = [r for r in side.run.metrics if metric in r.metrics]
    return [r.metrics[metric] for r in known] + [v for r in known for v in r.intervals.get(metric, ())]


# One run


def _panel(side: Side, axes: Sequence[Axis], box: Box, title: str) -> str:
    parts = [title, _landmarks(side, box)]
    for axis in axes:
        y = axis.scale(box)
        parts += [_grid(y, box.x), *(_band(side, c, box.x, y) for c in axis.curves)]
        parts += [curve(side.run.series(c.metric), box.x, y, c.role) for c in axis.curves]
        parts += [_tests(side, c, i, box.x, y) for i, c in enumerate(axis.curves)]
        parts.append(_end_labels(side, axis.curves, box.x, y))
    if not side.run.metrics:
        parts.append(
            words((box.x.start + box.x.end) / 2, (box.top + box.bottom) / 2, "no step recorded", "note", "middle")
        )
    parts += [_steps(box), _reader(side, axes, box)]
    return tag("g", "".join(parts), cls="panel")


def _grid(y: Scale, x: Scale) -> str:
    out = []
    marks = y.ticks(6)
    for value in marks:
        row = y(value)
        cls = "axis" if value == 0 else "grid"
        out.append(tag("line", x1=x.start - _INSET, x2=x.end + _INSET, y1=row, y2=row, cls=cls))
        out.append(words(x.start - _INSET - 8, row + 4, svg.tick_label(value, marks), "tick", "end"))
    return "".join(out)


def _steps(box: Box) -> str:
    """The horizontal axis: whole steps only."""
    room = max(3, int((box.x.end - box.x.start) / 44))
    marks = [t for t in box.x.ticks(room) if t == int(t)]
    out = [words(box.x(t), box.bottom + 20, f"{int(t):,}", "tick", "middle") for t in marks]
    return "".join([*out, words((box.x.start + box.x.end) / 2, box.bottom + 39, "update step", "axis-name", "middle")])


def _band(side: Side, drawn: Curve, x: Scale, y: Scale) -> str:
    known = [r for r in side.run.metrics if r.phase == "train" and drawn.metric in r.intervals]
    low: list[Point] = [(r.step, r.intervals[drawn.metric][0]) for r in known]
    high: list[Point] = [(r.step, r.intervals[drawn.metric][1]) for r in known]
    return svg.band(low, high, x, y, drawn.role)


def _tests(side: Side, drawn: Curve, index: int, x: Scale, y: Scale) -> str:
    """Test values as dots with whiskers, the curves' dots a little apart so that none hides another."""
    out = []
    for record in side.run.metrics:
        if record.phase != "eval" or drawn.metric not in record.metrics:
            continue
        column = x(record.step) + (index - 1) * 5
        if drawn.metric in record.intervals:
            low, high = record.intervals[drawn.metric]
            out.append(tag("line", x1=column, x2=column, y1=y(low), y2=y(high), cls=f"whisker {drawn.role}"))
        out.append(tag("circle", cx=column, cy=y(record.metrics[drawn.metric]), r=4.5, cls=f"dot {drawn.role}"))
    return "".join(out)


def _end_labels(side: Side, curves: Sequence[Curve], x: Scale, y: Scale) -> str:
    """Name and last value to the right of each curve, moved apart where they would meet."""
    last = [(c, _last(side, c.metric)) for c in curves]
    known = [(c, point) for c, point in last if point is not None]
    rows = svg.spread([y(p[1]) for _, p in known], 17, y.end, y.start)
    out = []
    for (drawn, (step, value)), row in zip(known, rows, strict=True):
        near = x(step) + 12
        # The name goes beside the end of its own curve, also when another run went further.
        out.append(tag("line", x1=near, y1=y(value), x2=near + 8, y2=row, cls=f"leader {drawn.role}"))
        named = tag("tspan", svg.text_of(drawn.label)) + tag("tspan", " " + number(value), cls="value")
        out.append(tag("text", named, x=near + 12, y=row + 4.5, cls=f"end {drawn.role}"))
    return "".join(out)


def _last(side: Side, metric: str) -> Point | None:
    """The last known value; at one step the test counts, not the batch."""
    known = [(r.step, r.phase == "eval", r.metrics[metric]) for r in side.run.metrics if metric in r.metrics]
    if not known:
        return None
    step, _, value = max(known, key=lambda k: k[:2])
    return (step, value)


def _landmarks(side: Side, box: Box) -> str:
    found = side.dynamics
    if found is None or not side.run.series(side.emergence):
        return ""
    if found.first_appearance is None:
        said = "the exploit never appears" if side.over else "no exploit so far"
        return words(box.x.start - _INSET, box.top - 14, said, "note")
    out = []
    if found.domination is not None:
        start, end = box.x(found.first_appearance), box.x(found.domination)
        out.append(tag("rect", x=start, y=box.top, width=end - start, height=box.bottom - box.top, cls="rise"))
    marks = [("first appears", found.first_appearance, 34.0), ("dominates", found.domination, 14.0)]
    for name, step, above in marks:
        if step is not None:
            out.append(_landmark(f"exploit {name}: step {step}", box.x(step), box, above))
    return "".join(out)


def _landmark(text: str, column: float, box: Box, above: float) -> str:
    flipped = column > box.x.end - 0.3 * (box.x.end - box.x.start)
    line = tag("line", x1=column, x2=column, y1=box.top - above - 10, y2=box.bottom, cls="landmark")
    return line + words(
        column - 6 if flipped else column + 6, box.top - above, text, "mark", "end" if flipped else "start"
    )


def _reader(side: Side, axes: Sequence[Axis], box: Box) -> str:
    """The surface and the line with which the page's script reads off values at a step."""
    cursor = tag("line", x1=-9, x2=-9, y1=box.top, y2=box.bottom, cls="cursor")
    surface = tag(
        "rect",
        x=box.x.start,
        y=box.top,
        width=box.x.end - box.x.start,
        height=box.bottom - box.top,
        cls="surface",
        data_run=side.name,
        data_steps=int(box.x.high),
    )
    return cursor + surface


# Small charts


def small(sides: Sequence[Side], metric: str) -> str:
    """One metric of the training batches, a line for each run."""
    table = sides[0].run.table
    series = [side.run.series(metric) for side in sides]
    values = [v for s in series for _, v in s]
    bounds = (table[metric].low, table[metric].high) if metric in table else (float("-inf"), float("inf"))
    low, high = svg.domain(values, low=0.0 if bounds[0] == 0 else float("inf"))
    high = min(high, bounds[1]) if max(values, default=0) <= bounds[1] else high
    x = Scale(0, max(1, *(s.steps for s in sides)), 46, 252)
    y = Scale(low, high, 104, 12)
    parts = [tag("title", svg.text_of(f"{label(metric)}: {table[metric].formula if metric in table else ''}"))]
    marks = y.ticks(4)
    for value in marks:
        parts.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), cls="grid"))
        parts.append(words(x.start - 6, y(value) + 4, svg.tick_label(value, marks), "tick", "end"))
    parts += [curve(points, x, y, f"run-{i % 6}") for i, points in enumerate(series)]
    parts += [words(x.start, 122, "0", "tick"), words(x.end, 122, f"{int(x.high):,}", "tick", "end")]
    return tag("svg", "".join(parts), viewBox="0 0 260 128", cls="small", role="img", aria_label=label(metric))


# A picture on its own

PICTURE_STYLE = """
svg{--ink:#1c2126;--muted:#5c646c;--line:#e4e1da;--paper:#fffefb;--reward:#c04a00;--truth:#0068a8;--itp:#00785c;
--er:#1c2126;--rise:#c04a00;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){svg{--ink:#e9e6df;--muted:#a2a9b0;--line:#343a41;--paper:#15181c;--reward:#ff9a52;
--truth:#62b5f0;--itp:#43c9a3;--er:#e9e6df;--rise:#ff9a52}}
"""


def headline_svg(sides: Sequence[Side], figure_style: str) -> str:
    """The headline figure as a file of its own, light or dark as the reader's system is."""
    layout = wide(len(sides))
    content, tall = _drawn(sides, layout, "headline")
    width, height = layout.width + 2 * _MARGIN, tall + 2 * _MARGIN
    style = tag("style", PICTURE_STYLE + figure_style)
    paper = tag("rect", x=-_MARGIN, y=-_MARGIN, width=width, height=height, cls="paper")
    view = f"{-_MARGIN} {-_MARGIN} {width} {height}"
    return _svg(style + paper + content, view, "headline", width=width, height=height) + "\n"
