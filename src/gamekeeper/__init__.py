"""Gamekeeper: environments with a known loophole, and the means to watch a policy find it.

Importing the package loads neither torch nor any game; names below resolve on first use.
"""

from __future__ import annotations

from gamekeeper.deferred import deferred

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
__getattr__ = deferred(__name__, _LAZY)
__all__ = [*_LAZY, "__version__"]
