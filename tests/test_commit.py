"""Which commit a record names: the package's own, and whether the package differed from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gamekeeper.studies.runner import commit_of


def git(folder: Path, *words: str) -> str:
    known = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *known, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    inside = tmp_path / "src" / "package"
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text("A = 1\n")
    (tmp_path / "notes.md").write_text("a\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return inside


def test_changes_outside_of_the_package_do_not_count(package: Path) -> None:
    head = git(package, "rev-parse", "HEAD").strip()[:12]
    assert commit_of(package) == head
    (package.parents[1] / "notes.md").write_text("b\n")
    (package.parents[1] / "record.json").write_text("{}")
    assert commit_of(package) == head


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_changes_inside_do(package: Path, name: str) -> None:
    head = commit_of(package)
    (package / name).write_text("A = 2\n")
    assert commit_of(package) == f"{head}-dirty"


def test_an_installed_package_has_no_commit(package: Path, tmp_path: Path) -> None:
    installed = tmp_path / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert commit_of(installed) is None
    assert commit_of(tmp_path / "nowhere") is None
