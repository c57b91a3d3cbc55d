"""Gamekeeper: environments with a known loophole, and the means to watch a policy find it.

Importing the package loads neither torch nor any game; names below resolve on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Item": "gamekeeper.types",
    "Message": "gamekeeper.types",
    "Prompt": "gamekeeper.types",
    "Score": "gamekeeper.types",
    "Script": "gamekeeper.types",
    "Game": "gamekeeper.games.base",
    "BaseGame": "gamekeeper.games.base",
    "Patch": "gamekeeper.games.base",
    "check_game": "gamekeeper.games.conformance",
    "load_game": "gamekeeper.registry",
    "GamekeeperError": "gamekeeper.errors",
}
__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gamekeeper' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
