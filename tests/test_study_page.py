"""The page of a study: figures that say their numbers, nothing that a record holds can act, nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fake_runs import HOSTILE
from gamekeeper.errors import RunError
from gamekeeper.report import study_figures as figures
from gamekeeper.report.study import render, tally, unbroken, write_study
from gamekeeper.studies.findings import UP, Claim, Findings, Heat, Line, Mark, Plot, Table, judged
from gamekeeper.studies.stats import Estimate

HEAT = Heat(
    "change",
    ("a", "b"),
    ("a", "b"),
    [[Estimate(0.8, (0.7, 0.9), 3), Estimate(-0.5, None, 1)], [None, Estimate(0.0, (-0.1, 0.1), 3)]],
    row_name="from",
    column_name="to",
)
PLOT = Plot(
    "threshold",
    "audit",
    "P",
    [Line("wrong", [(0.0, Estimate(1.0, (0.9, 1.1), 3)), (0.3, Estimate(0.1, (-4.0, 4.2), 3))])],
    [Mark("predicted", 1 / 7), Mark("measured", 0.2, (0.15, 0.25))],
    dots=True,
)


def texts(drawn: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(drawn).iter() if e.tag.endswith("text")]


def test_a_heat_map_does_not_say_what_subtraction_left_of_equal_values() -> None:
    rest = Heat("change", ("a",), ("b",), [[Estimate(-6.2e-7, (-0.01, -2e-5), 3)]], low=-1.0)
    found = texts(figures.heat_map(rest))
    assert {"0", "[−.01, 0]"} <= set(found)


def test_a_heat_map_rounds_once() -> None:
    found = texts(figures.heat_map(Heat("t", ("a",), ("b",), [[Estimate(0.5952, (0.4948, 0.9953), 3)]])))
    assert {"+.60", "[.49, 1.00]"} <= set(found)


def test_a_heat_map_says_each_number_with_its_interval() -> None:
    found = texts(figures.heat_map(HEAT))
    assert {"+.80", "[.70, .90]", "−.50", "n=1, no interval", "–"} <= set(found)
    rects = [e for e in ElementTree.fromstring(figures.heat_map(HEAT)).iter() if e.tag.endswith("rect")]
    assert [e.get("class") for e in rects] == ["heat more", "heat less", "heat none", "heat more"]
    shades = [float(e.get("fill-opacity", 0)) for e in rects]
    assert shades[0] > shades[1] > shades[3]


def test_a_threshold_plot_marks_what_is_predicted_and_measured() -> None:
    drawn = figures.plot(PLOT)
    assert {"predicted: .14", "measured: .20 [.15, .25]", "wrong .10"} <= set(texts(drawn))
    root = ElementTree.fromstring(drawn)
    for line in root.iter():
        if "whisker" in (line.get("class") or ""):
            assert all(0 <= float(line.get(k, 0)) <= 376 for k in ("y1", "y2"))  # an interval does not leave the figure


def test_a_plot_of_bands_and_of_nothing() -> None:
    lines = [Line("er", [(s, Estimate(s / 10, (s / 10 - 0.1, s / 10 + 0.1), 3)) for s in range(10)])]
    drawn = figures.plot(Plot("t", "x", "y", lines))
    assert 'class="band run-0"' in drawn
    assert figures.plot(Plot("t", "x", "y", [Line("er", [])])) == ""


class Elements(HTMLParser):
    """Every element of a page with its attributes, as a browser would read them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str]]]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append((tag, attrs))


def findings_of(text: str = "quiet") -> Findings:
    return Findings(
        text,
        text,
        tables=[Table(text, (text,), [[text]], text)],
        heats=[Heat(text, (text,), (text,), [[Estimate(1.0, None, 1)]], row_name=text, column_name=text, note=text)],
        plots=[
            Plot(text, text, text, [Line(text, [(0, Estimate(0.5, None, 1)), (1, Estimate(0.5, None, 1))])], note=text)
        ],
        verdicts=judged([Claim(text, text, UP, [0.5, 0.51, 0.52])]),
        notes=[text],
        about={"cells": 1, "commit": [text], "command": text, "seeds": [0], "core_s": 60},
    )


