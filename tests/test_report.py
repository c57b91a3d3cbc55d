"""The report: words that never say more than the numbers, a whole page of one file, and text that stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_runs import HOSTILE, hostile_rollout, write_run
from gamekeeper.errors import RunError, UsageError
from gamekeeper.report import headline_svg, text, write_report
from gamekeeper.report import sample as sampling
from gamekeeper.report.verdict import direction, move, parted, verdict
from gamekeeper.report.view import Value, headline_curves, sides
from gamekeeper.studies.record import Rollout, RunWriter
from gamekeeper.types import Message, Score

ANY_TEXT = st.text(st.characters(exclude_categories=()))


class Page(HTMLParser):
    """What a browser would see of a page: elements, attributes, text by section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._raw = ""
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag if tag in self.raw else ""

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.raw[self._raw].append(data)
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def all(self, tag: str, **having: str) -> list[dict[str, str | None]]:
        found = [attrs for name, attrs in self.elements if name == tag]
        return [a for a in found if all(a.get(k.rstrip("_")) == v for k, v in having.items())]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "flawed": write_run(root / "flawed", steps=22, batch=10, extra=[hostile_rollout()]),
        "secure": write_run(root / "secure", secure=True, steps=22, batch=10),
        "running": write_run(root / "running", steps=22, until=9, status=None, batch=2),
        "failed": write_run(root / "failed", steps=22, until=11, status="failed", error="out of <memory>", batch=2),
        "base": write_run(root / "base", steps=22, until=0, status=None, batch=2),
    }


def page(paths: Sequence[Path], tmp_path: Path) -> Page:
    return Page(write_report(paths, tmp_path / "report.html").read_text(encoding="utf-8"))


# Words


def test_moves_in_words() -> None:
    assert move("reward", Value(0.31), Value(0.99)) == "reward rose from .31 to .99"
    assert move("truth", Value(0.41), Value(0.02)) == "truth fell from .41 to .02"
    assert move("truth", Value(0.41), Value(0.42)) == "truth stayed near .42"
    wide, high = Value(0.3, (0.1, 0.5)), Value(0.45, (0.25, 0.6))
    assert move("truth", wide, high) == "truth did not clearly change (.30 to .45)"
    assert direction(None, Value(1)) == ""
    assert move("truth", Value(0.4), None) == "truth was .40"


def finished(path: Path, ers: Sequence[float], ends: Sequence[dict[str, float]], **info: Any) -> Path:
    with RunWriter.create(path, {"train": {"steps": len(ers)}}, **info) as run:
        run.metrics(0, "eval", ends[0])
        for step, er in enumerate(ers, 1):
            run.metrics(step, "train", {"er": er, "reward": 0.5})
        for final in ends[1:]:
            run.metrics(len(ers), "eval", final)
        run.finish()
    return path


BASE, END = {"reward": 0.31, "truth": 0.41, "er": 0.0}, {"reward": 0.99, "truth": 0.02, "er": 1.0}


@pytest.mark.parametrize(
    ("ers", "ends", "said"),
    [
        (
            [0, 0.2, 0.5, *[0.95] * 5],
            [BASE, END],
            "Reward rose from .31 to .99 while truth fell from .41 to .02; "
            "the exploit first appeared at step 2 and dominated from step 4.",
        ),
        ([0.95] * 6, [BASE, END], "the exploit appeared at step 1 and dominated from there."),
        ([0, 0.2, 0.5], [BASE, END], "the exploit first appeared at step 2 and never came to dominate."),
        ([0, 0.05], [BASE, BASE], "Reward stayed near .31 and truth stayed near .41; the exploit never appeared."),
        ([1.0], [{**BASE, "er": 0.97}, END], "the exploit was there before training (ER .97)."),
        ([0.0], [{"reward": 0.3}, {"reward": 0.5}], "rose from .30 to .50; whether the exploit appeared is not known."),
        ([0.0], [{"er": 0.0}, {"er": 0.0}], "The exploit never appeared."),
    ],
)
def test_verdicts(tmp_path: Path, ers: list[float], ends: list[dict[str, float]], said: str) -> None:
    (side,) = sides([finished(tmp_path, ers, ends)])
    assert verdict(side).endswith(said)


