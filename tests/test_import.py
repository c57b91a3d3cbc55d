"""Importing is cheap, and all but the training half works where torch is not installed.

Each case runs in an interpreter of its own, as what is imported here already would hide what is imported there.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import pytest

from test_layers import HEAVY, MAY_BE_HEAVY, SOURCE, covers, inner, modules

GAMES_EXTRA = {"numpy", "pyarrow", "nltk", "sacrebleu", "rapidfuzz"}
EXTRAS = {*GAMES_EXTRA, "httpx"}
HEAVY_WITH_DATA = {*HEAVY, *EXTRAS, "rich", "typer", "jinja2"}

# Files that are run by their path in a process of their own, and import their neighbours by bare name.
ROOT = SOURCE.parent
SERVER = {"child", "enclosure", "ending", "landlock", "launch", "server", "stage"}  # imported by their own folder
PROGRAMS = {"__main__", "sandbox.__main__", *(f"sandbox.{name}" for name in SERVER)}

# Adapters whose modules are the library's own kind of thing; they are imported, and tested, where it is installed.
OWN_LIBRARY = {"adapters.inspect", "adapters.verifiers", "adapters.openenv"}

REPORT_LOADED = """
import json, sys
before = set(sys.modules)
{body}
print(json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""

BLOCK = """
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(body: str) -> set[str]:
    return set(json.loads(python(REPORT_LOADED.format(body=body))))


def import_all(names: Iterable[str], blocked: set[str]) -> str:
    lines = "\n".join(f"import {name}" for name in names)
    return "import sys\n" + BLOCK.format(blocked=sorted(blocked)) + lines + "\nprint(len(sys.modules))"


def test_the_package_itself_loads_nothing_heavy() -> None:
    found = loaded_by("import gamekeeper")
    assert "gamekeeper" in found
    assert not found & HEAVY_WITH_DATA


def test_loading_a_game_loads_no_torch() -> None:
    body = "from gamekeeper import load_game; load_game('tamper').items('test', 1, 0)"
    assert not loaded_by(body) & {*HEAVY, *GAMES_EXTRA}


def test_all_but_training_imports_where_torch_is_missing() -> None:
    light = [name for name in modules(SOURCE) if not covers(MAY_BE_HEAVY | PROGRAMS | OWN_LIBRARY, inner(name))]
    rooms = {inner(name).split(".")[0] for name in light}
    assert rooms >= {"games", "rewards", "sandbox", "report", "studies", "cli"}
    python(import_all(light, HEAVY))


def test_the_block_blocks() -> None:
    """The control of the test above: with the same block, a module that needs torch does not import."""
    done = subprocess.run(
        [sys.executable, "-c", import_all(["gamekeeper.policy.model"], HEAVY)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize("name", ["gamekeeper.audit", "gamekeeper.sandbox"])
def test_names_that_resolve_on_first_use_are_those_that_type_checkers_see(name: str) -> None:
    package = import_module(name)
    guarded = [n for n in ast.parse(Path(str(package.__file__)).read_text()).body if isinstance(n, ast.If)]
    typed = {a.name: i.module for n in guarded for i in n.body if isinstance(i, ast.ImportFrom) for a in i.names}
    assert typed == package._HOMES
    assert sorted(typed) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in typed)


def test_the_process_of_an_audited_grader_loads_a_small_part_of_the_audit() -> None:
    """It is started twice in an audit, so what it loads is waited for twice."""
    body = "import gamekeeper.audit.worker, gamekeeper.audit.targets.function"
    found = python(f"import sys\n{body}\nprint(*(m for m in sys.modules if m.startswith('gamekeeper.audit.')))").split()
    assert "gamekeeper.audit.worker" in found
    assert not {"gamekeeper.audit.auditor", "gamekeeper.audit.attacks", "gamekeeper.audit.search"} & set(found)


@pytest.mark.slow
def test_the_core_does_without_the_extras_and_says_which_one_is_missing() -> None:
    """Where the libraries of the extras are absent: the rest works, and what needs them names the command."""
    light = [name for name in modules(SOURCE) if not covers(MAY_BE_HEAVY | PROGRAMS | OWN_LIBRARY, inner(name))]
    python(import_all(light, {*HEAVY, *EXTRAS}))
    wanted = "pip install 'gamekeeper[games]'"
    assert wanted in without_extra("play", "summary", "--single-line", said="A short text.\n")
    checked = without_extra("check", "summary")
    assert wanted in checked
    assert "FAIL" not in checked
    assert wanted in without_extra("items", "tamper", "--data", str(SOURCE / "gamekeeper" / "errors.py"))
    server = ("eval", "tamper", "--model", "http://localhost:9/v1", "--model-name", "m")
    assert "pip install 'gamekeeper[endpoint]'" in without_extra(*server)
    assert "exploited" in without_extra("play", "tamper", "--single-line", said="def f(): pass\n")
    assert "all 1 arms pass" in without_extra("check", "selfgrade", "--patches", "secure", "--items", "2")


def without_extra(*command: str, said: str = "") -> str:
    """What a verb prints where the libraries of the extras are not installed."""
    code = "import sys\n" + BLOCK.format(blocked=sorted({*HEAVY, *EXTRAS}))
    code += f"sys.argv[1:] = {list(command)!r}\nfrom gamekeeper.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], input=said, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow  # 1 s
def test_every_file_of_the_package_is_shipped(tmp_path: Path) -> None:
    """The wheel holds the committed files of the package, and nothing else."""
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    name = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shipped = {n for n in ZipFile(tmp_path / name.strip()).namelist() if ".dist-info/" not in n}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shipped == {line.removeprefix("src/") for line in listed.splitlines()}
