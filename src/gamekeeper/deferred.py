"""Names of a package that are imported on first use, so that importing one of its modules does not load them all.

Type checkers do not follow that: a package whose names shall have types imports them under `if TYPE_CHECKING:` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def deferred(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package. homes: name -> the module that defines it."""

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return __getattr__


def homes_of(package: str, table: Mapping[str, str]) -> dict[str, str]:
    """name -> module, from module -> its names: {"auditor": "audit"} of package "p" makes {"audit": "p.auditor"}."""
    return {name: f"{package}.{module}" for module, names in table.items() for name in names.split()}
