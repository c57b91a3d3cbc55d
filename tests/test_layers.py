"""Who may import whom, as one table and a walk over every import statement, those inside functions included.

A row is a room (a top-level module or folder) or, where it is stricter, a single module. The rules also pinned here:
no cycle between modules, torch only where models are run, nothing named for what it does not say.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "gamekeeper"
SOURCE = Path(__file__).resolve().parent.parent / "src"

LOW = {"types", "errors", "extras", "seeds", "metrics", "deferred"}
FOUNDATIONS = LOW | {"registry", "config"}
# A run's directory (one public module and the two that it is made of), and the landmarks that are read off it.
RECORD = {"studies.record", "studies.rollouts", "studies.disk", "studies.dynamics"}
# What a study found, as plain data, and the arithmetic of its intervals.
FINDINGS = {"studies.findings", "studies.stats"}
BELOW_STUDIES = FOUNDATIONS | {"rewards", "sandbox", "games", "policy", "train", "audit", "monitor"}
EVERYTHING = {"*"}

# Room or module -> what it may import of this package, besides itself and `gamekeeper` (for the version).
ALLOWED: dict[str, set[str]] = {
    "": {"deferred"},  # gamekeeper/__init__.py: names resolve on first use
    "deferred": set(),
    "types": LOW,
    "errors": LOW,
    "extras": LOW,
    "seeds": LOW,
    "metrics": LOW,
    "registry": LOW,
    "config": LOW,
    "scaffold": FOUNDATIONS,
    "endpoint": LOW,  # what judges and policies on a server share
    "rewards": FOUNDATIONS | {"endpoint"},
    "sandbox": FOUNDATIONS,
    "games": FOUNDATIONS | {"rewards", "sandbox"},
    "audit": FOUNDATIONS | {"rewards", "sandbox", "games"},
    "audit.learner": FOUNDATIONS | {"audit", "policy", "train"},  # imported by `--learn` alone
    "monitor": FOUNDATIONS | {"rewards", "sandbox", "games"},
    "policy": FOUNDATIONS | {"endpoint"},
    "serving": FOUNDATIONS | {"policy"},
    "train": FOUNDATIONS | {"policy"},
    "studies": BELOW_STUDIES,
    "studies.record": FOUNDATIONS | RECORD,
    "studies.rollouts": FOUNDATIONS | RECORD,
    "studies.disk": FOUNDATIONS,
    "studies.dynamics": FOUNDATIONS | RECORD,
    "studies.findings": FOUNDATIONS | FINDINGS,
    "studies.stats": FOUNDATIONS,
    "studies.spread": BELOW_STUDIES | {"studies", "adapters.library"},
    "report": FOUNDATIONS | RECORD | FINDINGS,
    "adapters": FOUNDATIONS | {"games", "rewards"},
    "adapters.verl.check": FOUNDATIONS | {"adapters", "train"},  # compares verl's advantages with the native trainer's
    "adapters.trl": BELOW_STUDIES | {"adapters", "studies"},  # a backend: it writes what the runner writes
    "adapters.verifiers": FOUNDATIONS | {"games", "rewards", "policy.endpoint", "adapters"},  # what a server withholds
    "adapters.inspect": FOUNDATIONS | RECORD | {"games", "rewards", "policy", "serving", "studies.stats", "adapters"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
}
# Imports for type checkers alone (under `if TYPE_CHECKING:`) run never; these go upwards all the same.
TYPES_ONLY = {("registry", "games")}
# What a command line may import before it knows which command is meant.
CLI_AT_START = FOUNDATIONS | {"cli"}
STANDARD_ONLY = FOUNDATIONS | {""}
# Whatever brings torch along. `tokenizers` and `safetensors` come with the same extra.
HEAVY = {"torch", "transformers", "trl", "accelerate", "datasets", "tokenizers", "safetensors"}
# `rewards.tokens` counts by a tokenizer's file if it is given one: `tokenizers` brings no torch, and is asked for then.
MAY_BE_HEAVY = {"policy", "train", "studies.runner", "studies.pretraining", "rewards.tokens", "audit.learner"}
MAY_BE_HEAVY |= {
    "adapters.trl",
    "adapters.tracking",
    "adapters.verl.check",
    "adapters.verl.loop",
}  # their libraries bring torch
# `audit.targets.trl` lives in the audited child, where TRL is asked for by name.
MAY_BE_HEAVY |= {"audit.targets.trl"}
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


@dataclass(frozen=True)
class Import:
    """One imported module: where the statement stands, and whether it runs at once, in a function, or never."""

    importer: str
    target: str
    path: Path
    line: int
    when: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


class Imports(ast.NodeVisitor):
    """Collects the imports of one module, as (target, line, when)."""

    def __init__(self, module: str, is_package: bool) -> None:
        self.base = module.split(".") if is_package else module.split(".")[:-1]
        self.found: list[tuple[str, int, str]] = []
        self.when = "start"

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, node.lineno, self.when) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.base[: len(self.base) - node.level + 1] if node.level else []
        stem = ".".join([*base, *([node.module] if node.module else [])])
        # `from a import b` may mean the module a.b; the reader of the list knows which modules there are.
        self.found += [(f"{stem}.{alias.name}", node.lineno, self.when) for alias in node.names]

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            self.found.append((str(node.args[0].value), node.lineno, self.when))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            self._inside("never", node.body)
            self._inside(self.when, node.orelse)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside("function", [node])

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _inside(self, when: str, nodes: list[ast.stmt]) -> None:
        before, self.when = self.when, before_or(self.when, when)
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.generic_visit(node)
            else:
                self.visit(node)
        self.when = before


def before_or(outer: str, inner: str) -> str:
    return "never" if outer == "never" else inner


def modules(source: Path) -> dict[str, Path]:
    """Every module of the package by dotted name."""
    out = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


def imports(source: Path) -> list[Import]:
    known = modules(source)
    found = []
    for name, path in known.items():
        visitor = Imports(name, path.name == "__init__.py")
        visitor.visit(ast.parse(path.read_text(), str(path)))
        for target, line, when in visitor.found:
            if target not in known and target.rpartition(".")[0] in known:
                target = target.rpartition(".")[0]  # a name of that module, not a module
            found.append(Import(name, target, path.relative_to(source), line, when))
    return found


def inner(module: str) -> str:
    """The name without the package's: "gamekeeper.games.base" -> "games.base"."""
    return module.removeprefix(PACKAGE).removeprefix(".")


