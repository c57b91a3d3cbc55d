"""Where the source of a target stands, found by the target's name alone: nothing of the target is imported or run.

For what must not be overwritten, and for reports that point at a line. A submodule is looked up without importing its
package, which `importlib.util.find_spec` would do.
"""

from __future__ import annotations

import ast
import importlib.util
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from gamekeeper.audit import pay_tables
from gamekeeper.audit.targets import CHILDREN


def file_of(name: str, folder: str) -> Path | None:
    """The file that a target's name speaks of: a Python file, that of a module, a pay table; None if there is none."""
    kind, _, rest = name.partition(":")
    if kind == pay_tables.PREFIX:
        return Path(folder, rest)
    where = _module(name)
    if where.endswith(".py"):
        return Path(folder, where)
    found = _spec_of(where, folder) if kind != "game" else None
    if found is None or not found.has_location or not found.origin:
        return None
    return Path(found.origin)


def _module(name: str) -> str:
    """The file or module of a name, without the kind before it and the attribute behind it."""
    kind, _, rest = name.partition(":")
    if kind not in CHILDREN:
        return name.rpartition(":")[0]
    alone = rest.endswith(".py") or kind == "verifiers"  # a taskset is found in its module without being named
    where, colon, _ = rest.rpartition(":")
    return where if colon else rest if alone else ""


def _spec_of(module: str, folder: str) -> ModuleSpec | None:
    first, *rest = module.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        return None
    try:
        found = importlib.util.find_spec(first) or PathFinder.find_spec(first, [folder])
        for part in rest:
            if found is None or found.submodule_search_locations is None:
                return None
            found = PathFinder.find_spec(f"{found.name}.{part}", list(found.submodule_search_locations))
    except (ImportError, ValueError):
        return None
    return found


def line_of(path: Path, attribute: str) -> int:
    """The line on which a dotted name is defined in a file, or the first line."""
    try:
        body: list[ast.stmt] = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return 1
    line = 1
    for part in attribute.split("."):
        node = next((n for n in body if part in _defined(n)), None)
        if node is None:
            break
        line, body = node.lineno, getattr(node, "body", [])
    return line


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
