"""The files that an audit reads and leaves: none is lost, none is written over, and a wrong path is said beforehand."""

from __future__ import annotations

import json
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.audit.targets.places import file_of, line_of
from gamekeeper.cli import app

FILES = ("--sarif", "--junit", "--html")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def said(result: Any) -> str:
    return " ".join(result.output.split())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A pay table with a hole, which is a target that takes no time."""
    rows = [
        {"audited": a, "claims": c, "right": r, "reward": (1.0 if r else -1.0) if a and c else float(c)}
        for a, c, r in product((False, True), repeat=3)
    ]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"audit": 0.4, "pay": rows}))
    return path


def closed(table: Path) -> Path:
    """The same without the hole."""
    table.write_text(json.dumps({**json.loads(table.read_text()), "audit": 0.6}))
    return table


# What is left


def test_folders_for_the_files_are_made(table: Path, tmp_path: Path) -> None:
    places = [tmp_path / "out" / "deep" / name for name in ("a.sarif", "a.xml", "a.html")]
    found = run(f"pay:{table}", *(word for pair in zip(FILES, places, strict=True) for word in pair))
    assert found.exit_code == 1, found.output
    assert all(place.stat().st_size > 300 for place in places)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="NOT TESTED: this system has no /dev/full")
def test_a_full_disk_costs_neither_the_verdict_nor_the_other_files(table: Path, tmp_path: Path) -> None:
    words = ("--sarif", tmp_path / "a.sarif", "--junit", "/dev/full", "--html", tmp_path / "a.html")
    found = run(f"pay:{table}", *words)
    assert "FOOLED" in found.stdout
    assert "'/dev/full' cannot be written: No space left" in said(found)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.sarif", "table.json"]
    assert found.exit_code == 1
    assert run(f"pay:{closed(table)}", *words).exit_code == 3


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: other systems want file names in UTF-8")
def test_a_name_that_is_not_in_utf_8_costs_no_file(table: Path, tmp_path: Path) -> None:
    odd = table.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json"))
    places = [tmp_path / name for name in ("a.sarif", "a.xml", "a.html")]
    found = run(f"pay:{odd}", *(word for pair in zip(FILES, places, strict=True) for word in pair))
    assert found.exit_code == 1, found.output
    assert all(place.stat().st_size > 300 for place in places)


# What is refused before anything is looked at


@pytest.mark.parametrize("option", FILES)
def test_a_path_that_cannot_be_written_is_a_wrong_call(option: str, table: Path, tmp_path: Path) -> None:
    for place, words in ((table / "x", "cannot be written"), (tmp_path, "is a folder")):
        refused = run(f"pay:{table}", option, place)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert words in said(refused)


def test_a_place_without_permission_is_a_wrong_call(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)  # root may write everywhere
    (tmp_path / "there.html").touch()
    assert "may not be written" in said(run(f"pay:{table}", "--html", tmp_path / "there.html"))
    assert "no file can be made" in said(run(f"pay:{table}", "--html", tmp_path / "new.html"))


def test_no_file_is_written_over_another(table: Path, tmp_path: Path) -> None:
    grader, rows = (tmp_path / name for name in ("g.py", "e.jsonl"))
    grader.write_text("def reward(completion, answer):\n    return float(completion == answer)\n")
    rows.write_text('{"prompt": "1+1?", "answer": "2"}\n')
    (tmp_path / "link").symlink_to(grader)
    before = {p: p.read_bytes() for p in (table, grader, rows)}
    call = (f"{grader}:reward", "--examples", rows)
    for words, other in (
        ((f"pay:{table}", "--sarif", table), "TARGET"),
        ((*call, "--html", grader), "TARGET"),
        ((*call, "--html", tmp_path / "link"), "TARGET"),
        ((*call, "--sarif", rows), "--examples"),
        ((*call, "--oracle", f"{table.parent}/o.py:f", "--junit", tmp_path / "o.py"), "--oracle"),
        ((*call, "--sarif", tmp_path / "x", "--html", tmp_path / "." / "x"), "--sarif"),
    ):
        refused = run(*words)
        assert refused.exit_code == 2, refused.output
        assert f"would overwrite what {other} names" in said(refused)
    assert {p: p.read_bytes() for p in before} == before
    assert run(f"pay:{table}", "--sarif", "/dev/null", "--html", "/dev/null").exit_code == 1


# Where a target stands


def test_the_file_of_a_target_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ranger_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('nothing of a target runs here')\n")
    (package / "rewards.py").touch()
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    for name, found in {
        "g.py:reward": "g.py",
        "trl:g.py:reward": "g.py",
        "verifiers:g.py": "g.py",
        "pay:t.json": "t.json",
        "ranger_pkg.rewards:reward": "ranger_pkg/rewards.py",
        "verl:ranger_pkg.rewards:reward": "ranger_pkg/rewards.py",
        "verifiers:ranger_pkg.rewards": "ranger_pkg/rewards.py",
        "ranger_pkg:reward": "ranger_pkg/__init__.py",
        "ranger_pkg.rewards.more:reward": None,
        "no_such_module:reward": None,
        "sys:exit": None,
        "trl:accuracy_reward": None,
        "reasoning_gym:gcd": None,
        "openenv:http://127.0.0.1:8000": None,
        "game:tamper": None,
        "": None,
    }.items():
        assert file_of(name, str(tmp_path)) == (found and tmp_path / found), name
    assert "ranger_pkg" not in sys.modules


def test_the_line_of_a_name_is_where_it_is_defined(tmp_path: Path) -> None:
    path = tmp_path / "g.py"
    path.write_text("'''def f('''\nclass fine:\n    def f(self): ...\n\n@property\ndef f(c): ...\n\nother = f\n")
    assert [line_of(path, name) for name in ("fine", "fine.f", "f", "other", "none", "")] == [2, 3, 6, 8, 1, 1]
    path.write_text("def f(:")
    assert line_of(path, "f") == line_of(tmp_path / "none.py", "f") == 1
