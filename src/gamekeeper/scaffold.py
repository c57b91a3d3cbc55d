"""A new game as a package of its own: the smallest thing that passes `gamekeeper check`.

The game that is written down is a real one, with a flaw met often in graders: credit for a right answer *anywhere*
in the reply, which pays a reply that lists every number. Its author replaces it piece by piece and keeps the tests.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template

import gamekeeper
from gamekeeper.errors import UsageError
from gamekeeper.registry import game_names

MODULE_PREFIX = "gamekeeper_"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TEMPLATES = Path(__file__).parent / "scaffold_files"


def create(name: str, parent: Path) -> Path:
    """Writes the package into a new folder `parent/name`, whole or not at all, and returns that folder.

    Raises UsageError if the name cannot be a game's, is taken, or the folder is there already.
    """
    check_name(name)
    folder = parent.expanduser() / name
    _write_whole(folder, package_files(name))
    return folder


def create_taskset(game: str, patches: str, folder: Path) -> str:
    """Writes a game as a taskset package for verifiers into a new folder, after which it is named.

    Returns the module's name. Raises UsageError if the folder is there already or cannot name a module.
    """
    module = folder.name.replace("-", "_")
    if not _NAME.fullmatch(module) or keyword.iskeyword(module):
        raise UsageError(
            f"The folder's name becomes the package's, and {folder.name!r} cannot. Use lower-case letters, digits and "
            f"_, starting with a letter, e.g. {game}_taskset."
        )
    if find_spec(module) is not None:
        raise UsageError(f"A module {module!r} is installed already. Choose another name for the folder.")
    words = {"name": game, "patches": patches, "module": module, "package": module.replace("_", "-")}
    words["Class"] = "".join(part.capitalize() for part in module.split("_")) + "Taskset"
    files = {"pyproject.toml": _fill("taskset.toml", words), f"{module}.py": _fill("taskset.py", words)}
    _write_whole(folder, files)
    return module


def _write_whole(folder: Path, files: Mapping[str, str]) -> None:
    """All files into a new folder, or none."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists already. Choose another name, another folder, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / folder.name
        for path, text in files.items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        shutil.move(made, folder)


def check_name(name: str) -> None:
    """A game's name is a lower-case identifier that no game and no module has."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
        guess = f" How about {near!r}?" if _NAME.fullmatch(near) and not keyword.iskeyword(near) else ""
        raise UsageError(
            f"{name!r} cannot be a game's name. Use lower-case letters, digits and _, starting with a letter, "
            f"at most 40 characters and no keyword of Python.{guess}"
        )
    if class_name(name) in gamekeeper.__all__:
        raise UsageError(f"The class {class_name(name)} is one of gamekeeper's own. Choose another name.")
    if name in game_names():
        raise UsageError(f"There is a game {name!r} already. Choose another name; see: gamekeeper list")
    if find_spec(MODULE_PREFIX + name) is not None:
        raise UsageError(
            f"A module {MODULE_PREFIX + name!r} is installed already. Choose another name, or remove that package."
        )


def package_files(name: str) -> dict[str, str]:
    """The package's files by their path in it."""
    words = {
        "name": name,
        "module": MODULE_PREFIX + name,
        "package": f"gamekeeper-{name.replace('_', '-').rstrip('-')}",
        "Class": class_name(name),
    }
    places = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "game.py": f"src/{words['module']}.py",
        "test_game.py": f"tests/test_{name}.py",
    }
    return {place: _fill(source, words) for source, place in places.items()}


def class_name(name: str) -> str:
    """With a suffix, so that a game called `score` does not hide the class Score."""
    return "".join(part.capitalize() for part in name.split("_")) + "Game"


def _fill(source: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / f"{source}.txt").read_text(encoding="utf-8")).substitute(words)
