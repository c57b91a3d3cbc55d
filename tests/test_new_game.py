"""`gamekeeper new-game`: what it writes is a package that installs, is found, and passes `gamekeeper check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper import scaffold
from gamekeeper.cli import app
from gamekeeper.registry import BUILTIN

SOURCE = Path(scaffold.__file__).parents[1]


def new_game(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["new-game", *args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("games") / "deep"
    new_game("parrot_talk", "--dir", str(parent))
    return parent / "parrot_talk"


@pytest.fixture(scope="module")
def site(package: Path) -> Path:
    """What `pip install -e` leaves of the package: a path to its source and its entry points."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    site = package.parent / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for g, e in project["entry-points"].items()]
    (info / "entry_points.txt").write_text("\n".join(points))
    return site


def python(*args: str, path: tuple[Path, ...], **options: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *args], env=env, capture_output=True, text=True, timeout=120, check=False, **options
    )


def test_the_game_is_found_and_passes_every_check(package: Path, site: Path) -> None:
    path = (site, package / "src", SOURCE)
    done = python("-m", "gamekeeper", "check", "parrot_talk", "--json", path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["arm"] for r in records] == ["flawed", "secure"]
    for record in records:
        passed = {c["name"] for c in record["checks"] if c["ok"]}
        assert {"scripts-pinned", "items-pure", "hash-seeds", "junk-survives"} <= passed
    assert "exploit-pays" in {c["name"] for c in records[0]["checks"] if c["ok"]}
    assert "secure-holds" in {c["name"] for c in records[1]["checks"] if c["ok"]}


def test_the_game_plays_beside_the_built_in_ones(package: Path, site: Path) -> None:
    path = (site, package / "src", SOURCE)
    done = python("-m", "gamekeeper", "play", "parrot_talk", "--json", path=path, input="1 2 3\n\n")
    assert json.loads(done.stdout)["truth"] == 0.0
    wrong = python("-m", "gamekeeper", "play", "parrot_tlak", path=path)
    assert "Did you mean 'parrot_talk'" in wrong.stderr


@pytest.mark.slow
def test_its_own_tests_pass(package: Path) -> None:
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package, path=(package / "src", SOURCE))
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("command", [["format", "--check"], ["check"]])
def test_the_written_code_is_clean(package: Path, command: list[str]) -> None:
    done = python("-m", "ruff", *command, "--isolated", "--line-length", "120", ".", cwd=package, path=())
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_placeholder_is_left(tmp_path: Path) -> None:
    new_game("parrot_talk", "--dir", str(tmp_path))
    package = tmp_path / "parrot_talk"
    files = [f for f in package.rglob("*") if f.is_file()]
    assert {str(f.relative_to(package)) for f in files} == {
        "pyproject.toml",
        "README.md",
        "src/gamekeeper_parrot_talk.py",
        "tests/test_parrot_talk.py",
    }
    for file in files:
        assert "$" not in file.read_text(), file
    assert "class ParrotTalkGame(BaseGame)" in (package / "src/gamekeeper_parrot_talk.py").read_text()


@pytest.mark.slow
def test_pip_installs_it_and_the_command_finds_it(tmp_path: Path) -> None:
    assert find_spec("setuptools"), "the extra `dev` brings setuptools, which this needs to build without a network"
    new_game("parrot", "--dir", str(tmp_path))
    target = tmp_path / "target"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    for options in (["--target", str(target)], ["--prefix", str(tmp_path / "env"), "--editable"]):
        installed = python("-m", "pip", "install", *quiet, *options, str(tmp_path / "parrot"), path=(SOURCE,))
        assert installed.returncode == 0, installed.stderr
    (editable,) = (tmp_path / "env").glob("lib*/python*/site-packages")
    for path in ((target, SOURCE), (editable, tmp_path / "parrot" / "src", SOURCE)):
        checked = python("-m", "gamekeeper", "check", "parrot", "--items", "2", path=path)
        assert checked.returncode == 0, checked.stdout + checked.stderr


# Names and folders


@pytest.mark.parametrize(
    "name", ["", "Parrot", "my-game", "2fast", "_x", "naïve", "a b", "a/b", "../up", "class", "x" * 41, "a.b", "a\n"]
)
def test_a_name_that_cannot_be_a_games(name: str, tmp_path: Path) -> None:
    message = new_game(name, "--dir", str(tmp_path), code=2).stderr
    assert "cannot be a game's name" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "near"), [("Parrot", "parrot"), ("my-game", "my_game"), ("a b", "a_b")])
def test_the_nearest_good_name_is_offered(name: str, near: str, tmp_path: Path) -> None:
    assert f"How about {near!r}?" in new_game(name, "--dir", str(tmp_path), code=2).stderr


def test_taken_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BUILTIN:
        assert f"There is a game '{name}' already" in new_game(name, "--dir", str(tmp_path), code=2).stderr
    assert "one of gamekeeper's own" in new_game("base", "--dir", str(tmp_path), code=2).stderr
    (tmp_path / "gamekeeper_owl.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert "'gamekeeper_owl' is installed" in new_game("owl", "--dir", str(tmp_path), code=2).stderr


@pytest.mark.parametrize("name", ["score", "item", "patch", "sequence", "random", "re", "test", "chat"])
def test_names_that_the_written_module_uses_itself(name: str) -> None:
    code = scaffold.package_files(name)[f"src/gamekeeper_{name}.py"]
    room: dict[str, Any] = {"__name__": f"gamekeeper_{name}"}
    exec(compile(code, name, "exec"), room)
    game = room[scaffold.class_name(name)]()
    (item,) = game.items("test", 1, 0)
    assert [game.score(item, s.replies).reward == s.reward for s in game.scripts(item)] == [True] * 4


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "parrot").mkdir()
    (tmp_path / "parrot" / "mine").write_text("mine")
    assert "exists already" in new_game("parrot", "--dir", str(tmp_path), code=2).stderr
    assert [p.name for p in (tmp_path / "parrot").iterdir()] == ["mine"]
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert "exists already" in new_game("gone", "--dir", str(tmp_path), code=2).stderr
    (tmp_path / "file").write_text("")
    assert "The system refused" in new_game("owl", "--dir", str(tmp_path / "file"), code=3).stderr


def test_a_package_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = Path.write_text, []

    def fails_on_the_third(self: Path, *args: Any, **options: Any) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device", str(self))
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "write_text", fails_on_the_third)
    assert "No space left" in new_game("parrot", "--dir", str(tmp_path), code=3).stderr
    assert len(written) == 3
    assert not list(tmp_path.iterdir())