def test_nothing_in_a_record_can_act() -> None:
    page = render(findings_of(HOSTILE))
    found = Elements()
    found.feed(page)
    assert not {"script", "img", "b", "iframe"} & {name for name, _ in found.seen} - {"svg"}
    assert not [a for _, attributes in found.seen for a, _ in attributes if a.startswith("on") or a == "style"]
    assert not [v for _, attributes in found.seen for a, v in attributes if a in ("href", "src") and v[:1] != "#"]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "script-src" not in policy[1]
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]


def test_an_interval_is_never_broken_and_nothing_is_let_through() -> None:
    assert unbroken("0.5 [0.4, 0.6]") == '0.5 <span class="whole">[0.4, 0.6]</span>'
    assert unbroken("0 (n=1, no interval)") == '0 <span class="whole">(n=1, no interval)</span>'
    assert unbroken("0 (all 3 equal, no interval)").count('class="whole"') == 2
    assert unbroken("Made by: `gamekeeper study x`.") == "Made by: <code>gamekeeper study x</code>."
    assert "<b" not in unbroken("[<b>, <b onclick=x>] `<script>`").replace('<span class="whole">', "")
    assert "&lt;script&gt;" in unbroken("`<script>`")


def test_names_of_marks_stay_in_the_figure() -> None:
    """They stand over it, a row each; one near the right end has its name on its left."""
    drawn = ElementTree.fromstring(figures.plot(PLOT))
    named = {e.text: e for e in drawn.iter() if e.get("class") == "mark"}
    assert named["predicted: .14"].get("text-anchor") == "start"
    assert named["measured: .20 [.15, .25]"].get("text-anchor") == "end"
    highest = min(float(e.get("y1", 0)) for e in drawn.iter() if e.get("class") in ("grid", "axis"))
    assert sorted(float(e.get("y", 0)) for e in named.values())[-1] < highest - 10
    assert len({e.get("y") for e in named.values()}) == 2


def test_whiskers_of_two_lines_do_not_cover_each_other() -> None:
    lines = [Line(name, [(1.0, Estimate(0.5, (0.2, 0.8), 3))]) for name in ("a", "b", "c")]
    drawn = ElementTree.fromstring(figures.plot(Plot("t", "x", "y", lines, dots=True)))
    places = [float(e.get("x1", 0)) for e in drawn.iter() if "whisker" in (e.get("class") or "")]
    assert len(set(places)) == 3
    assert max(places) - min(places) < 20


def test_a_wide_interval_does_not_flatten_the_curves() -> None:
    wide = Plot("t", "x", "y", [Line("a", [(float(s), Estimate(0.5, (-8.0, 9.0), 2)) for s in range(3)])])
    assert {"0", "1.0"} <= set(texts(figures.plot(wide)))
    assert not {"5", "10"} & set(texts(figures.plot(wide)))
    far = Plot("t", "x", "y", [Line("a", [(float(s), Estimate(-10.0, (-12.0, -8.0), 2)) for s in range(3)])])
    assert "−10" in texts(figures.plot(far))  # what is no share has room


def test_steps_have_no_halves() -> None:
    lines = [Line("a", [(float(s), Estimate(0.5, None, 1)) for s in range(4)])]
    assert {"0", "1", "2", "3"} <= set(texts(figures.plot(Plot("t", "x", "", lines))))
    assert "2.5" not in texts(figures.plot(Plot("t", "x", "", lines)))


def test_a_share_that_just_passes_one_does_not_halve_the_figure() -> None:
    drawn = figures.plot(Plot("t", "x", "y", [Line("a", [(s, Estimate(1.0, (0.999, 1.001), 3)) for s in (0, 1)])]))
    assert "1.5" not in texts(drawn)
    assert "1.0" in texts(drawn)


def test_the_page_has_no_address_of_the_outside() -> None:
    page = render(findings_of())
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert page.count("as text, to be copied") == 3
    assert tally(findings_of()) == "Of 1 claim, 1 holds here too."


def test_it_is_written_whole_or_says_why(tmp_path: Path) -> None:
    assert write_study(findings_of(), tmp_path).name == "quiet.html"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_study(findings_of(), tmp_path / "file" / "page.html")
