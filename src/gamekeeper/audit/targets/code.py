"""The user's and the libraries' code: importing it by name, asking for the right version, reading its source."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from gamekeeper.errors import UnknownName, UsageError

_MOST_SOURCE = 300_000
_MOST_MODULES = 6


def module_of(where: str, folder: str) -> ModuleType:
    """The module of a file (relative to the folder) or of a dotted name. UsageError if there is none.

    The folder comes before all else, as it does for `python -m` and pytest.
    """
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    if where.endswith(".py"):
        return _from_file(Path(folder, where))
    hidden = Path(folder, f"{where}.py")
    loaded = getattr(sys.modules.get(where), "__file__", None)
    # The library's own module of that name is in use here already, so that an import would not look for another.
    return _from_file(hidden) if loaded and Path(loaded) != hidden and hidden.is_file() else _from_path(where)


def attribute_of(module: Any, where: str, attribute: str) -> Any:
    """What stands under a dotted name in a module; UnknownName lists what could be meant."""
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
            raise UnknownName(f"function of {where}", attribute, known)
        found = getattr(found, part)
    return found


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(
            f"There is no file {str(path)!r}. Give the path of a Python file, then a colon and a function."
        )
    if _is_part(path):
        return _from_package(path)
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _is_part(path: Path) -> bool:
    """Whether a file says `from . import`. One that does not is loaded alone, without what its package needs."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return False  # importing it says so
    relative = any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    return relative and path.with_name("__init__.py").is_file()


def _from_package(path: Path) -> ModuleType:
    """The module by its dotted name, from the first folder upwards that is no package."""
    names, top = [path.stem], path.resolve().parent
    while (top / "__init__.py").is_file():
        names.insert(0, top.name)
        top = top.parent
    sys.path.insert(0, str(top))
    return importlib.import_module(".".join(names))


def _from_path(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        raise UsageError(f"There is no module {name!r}. Install it, or name a file: path/to/file.py:function") from None


def require(package: str, least: str, below: str) -> str:
    """The installed version of a library. UsageError, with the command to install it, if absent or out of range."""
    wanted = f"{package}>={least},<{below}"
    try:
        found = version(package)
    except PackageNotFoundError:
        raise UsageError(
            f"This target needs the package {package!r}, which is not installed. "
            f"Install it with: pip install '{wanted}'"
        ) from None
    if not _numbers(least) <= _numbers(found) < _numbers(below):
        raise UsageError(
            f"This target works with {package} from {least} to below {below}, and {found} is installed. "
            f"Install another with: pip install '{wanted}'"
        )
    return found


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:3])


def sources(function: Any) -> str:
    """What the function reaches in its own module, and the modules beside it whole."""
    texts: list[str] = []
    for module in _modules(function):
        try:
            text = inspect.getsource(module)
        except (OSError, TypeError):
            continue
        texts.append(text if texts else reached(text, getattr(function, "__qualname__", "").partition(".")[0]))
    if not texts:
        try:
            texts.append(inspect.getsource(function))
        except (OSError, TypeError):
            return ""
    return "\n".join(texts)[:_MOST_SOURCE]


def reached(source: str, name: str) -> str:
    """The top-level pieces of a module that a function uses, directly or through others; all of it if unsure."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return source
    pieces: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for defined in _defined(node):
            pieces.setdefault(defined, []).append(node)
    if name not in pieces:
        return source
    waiting, used = [name], {name}
    while waiting:
        for node in pieces[waiting.pop()]:
            fresh = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in pieces} - used
            used |= fresh
            waiting += fresh
    kept = [n for n in tree.body if used & set(_defined(n))]
    return "\n".join(ast.get_source_segment(source, node) or "" for node in kept)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def _modules(function: Any) -> list[Any]:
    home = inspect.getmodule(function)
    if home is None:
        return []
    found, folder = [home], Path(getattr(home, "__file__", None) or "/nowhere/x").parent
    for value in getattr(function, "__globals__", {}).values():
        module = value if isinstance(value, ModuleType) else inspect.getmodule(value) if callable(value) else None
        if module is None:
            continue
        near = Path(getattr(module, "__file__", None) or "/").parent == folder
        if near and module not in found and len(found) < _MOST_MODULES:
            found.append(module)
    return found
