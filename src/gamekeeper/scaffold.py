"""A new game as a package of its own: the smallest thing that passes `gamekeeper check`.

The game that is written down is a real one, with a flaw met often in graders: credit for a right answer *anywhere*
in the reply, which pays a reply that lists every number. Its author replaces it piece by piece and keeps the tests.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
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
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists already. Choose another name, another --dir, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        made = Path(scratch) / name
        for path, text in package_files(name).items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        shutil.move(made, folder)
    return folder


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
