"""What comes with an extra is imported where it is used, and its absence said with the command that ends it.

The core installs in seconds, for the audit and the sandbox; whatever is large and only some uses need is an extra.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from gamekeeper.errors import MissingExtra


def need(extra: str, what: str, *modules: str) -> ModuleType:
    """Imports the modules of an extra and returns the first. what: who needs them, as the start of a sentence.

    Raises MissingExtra when one is not installed.
    """
    try:
        found = [import_module(name) for name in modules]
    except ModuleNotFoundError as error:
        raise MissingExtra(extra, what, error.name or modules[0]) from None
    return found[0]
