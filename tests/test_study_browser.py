"""Every study's page in a real browser, on a desk and on a telephone: nothing is cut off, nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fake_studies import fake_results
from gamekeeper.report.study import render, write_study
from gamekeeper.studies.catalogue import STUDIES, study_of
from gamekeeper.studies.findings import Findings
from gamekeeper.studies.scope import Scope
from test_report_browser import POLICY, look

pytestmark = pytest.mark.browser

# How far the page is wider than its window, and how many words of the figures lie outside of their figure.
MEASURE = """<script>
const page = document.documentElement;
let out = 0;
document.querySelectorAll('svg.study').forEach((figure) => {
  const whole = figure.getBoundingClientRect();
  figure.querySelectorAll('text').forEach((word) => {
    const r = word.getBoundingClientRect();
    const across = r.left < whole.left - 1 || r.right > whole.right + 1;
    if (across || r.top < whole.top - 1 || r.bottom > whole.bottom + 1) out++;
  });
});
parent.postMessage(`${innerWidth}: ${page.scrollWidth - page.clientWidth} over, ${out} out`, '*');
</script>"""
LISTEN = """const said = [];
addEventListener('message', (e) => { said.push(e.data); document.title = said.sort().join('; '); });"""


def answer_of(name: str) -> Findings:
    study = study_of(name)
    return study.answer(fake_results(study, replace(Scope(), games=study.games, seeds=(0, 1, 2))))


def measured(page: str, folder: Path) -> str:
    """What the script says of a page, 1280 and 390 pixels wide."""
    (folder / "child.html").write_text(POLICY.sub("", page).replace("</body>", f"{MEASURE}</body>"))
    frames = "".join(
        f'<iframe width="{w}" height="900" src="child.html" frameborder="0"></iframe>' for w in (1280, 390)
    )
    (folder / "frame.html").write_text(f"<title></title><script>{LISTEN}</script>{frames}")
    found = re.search("<title>([^<]*)</title>", look(folder / "frame.html", folder / "profile").dom)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", STUDIES)
def test_nothing_is_cut_off(name: str, tmp_path: Path) -> None:
    assert measured(render(answer_of(name)), tmp_path) == "1280: 0 over, 0 out; 390: 0 over, 0 out"


def test_what_is_cut_off_would_be_seen(tmp_path: Path) -> None:
    page = render(answer_of("transfer"))
    wide = page.replace("<main>", '<main><svg class="study" viewBox="0 0 9 9"><text x="90">x</text></svg>')
    assert re.fullmatch(r"1280: 0 over, 1 out; 390: [1-9]\d* over, 1 out", measured(wide, tmp_path))


def test_nothing_is_said_on_the_console(tmp_path: Path) -> None:
    """Neither by the policy, which stops whatever would be fetched, nor by anything else."""
    seen = look(write_study(answer_of("audit-grid"), tmp_path / "page.html"), tmp_path / "profile")
    assert seen.console == []
    assert "How often a wrong answer is called right" in seen.dom