def test_verdicts_of_unfinished_runs(runs: dict[str, Path], tmp_path: Path) -> None:
    said = {name: verdict(sides([path])[0]) for name, path in runs.items()}
    assert said["running"].startswith("So far, after 9 steps of 22, reward ")
    assert "in the training batches; the exploit first appeared at step" in said["running"]
    assert said["running"].endswith("has not come to dominate.")
    assert said["failed"].startswith("The run failed after 11 steps of 22; until then, reward ")
    assert re.fullmatch(r"So far, after 0 steps of 22, reward was \.\d\d and truth was \.\d\d\.", said["base"])
    RunWriter.create(tmp_path / "empty", {}).close()
    assert verdict(sides([tmp_path / "empty"])[0]) == "No step has been recorded."


def test_reward_and_truth_part_only_when_they_do(runs: dict[str, Path], tmp_path: Path) -> None:
    assert parted(sides([runs["secure"]])) == "Reward and truth"
    assert parted(sides([runs["secure"], runs["flawed"]])) == "Reward and truth part"
    little = [{"reward": 0.31, "truth": 0.31}, {"reward": 0.39, "truth": 0.31}]
    assert parted(sides([finished(tmp_path / "little", [0.0], little)])) == "Reward and truth"
    both = [{**BASE, "truth": 0.31}, {**END, "truth": 0.95}]
    assert parted(sides([finished(tmp_path / "both", [0.0], both)])) == "Reward and truth"


def test_names_tell_runs_apart(tmp_path: Path, runs: dict[str, Path]) -> None:
    assert [s.name for s in sides([runs["flawed"], runs["secure"]])] == ["flawed", "secure"]
    assert [s.name for s in sides([runs["flawed"], runs["running"]])] == ["flawed, flawed", "flawed, running"]
    seeded = [finished(tmp_path / f"s{i}", [0.0], [BASE], seed=i, game={"arm": "flawed"}) for i in (0, 1)]
    assert [s.name for s in sides([*seeded, runs["secure"]])] == [
        "run, flawed, seed 0",
        "run, flawed, seed 1",
        "tamper, secure",
    ]
    other = finished(tmp_path / "x" / "s1", [0.0], [BASE], seed=1, game={"arm": "flawed"})
    assert len({s.name for s in sides([*seeded, other])}) == 3


# What is shown of the rollouts


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=120), st.integers(0, 60))
def test_strata_share_the_room_as_evenly_as_they_can(strata: list[tuple[int, bool]], most: int) -> None:
    chosen = sampling.choose(strata, most)
    assert chosen == sorted(set(chosen))
    assert chosen == sampling.choose(strata, most)
    assert len(chosen) == min(most, len(strata))
    share = {s: sum(strata[i] == s for i in chosen) for s in strata}
    size = {s: strata.count(s) for s in strata}
    for a in share:
        for b in share:
            assert share[a] <= share[b] + 1 or share[b] == size[b]


@given(ANY_TEXT, ANY_TEXT, st.integers(1, 40))
def test_pieces_are_the_text_or_say_what_is_missing(reply: str, evidence: str, limit: int) -> None:
    ranges = text.marks(reply, evidence)
    whole = sampling.pieces(reply, ranges, len(reply) + 1)
    assert text.visible("".join(part for _, part in whole)) == text.visible(reply)
    assert any(kind.startswith("mark") for kind, _ in whole) == bool(ranges)
    cut = sampling.pieces(reply, ranges, limit)
    assert any(kind == "cut" for kind, _ in cut) == (len(reply) > limit)


def test_a_cut_reply_keeps_its_evidence() -> None:
    reply = "x" * 5000 + " the evidence " + "y" * 5000
    shown = sampling.pieces(reply, text.marks(reply, "the evidence"), 300)
    kinds = [kind for kind, _ in shown]
    assert kinds == ["", "cut", "", "mark", "", "cut"]
    assert shown[3] == ("mark", "the evidence")
    assert sum(len(part) for kind, part in shown if kind != "cut") == 300