def covers(table: set[str], module: str) -> bool:
    """Whether the table names the module itself or a folder that it is in."""
    parts = module.split(".")
    return bool(table & {"*", *(".".join(parts[:n]) for n in range(1, len(parts) + 1))})


def row(module: str) -> str:
    """The strictest row of ALLOWED for a module: its own, else that of the innermost room that has one."""
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in ALLOWED), parts[0])


def is_own(imp: Import) -> bool:
    return imp.target == PACKAGE or imp.target.startswith(PACKAGE + ".")


def wrong_directions(found: list[Import]) -> Iterator[str]:
    for imp in filter(is_own, found):
        importer, target = inner(imp.importer), inner(imp.target)
        room, target_room = row(importer), target.split(".")[0]
        if room not in ALLOWED:
            yield f"{imp.place}: the room {room!r} has no row in the table of tests/test_layers.py"
            continue
        if target == "" or covers({room}, target) or covers(ALLOWED[room], target):
            continue
        if imp.when == "never" and (room, target_room) in TYPES_ONLY:
            continue
        yield f"{imp.place}: {room or 'gamekeeper'} may not import {target}"


def outside_imports(found: list[Import]) -> Iterator[str]:
    for imp in found:
        top, room = imp.target.split(".")[0], inner(imp.importer).split(".")[0]
        if is_own(imp) or imp.when == "never":
            continue
        if room in STANDARD_ONLY and top not in sys.stdlib_module_names:
            who = room or PACKAGE
            yield f"{imp.place}: {who} is a foundation and may import the standard library only, not {top}"
        if top in HEAVY and not covers(MAY_BE_HEAVY, inner(imp.importer)):
            yield f"{imp.place}: {inner(imp.importer)} may not import {top}"


def eager_commands(found: list[Import]) -> Iterator[str]:
    for imp in filter(is_own, found):
        target = inner(imp.target)
        if covers({"cli"}, inner(imp.importer)) and imp.when == "start" and target and not covers(CLI_AT_START, target):
            yield f"{imp.place}: the command line must import {target} inside the function that needs it"


def cycles(found: list[Import]) -> Iterator[str]:
    """Modules that reach themselves. A package's `__init__` counts through the names it imports only."""
    edges: dict[str, dict[str, Import]] = {}
    for imp in found:
        if is_own(imp) and imp.when != "never" and imp.target not in (imp.importer, PACKAGE):
            edges.setdefault(imp.importer, {}).setdefault(imp.target, imp)
    state: dict[str, str] = {}

    def walk(module: str, trail: list[Import]) -> Iterator[str]:
        state[module] = "open"
        for target, imp in edges.get(module, {}).items():
            if state.get(target) == "open":
                start = next((n for n, t in enumerate(trail) if t.importer == target), len(trail))
                yield (
                    " -> ".join(f"{inner(i.importer)} ({i.place})" for i in [*trail[start:], imp])
                    + f" -> {inner(target)}"
                )
            elif target not in state:
                yield from walk(target, [*trail, imp])
        state[module] = "done"

    for module in edges:
        if module not in state:
            yield from walk(module, [])


