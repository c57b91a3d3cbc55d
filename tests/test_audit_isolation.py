"""A grader that runs code is attacked in isolation or not at all, and says what would help."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gamekeeper.audit import COULD_NOT_LOOK, Settings, audit
from gamekeeper.audit.isolation import level_of, runs_code, too_open
from gamekeeper.errors import CouldNotLook, UnknownName
from gamekeeper.sandbox.layers import VARIABLE

ALL = ("processes", "network", "files")
RUNS = """
def reward(completion, answer):
    names = {}
    exec(completion, names)
    return float(names.get("x") == answer)
"""
READS = """
def reward(completion, answer):
    return float(completion.strip() == f"x = {answer}")
"""
ROWS = [{"prompt": f"set x to {n}", "answer": n, "good": f"x = {n}"} for n in (31, 42)]


def standing(source: str = RUNS, layers: tuple[str, ...] = (), good: str = "x = 3", kind: str = "function") -> Any:
    """A target and its scenes, as far as isolation looks at them."""
    return SimpleNamespace(source=lambda: source, layers=layers, kind=kind), [SimpleNamespace(good_text=good)]


@pytest.mark.parametrize(
    ("layers", "network", "level"),
    [
        (ALL, False, "full"),
        (("processes", "files"), True, "full"),
        (("processes", "files"), False, "limits"),
        (("processes", "network"), False, "limits"),
        (("network (Python only)",), False, "limits"),
        ((), True, "limits"),
    ],
)
def test_short_of_all_namespaces_there_are_limits_only(layers: tuple[str, ...], network: bool, level: str) -> None:
    assert level_of(layers, network) == level


@pytest.mark.parametrize(
    ("source", "good", "runs"),
    [
        (RUNS, "x = 3", True),
        ("import subprocess\n", "4", True),
        ("def f(c): return model.eval(c)\n", "4", True),  # said too often rather than too seldom
        (READS, "x = 3", False),
        ("import ast\ndef f(c): return ast.literal_eval(c)\n", "4", False),
        ("import re\nP = re.compile('x')\n", "4", False),
        ("", "def f(x):\n    return x", True),
        ("", "The answer is 4.", False),
    ],
)
def test_who_runs_code_is_read_off_the_source_or_the_right_replies(source: str, good: str, runs: bool) -> None:
    target, scenes = standing(source, good=good)
    assert runs_code(target, scenes) == runs


@pytest.mark.parametrize(
    ("source", "layers", "asked", "refused"),
    [
        (RUNS, ALL, None, False),
        (RUNS, (), None, True),
        (RUNS, (), "limits", False),
        (RUNS, ALL, "full", False),
        (READS, (), None, False),
        (READS, (), "full", True),
    ],
)
def test_what_is_refused(
    source: str, layers: tuple[str, ...], asked: str | None, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    found = too_open(*standing(source, layers), Settings(isolation=asked))
    assert (found is not None) == refused
    if found:
        assert "'limits'" in found[0]
        assert "--require-isolation limits" in found[1]


def test_the_variable_says_it_for_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "limits")
    assert too_open(*standing(RUNS, ()), Settings()) is None
    monkeypatch.setenv(VARIABLE, "full")
    assert too_open(*standing(RUNS, ()), Settings())


def test_a_level_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UnknownName, match="filtered, full, limits"):
        Settings(isolation="total")


def test_a_game_of_ours_is_held_to_its_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_to_be_had(level: str | None) -> str:
        raise CouldNotLook(f"no sandbox at {level}")

    monkeypatch.setattr("gamekeeper.audit.isolation.require_isolation", none_to_be_had)
    with pytest.raises(CouldNotLook, match="no sandbox at full"):
        audit("game:tamper", settings=Settings(isolation="full"))
    assert audit("game:arithmetic", settings=Settings(isolation="full", seconds=20, search=0)).outcome != COULD_NOT_LOOK


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: namespaces are Linux's")
@pytest.mark.parametrize(("source", "code"), [(RUNS, 3), (READS, 0)])
def test_where_no_namespace_can_be_had(source: str, code: int, tmp_path: Path) -> None:
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace can be made here by unshare(1): not tested")
    (tmp_path / "grader.py").write_text(source)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    call = "import sys; from gamekeeper.cli import main; sys.exit(main())"
    words = ["audit", "grader.py:reward", "--examples", "rows.jsonl", "--only", "plain", "--seconds", "5"]
    shut = 'for n in user pid mnt net ipc; do echo 0 > /proc/sys/user/max_${n}_namespaces; done; exec "$@"'
    setting = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    setting.pop(VARIABLE, None)
    done = subprocess.run(
        [*inside, shut, "sh", sys.executable, "-c", call, *words],
        cwd=tmp_path,
        env=setting,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("the target runs code" in done.stdout) == (code == 3)