def test_second_turns_do_not_repeat_the_first(tmp_path: Path) -> None:
    first = (Message("system", "S-ONE"), Message("user", "U-ONE"))
    second = (*first, Message("assistant", "R-ONE"), Message("user", "U-TWO"))
    with RunWriter.create(tmp_path / "run", {}) as run:
        run.rollouts(1, "train", [Rollout(0, "i", (first, second), ("R-ONE", "R-TWO"), Score(1.0, None, None))])
    words = page([tmp_path / "run"], tmp_path).words
    order = [words.index(part) for part in ("S-ONE", "U-ONE", "U-TWO", "R-TWO")]
    assert order == sorted(order)
    assert words.count("S-ONE") == words.count("U-TWO") == 1
    assert "not told by one" in words


# The page


def test_the_page_has_its_parts_in_order(runs: dict[str, Path], tmp_path: Path) -> None:
    found = page([runs["flawed"], runs["secure"]], tmp_path)
    ids = [a["id"] for a in found.all("section")]
    assert ids == ["figure", "numbers", "dynamics", "curves", "rollouts", "record"]
    assert "tamper: flawed beside secure" in found.words
    assert len(found.all("svg", class_="figure")) == 2
    assert len(found.all("details", class_="episode")) == 400
    assert re.search(
        r"200 of \d+ recorded rollouts \(flawed\) and 200 of \d+ recorded rollouts \(secure\) are here", found.words
    )
    for expected in ("gamekeeper run tamper --arm secure --seed 0", "torch 2.13.0", "1 min 24 s", "0f3c2d1"):
        assert expected in found.words
    assert "game.patches" in found.words
    assert [a["class"] for a in found.all("tr") if "class" in a] == ["differs"]
    assert "the first step whose batch value is at least the base value plus 0.1" in found.words
    assert "mean reward over scored episodes: what training sees" in found.words


def test_the_page_needs_nothing_but_itself(runs: dict[str, Path], tmp_path: Path) -> None:
    found = page([runs["flawed"], runs["secure"]], tmp_path)
    assert not found.all("link") + found.all("img") + found.all("iframe") + found.all("object") + found.all("base")
    links = [v for _, attrs in found.elements for k, v in attrs.items() if k in ("href", "src", "action", "xlink:href")]
    assert all(str(link).startswith("#") for link in links)
    assert not [a for _, a in found.elements if "style" in a or any(k.startswith("on") for k in a)]
    (style,), (data, script) = found.raw["style"], found.raw["script"]
    assert "url(" not in style
    assert "http" not in style + script
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    for content, kind in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in str(policy["content"])
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "<" not in data


def test_hostile_text_is_text_wherever_it_stands(tmp_path: Path) -> None:
    game = {"name": HOSTILE, "arm": HOSTILE, "question": HOSTILE, "emergence": "er", "bar": 0.9}
    path = write_run(
        tmp_path / "run", steps=3, batch=4, status="failed", error=HOSTILE, game=game, command=HOSTILE,
        commit=HOSTILE, device=HOSTILE, interval=HOSTILE, versions={HOSTILE: HOSTILE}, extra=[hostile_rollout()],
    )  # fmt: skip
    found = page([path, write_run(tmp_path / "two", steps=3, batch=4)], tmp_path)
    assert len(found.raw["script"]) == 2
    assert not found.all("img") + found.all("b", onclick="x")
    assert found.words.count("document.title='owned'") > 12
    assert "\\u2028" in found.words
    assert "\\u0000" in found.words
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search("[\x00\u2028\u202e]", written)
    ElementTree.fromstring(headline_svg([path]))


@pytest.mark.parametrize("name", ["running", "failed", "base"])
def test_unfinished_runs_give_a_page(runs: dict[str, Path], tmp_path: Path, name: str) -> None:
    words = page([runs[name]], tmp_path).words
    wanted = {
        "running": ["going on or killed, step 9 of 22", "not yet", "first batch"],
        "failed": ["failed, step 11 of 22", "ended with an error: out of <memory>"],
        "base": ["step 0 of 22", "not measured", "Only the base has been tested"],
    }
    for expected in wanted[name]:
        assert expected in words


