"""The report in a real browser: hostile replies run nothing, the filters work, nothing is said on the console."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from fake_runs import HOSTILE, hostile_rollout, write_run
from gamekeeper.report import write_report

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
    "--dump-dom",
]
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


class Seen(NamedTuple):
    """What a browser made of a page: its document as text, and what it said on the console."""

    dom: str
    console: list[str]


class Episodes(HTMLParser):
    """The rollouts that a reader sees, and the page's title."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.shown: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if given.get("class") == "episode" and "hidden" not in given:
            self.shown.append(given)

    def handle_data(self, data: str) -> None:
        self.text += data


def browser() -> str:
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        pytest.fail("no Chromium found: install chromium, or leave these tests out with -m 'not browser'")
    return found


def look(page: Path, profile: Path, fragment: str = "") -> Seen:
    command = [browser(), *FLAGS, f"--user-data-dir={profile}", page.as_uri() + fragment]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return Seen(done.stdout.decode(), said)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    game = {"name": "tamper", "arm": "flawed", "question": HOSTILE, "emergence": "er", "bar": 0.9}
    flawed = write_run(root / "flawed", steps=22, batch=8, extra=[hostile_rollout()], game=game, command=HOSTILE)
    return write_report([flawed, write_run(root / "secure", secure=True, steps=22, batch=8)], root / "report.html")


def altered(page: Path, name: str, added: str = "", policy: bool = True) -> Path:
    """A copy of the page with markup added at its end, with or without its policy."""
    html = page.read_text(encoding="utf-8")
    assert len(POLICY.findall(html)) == 1
    html = html.replace("</body>", f"{added}</body>")
    copy = page.with_name(name)
    copy.write_text(html if policy else POLICY.sub("", html), encoding="utf-8")
    return copy


def test_hostile_text_shows_as_text_and_runs_nothing(page: Path, tmp_path: Path) -> None:
    for candidate in (page, altered(page, "unguarded.html", policy=False)):
        seen = look(candidate, tmp_path / candidate.stem, "#q=owned")
        found = Episodes(seen.dom)
        assert "<title>tamper: flawed beside secure \u00b7 gamekeeper</title>" in seen.dom
        assert "img" not in found.tags
        assert found.tags.count("script") == 2
        assert len(found.shown) == 1
        assert "</script><script>document.title='owned'</script><img src=x onerror=" in found.text
        assert "{{ 7*7 }} \\u2028 \\u0000 \\ud800 \\u202e &lt; ]]> -->" in found.text
        assert seen.console == []


def test_the_policy_stops_what_escaping_would_let_through(page: Path, tmp_path: Path) -> None:
    attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    seen = look(altered(page, "attacked.html", attack), tmp_path / "guarded")
    assert "<title>tamper" in seen.dom
    assert any("Content Security Policy" in line for line in seen.console)
    unguarded = look(altered(page, "unguarded.html", attack, policy=False), tmp_path / "unguarded")
    assert "<title>owned</title>" in unguarded.dom  # the attack itself works


def test_without_a_filter_the_first_rollouts_are_shown(page: Path, tmp_path: Path) -> None:
    seen = look(page, tmp_path / "p")
    assert len(Episodes(seen.dom).shown) == 25
    assert re.search(r'id="more">Show 25 more<', seen.dom)
    assert seen.console == []


@pytest.mark.parametrize(
    ("fragment", "wanted"),
    [
        ("#exploited", {"data-exploited": "yes"}),
        ("#exploited&step=20&run=0", {"data-exploited": "yes", "data-step": "20", "data-run": "0"}),
        ("#phase=eval&run=1", {"data-phase": "eval", "data-run": "1"}),
        ("#q=%3Cmodify_key%3ESCORE%3C", {"data-exploited": "yes"}),
    ],
)
def test_the_address_filters_the_rollouts(page: Path, tmp_path: Path, fragment: str, wanted: dict[str, str]) -> None:
    seen = look(page, tmp_path / "p", fragment)
    shown = Episodes(seen.dom).shown
    assert shown
    for episode in shown:
        assert {key: episode[key] for key in wanted} == wanted
    assert re.search(r'id="matching"[^>]*>\d+ of these \d+ match<', seen.dom)
    assert seen.console == []


def test_nothing_matching_is_said(page: Path, tmp_path: Path) -> None:
    seen = look(page, tmp_path / "p", "#q=no-such-words-anywhere")
    assert Episodes(seen.dom).shown == []
    assert '<p id="none">No rollout on this page matches.' in seen.dom


KEYS = """<script>
const press = (key) => document.querySelector('.desk .surface').dispatchEvent(new KeyboardEvent('keydown', {key}));
press('Home'); press('ArrowRight'); press('ArrowRight');
document.body.dataset.read = document.getElementById('reading').textContent;
press('Enter');
setTimeout(() => { document.body.dataset.address = location.hash; }, 100);
</script>"""


def test_the_figure_is_read_by_keyboard_and_leads_to_the_rollouts(page: Path, tmp_path: Path) -> None:
    seen = look(altered(page, "keys.html", KEYS, policy=False), tmp_path / "p")
    assert re.search(r'data-read="flawed, step 3: reward \.\d\d · truth \(ITP\) \.\d\d · ER \.\d\d"', seen.dom)
    assert 'data-address="#step=3&amp;run=0"' in seen.dom
    assert {(e["data-step"], e["data-run"]) for e in Episodes(seen.dom).shown} == {("3", "0")}
    assert seen.console == []


MEASURE = """<script>
document.querySelectorAll('details').forEach((d) => { d.open = true; });
const page = document.documentElement;
parent.postMessage(`${innerWidth} wide, ${page.scrollWidth - page.clientWidth} over`, '*');
</script>"""


@pytest.mark.parametrize(("added", "over"), [("", "0 over"), ("<p><svg width='500'></svg>", "[1-9][0-9]* over")])
def test_the_page_fits_a_telephone(page: Path, tmp_path: Path, added: str, over: str) -> None:
    child = altered(page, "child.html", added + MEASURE, policy=False)
    frame = page.with_name("frame.html")
    listen = "addEventListener('message', (e) => { document.title = e.data; })"
    frame.write_text(f'<script>{listen}</script><iframe width="390" height="800" src="{child.name}" frameborder="0">')
    assert re.search(f"<title>390 wide, {over}</title>", look(frame, tmp_path / "p").dom)
