"""What reports are made of: scales and paths by hand and by law, numbers in print, evidence found in a reply."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_runs import EDIT
from gamekeeper.report import svg, text

ANY_TEXT = st.text(st.characters(exclude_categories=()))
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


# Scales, ticks, paths


@given(NUMBERS, NUMBERS, st.integers(1, 12))
def test_ticks_are_round_even_and_inside(low: float, high: float, most: int) -> None:
    found = svg.ticks(low, high, most)
    if not high > low:
        assert found == [low]
        return
    slack = (high - low) * 1e-6 + 1e-9
    assert len(found) <= most + 1
    assert all(low - slack <= t <= high + slack for t in found)
    gaps = {round((b - a) / (high - low), 6) for a, b in pairwise(found)}
    assert len(gaps) <= 1


def test_scale_ticks_and_labels_by_hand() -> None:
    y = svg.Scale(0.0, 2.0, 100.0, 0.0)
    assert [y(0), y(0.5), y(2)] == [100, 75, 0]
    assert svg.Scale(3, 3, 0, 10)(3) == 5
    assert svg.ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.ticks(-0.03, 0.04, 4) == [-0.02, 0, 0.02, 0.04]
    assert svg.ticks(0, 60, 6) == [0, 10, 20, 30, 40, 50, 60]
    labels = [svg.tick_label(t, [-0.5, 0, 0.5, 1]) for t in (-0.5, 0, 0.5, 1)]
    assert labels == ["\u2212.5", "0", ".5", "1.0"]
    assert svg.tick_label(1500, [0, 500, 1000, 1500]) == "1,500"


@given(st.lists(NUMBERS, max_size=20))
def test_domain_holds_every_value_and_is_never_empty(values: list[float]) -> None:
    low, high = svg.domain(values)
    assert high > low
    slack = (high - low) * 1e-6
    assert all(low - slack <= v <= high + slack for v in values)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_keep_their_distance_and_order(wanted: list[float]) -> None:
    placed = svg.spread(wanted, 17, 0, 100)
    for (a, x), (b, y) in zip(*[sorted(zip(wanted, placed, strict=True))[i:] for i in (0, 1)], strict=False):
        assert a <= b
        assert y - x >= 17 - 1e-9
    assert max(placed) <= 100 + 1e-9


@given(st.lists(st.tuples(st.integers(0, 9999), NUMBERS), min_size=1, max_size=900, unique_by=lambda p: p[0]))
def test_thinning_keeps_ends_and_peaks(points: list[tuple[int, float]]) -> None:
    points = sorted(points)
    kept = svg.thin(points, most=40)
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    for pick in (min, max):
        assert pick(v for _, v in kept) == pick(v for _, v in points)
    assert len(kept) <= 40


def test_thinning_keeps_a_lone_peak_and_a_lone_dip() -> None:
    points = [(i, {501: 9.0, 507: -9.0}.get(i, float(i % 2))) for i in range(1000)]
    kept = svg.thin(points, most=40)
    assert {(501, 9.0), (507, -9.0)} <= set(kept)
    assert len(kept) <= 40


def test_a_line_does_not_bridge_what_is_unknown() -> None:
    assert svg.runs_of([(1, 0.0), (2, 0.0), (3, 0.0), (7, 0.0)]) == [[(1, 0.0), (2, 0.0), (3, 0.0)], [(7, 0.0)]]
    assert len(svg.runs_of([(10, 0.0), (20, 0.0), (30, 0.0)])) == 1
    x, y = svg.Scale(0, 10, 0, 100), svg.Scale(0, 1, 10, 0)
    drawn = svg.curve([(1, 0.0), (2, 1.0), (3, 0.5), (9, 0.5)], x, y, "er")
    assert drawn == '<path d="M10,10L20,0L30,5" class="line er"/><circle cx="90" cy="5" r="2" class="er lone"/>'


@given(ANY_TEXT)
def test_markup_holds_any_text_as_text(content: str) -> None:
    drawn = svg.tag("svg", svg.words(1, 2, content, "tick"), aria_label=content)
    parsed = ElementTree.fromstring(drawn.encode("utf-8"))
    assert parsed[0].text or not text.visible(content)
    shown = text.visible(content).replace("\r", "\n")
    assert "".join(parsed.itertext()).replace("\r", "\n") == shown


# Words and numbers


def test_numbers_in_print() -> None:
    shown = {0: "0", 1: "1", 0.999: "1.00", 0.31: ".31", -0.354: "\u2212.35", 0.002: ".002", 0.00031: ".00031"}
    shown |= {12.34: "12.3", 1234567.8: "1,234,568", 1e-6: "1.0e\u22126", 4.256: "4.26", -6: "\u22126"}
    assert {v: text.number(v) for v in shown} == shown
    assert text.signed(0.5) == "+.50"
    assert text.span((0, 0.25)) == "[0, .25]"
    assert [text.seconds(s) for s in (9.04, 61, 3725)] == ["9.0 s", "1 min 01 s", "1 h 02 min"]


@given(ANY_TEXT)
def test_nothing_invisible_stays_and_nothing_visible_changes(content: str) -> None:
    shown = text.visible(content)
    shown.encode("utf-8")
    assert "".join(part for _, part in text.told_apart(content)) == shown
    assert text.visible(shown) == shown
    kept = "".join(part for unseen, part in text.told_apart(content) if not unseen)
    assert kept == "".join(c for c in content.replace("\r\n", "\n") if text.visible(c) == c)


def test_invisible_characters_are_spelled_out() -> None:
    assert text.visible("a\x00b\u2028\u202e\ud800\r\n\t") == "a\\u0000b\\u2028\\u202e\\ud800\n\t"


@pytest.mark.parametrize(
    ("reply", "evidence", "marked"),
    [
        (f"first\n{EDIT}\nlast", f"writes its own score: {EDIT}", [EDIT]),
        ("I say yes.\nyes", "yes", ["yes", "yes"]),
        ("the answer is 21 or 12 or 1", "states '1'", ["1"]),
        ("copied  from\nthe article", "`from the article` is the article", ["from\nthe article"]),
        ('say "hi"\nnow then', 'coverage 0.1: "say \\"hi\\"\\nnow..."', ['say "hi"\nnow']),
        ("nothing to see", "empty reply", []),
        ("", "x", []),
        ("x", "", []),
    ],
)
def test_evidence_is_found_in_the_reply(reply: str, evidence: str, marked: list[str]) -> None:
    assert [reply[a:b] for a, b in text.marks(reply, evidence)] == marked


@given(ANY_TEXT, ANY_TEXT)
def test_marks_are_ordered_ranges_of_the_reply(reply: str, evidence: str) -> None:
    found = text.marks(reply, evidence)
    ends = [end for pair in found for end in pair]
    assert ends == sorted(ends)
    assert all(0 <= a < b <= len(reply) for a, b in found)