def test_an_empty_run_gives_a_page(tmp_path: Path) -> None:
    RunWriter.create(tmp_path / "run", {}).close()
    words = page([tmp_path / "run"], tmp_path).words
    for expected in (
        "no step recorded",
        "Nothing has been measured yet",
        "No rollout was recorded",
        "None was recorded",
    ):
        assert expected in words


def test_what_is_unknown_is_never_zero(tmp_path: Path) -> None:
    path = finished(tmp_path / "run", [0.5], [{"reward": 0.3, "er": 0.1}, {"reward": 0.5, "copied": 0.7}])
    found = page([path], tmp_path)
    assert "n=1, no interval over seeds" in found.words
    assert found.words.count("not measured") == 2
    assert found.words.count("no interval") >= 4
    assert "truth" not in [c.metric for c in headline_curves(sides([path]))]


def test_damaged_rollouts_leave_the_rest_of_the_page(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", steps=2, batch=2)
    (path / "rollouts.parquet").write_bytes(b"PAR1 no")
    words = page([path], tmp_path).words
    assert "The rollouts cannot be shown" in words
    assert "Base and final" in words


def test_long_hostile_replies_keep_the_page_small(tmp_path: Path) -> None:
    texts = ["<&>" * 100_000, "\x00a" * 20_000, "\ud800" * 20_000, "z" * 1_000_000]
    with RunWriter.create(tmp_path / "run", {}) as run:
        rows = [
            Rollout(i, "i", ((Message("user", t),),), (t,), Score(1.0, 0.0, True, t[-300:]))
            for i, t in enumerate(texts)
        ]
        run.rollouts(1, "train", rows)
    written = write_report([tmp_path / "run"], tmp_path / "report.html")
    assert written.stat().st_size < 2_000_000


def test_equal_runs_give_equal_pages(runs: dict[str, Path], tmp_path: Path) -> None:
    a = write_report([runs["flawed"]], tmp_path / "a.html")
    b = write_report([runs["flawed"]], tmp_path / "b.html")
    assert a.read_bytes() == b.read_bytes()
    assert a.stat().st_size < 1_000_000


def test_a_reward_beyond_shares_gets_its_own_axis(tmp_path: Path) -> None:
    ends = [{"reward": -8.0, "truth": 0.4, "er": 0.0}, {"reward": 1.0, "truth": 0.3, "er": 0.9}]
    near = headline_svg([finished(tmp_path / "a", [0.5], [BASE, END])])
    far = headline_svg([finished(tmp_path / "b", [0.5], ends)])
    assert [drawn.count('class="axis"') for drawn in (near, far)] == [1, 2]  # the lines at 0
    assert ">\u22128</text>" in far


def test_itp_and_truth_are_one_curve_only_where_they_are_equal(tmp_path: Path) -> None:
    same = finished(tmp_path / "a", [0.5], [{**BASE, "itp": 0.41}, {**END, "itp": 0.02}])
    other = finished(tmp_path / "b", [0.5], [{**BASE, "itp": 0.41}, {**END, "itp": 0.03}], game={"emergence": "yes"})
    assert [c.label for c in headline_curves(sides([same]))] == ["reward", "truth (ITP)", "ER"]
    assert [c.label for c in headline_curves(sides([same, other]))] == ["reward", "truth", "ITP", "ER"]
    with RunWriter.resume(other, 1) as run:
        run.metrics(2, "train", {"yes": 0.5})
    assert [c.label for c in headline_curves(sides([other]))][-1] == "yes"


def test_the_headline_picture_stands_alone(runs: dict[str, Path]) -> None:
    drawn = headline_svg([runs["flawed"], runs["secure"]])
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = "".join(root.itertext())
    for expected in ("flawed", "secure", "exploit first appears: step", "exploit dominates: step", "never appears"):
        assert expected in words
    assert "prefers-color-scheme:dark" in words
    assert root.find("{http://www.w3.org/2000/svg}desc") is not None


def test_calls_that_cannot_be_answered(tmp_path: Path, runs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path / "x.html")
    with pytest.raises(RunError, match="no such directory"):
        write_report([tmp_path / "none"], tmp_path / "x.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_report([runs["base"]], tmp_path / "file" / "x.html")
    assert write_report([runs["base"]], tmp_path).name == "report.html"
