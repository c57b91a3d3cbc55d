"""docs/parity.md: its record agrees in every row, is what the public files give, and names tests that there are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from test_docs import ROOT, script

PAGE = ROOT / "docs" / "parity.md"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    return script("scripts", "parity")


@pytest.fixture(scope="module")
def record(parity: ModuleType) -> dict[str, Any]:
    return json.loads(parity.RECORD.read_text())


def test_every_formula_of_the_record_agrees_in_every_case(record: dict[str, Any]) -> None:
    differing = {r["formula"] for r in record["rows"] if r["agree"] != r["cases"]}
    assert differing == {"problems that their tests can decide"}
    assert {r["game"] for r in record["rows"]} == {"compliance", "selfgrade", "summary", "tamper"}
    assert min(r["cases"] for r in record["rows"]) >= 1
    assert len(record["undecidable"]) == 880 - 863


def test_the_page_shows_the_record(record: dict[str, Any]) -> None:
    """The rest of what keeps the page current is in test_docs."""
    script("scripts", "make_docs")
    page, blocks = PAGE.read_text(), sys.modules["doc_blocks"]
    for part in ("parity", "parity-files", "parity-undecidable"):
        assert f"<!-- generated: {part} -->\n\n{blocks.make(part)}\n\n<!-- end -->" in page
    assert all(f"| {r['agree']} of {r['cases']} |" in page for r in record["rows"])


def test_every_difference_is_held_by_a_test_that_there_is() -> None:
    differences = PAGE.read_text().partition("## Differences")[2]
    named = re.findall(r"`(test_\w+)` \|$", differences, re.MULTILINE)
    assert (
        len(named) == len(re.findall(r"^\| (?:compliance|selfgrade|summary|tamper) ", differences, re.MULTILINE)) > 20
    )
    there = {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (\w+)", path.read_text(), re.M)
    }
    assert not set(named) - there


@pytest.mark.slow
def test_formulas_that_need_little_are_the_records(parity: ModuleType, record: dict[str, Any], shared: Path) -> None:
    data = shared / "paper_data"
    found = [*parity.compliance(data), *parity.selfgrade(data)]
    assert found == [r for r in record["rows"] if r["game"] in ("compliance", "selfgrade")]


@pytest.mark.slow
def test_the_record_is_what_the_public_files_give(parity: ModuleType, record: dict[str, Any], shared: Path) -> None:
    assert parity.measured(shared / "paper_data") == record


def test_a_formula_that_differs_is_seen(parity: ModuleType, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    from gamekeeper.games import compliance

    monkeypatch.setitem(compliance.PAY, ("audit", False), -9.0)  # type: ignore[arg-type]
    first, *_ = parity.compliance(shared / "paper_data")
    assert first["agree"] == first["cases"] - 550  # each of 550 audit rows once