def bad_names(source: Path) -> Iterator[str]:
    for name, path in modules(source).items():
        if bad := BAD_NAMES & set(name.replace("_", ".").split(".")):
            yield f"{path.relative_to(source)}: {bad.pop()!r} says nothing; name the module for what it holds"


def violations(source: Path) -> list[str]:
    found = imports(source)
    checks = (wrong_directions, outside_imports, eager_commands, cycles)
    lines = [*(line for check in checks for line in check(found)), *bad_names(source)]
    return list(dict.fromkeys(lines))  # `from a import b, c` is one breach, not two


def test_the_package_keeps_its_directions() -> None:
    assert len(modules(SOURCE)) > 20, "the walk did not find the package"
    assert not violations(SOURCE), "\n" + "\n".join(violations(SOURCE))


@pytest.mark.slow
def test_the_table_has_no_row_for_nothing() -> None:
    """A row or an exception that no module uses any more would hide the next one."""
    upwards = {
        (inner(i.importer).split(".")[0], inner(i.target).split(".")[0]) for i in imports(SOURCE) if i.when == "never"
    }
    assert upwards >= TYPES_ONLY


def package(tmp_path: Path, **files: str) -> Path:
    """A package of the same name with the given modules; `games__base` stands for games/base.py."""
    for name, text in {"__init__": "", **files}.items():
        path = tmp_path / PACKAGE / (name.replace("__", "/") if name != "__init__" else name)
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"train__grpo": "def f():\n    from gamekeeper.games import base\n"}, "grpo.py:2: train may not import games"),
        ({"train__grpo": "\nfrom ..games.base import Game\n"}, "grpo.py:2: train may not import games"),
        ({"policy__x": "import gamekeeper.games.base as b\n"}, "x.py:1: policy may not import games.base"),
        (
            {"policy__x": "if TYPE_CHECKING:\n    from gamekeeper.games.base import G\n"},
            "x.py:2: policy may not import",
        ),
        ({"report__x": "from gamekeeper.studies import runner\n"}, "x.py:1: report may not import studies"),
        (
            {"studies__record": "from gamekeeper.games import base\n"},
            "record.py:1: studies.record may not import games",
        ),
        ({"games__x": "import_module('gamekeeper.policy.model')\n"}, "x.py:1: games may not import policy"),
        ({"games__x": "def f():\n    import torch.nn\n"}, "x.py:2: games.x may not import torch"),
        ({"studies__stats": "from torch import Tensor\n"}, "stats.py:1: studies.stats may not import torch"),
        ({"seeds": "import numpy\n"}, "seeds.py:1: seeds is a foundation"),
        ({"cli": "import gamekeeper.games.base\n"}, "cli.py:1: the command line must import games"),
        ({"new_room__x": "import gamekeeper.types\n"}, "x.py:1: the room 'new_room' has no row"),
        ({"games__text_utils": ""}, "text_utils.py: 'utils' says nothing"),
        (
            {"games__a": "import gamekeeper.games.b\n", "games__b": "def f():\n    from gamekeeper.games import a\n"},
            "games.a (gamekeeper/games/a.py:1) -> games.b (gamekeeper/games/b.py:2) -> games.a",
        ),
    ],
)
def test_a_breach_is_found_where_it_stands(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    source = package(tmp_path, **{"games__base": "", "studies__runner": "", "policy__model": "", "types": ""} | files)
    found = violations(source)
    assert any(complaint in line for line in found), found


def test_lawful_imports_pass(tmp_path: Path) -> None:
    source = package(
        tmp_path,
        types="import json\n",
        games__base="from gamekeeper import __version__\nfrom gamekeeper.types import Item\nfrom .words import name\n",
        games__words="import numpy\n",
        registry="if TYPE_CHECKING:\n    from gamekeeper.games.base import Game\n",
        policy__model="import torch\n",
        studies__runner="def f():\n    import torch\n    from gamekeeper.policy import model\n",
        cli="from gamekeeper.types import Item\ndef f():\n    from gamekeeper.studies import runner\n",
    )
    assert violations(source) == []
