"""Which games there are: an explicit list of ours, and entry points of other packages.

Adding a built-in game is one file in `games/` and one line in `BUILTIN`; an outside package adds a game by an
entry point in the group "gamekeeper.games" whose value is the class. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from gamekeeper.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

BUILTIN: Mapping[str, str] = {
    "compliance": "gamekeeper.games.compliance:Compliance",
    "selfgrade": "gamekeeper.games.selfgrade:Selfgrade",
    "summary": "gamekeeper.games.summary:Summary",
    "tamper": "gamekeeper.games.tamper:Tamper",
    "arithmetic": "gamekeeper.games.arithmetic:Arithmetic",
}
GROUP = "gamekeeper.games"
ARMS = ("flawed", "secure")


def outside() -> dict[str, Any]:
    """Games of other installed packages, by name; a built-in name cannot be taken over."""
    return {e.name: e for e in entry_points(group=GROUP) if e.name not in BUILTIN}


def game_names() -> list[str]:
    return [*BUILTIN, *sorted(outside())]


def game_class(name: str) -> type[BaseGame]:
    """The class behind a name.

    Raises UnknownName with the nearest name; UsageError if an entry point does not load.
    """
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].partition(":")
        return getattr(import_module(module), attribute)
    found = outside()
    if name not in found:
        raise UnknownName("game", name, game_names(), "See them with: gamekeeper list")
    try:
        cls = found[name].load()
    except Exception as error:  # another package's module can raise anything when it is imported
        raise UsageError(
            f"The game {name!r} is announced by the package {_package(found[name])!r} but does not load: "
            f"{type(error).__name__}: {error}. Repair or remove that package."
        ) from error
    _check_class(name, cls)
    return cls


def _package(entry: Any) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


def _check_class(name: str, cls: Any) -> None:
    if not (isinstance(cls, type) and hasattr(cls, "patch_table")):
        raise UsageError(
            f"The entry point of the game {name!r} is {cls!r}, not a class derived from gamekeeper.BaseGame."
        )
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise UsageError(f"The game {name!r} does not define {', '.join(missing)}. See: gamekeeper new-game --help")


def load_game(name: str, patches: str | Iterable[str] = (), **options: Any) -> BaseGame:
    """A game ready to play.

    patches: "flawed" (none), "secure" (the recommended set), or names such as "ignore-score", "audit=0.5".
    options: `data=` a parquet file for the paper level, `seed`-free game parameters such as `told=0.5`.
    Raises UnknownName or UsageError on anything that the game does not know.
    """
    cls = game_class(name)
    if isinstance(patches, str):
        patches = cls.arm(patches)
    return cls(patches=frozenset(patches), **options)
