"""The GitHub action calls the verb with options that it has, and lets no input become a part of the script."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml
from typer.main import get_command

from gamekeeper.cli import app

ACTION = yaml.safe_load((Path(__file__).parent.parent / "action.yml").read_text())


def test_inputs_reach_the_shell_as_variables_only() -> None:
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]


def test_every_option_is_one_of_the_verb() -> None:
    verb = get_command(app).commands["audit"]  # type: ignore[attr-defined]
    known = {name for parameter in verb.params for name in parameter.opts}
    used = set(re.findall(r"--[a-z-]+", ACTION["runs"]["steps"][1]["run"]))
    assert used
    assert used <= known


def test_a_name_with_blanks_and_signs_stays_one_word(tmp_path: Path) -> None:
    fake = tmp_path / "gamekeeper"
    fake.write_text('#!/bin/sh\nfor a in "$@"; do printf "[%s]" "$a"; done\n')
    fake.chmod(0o755)
    given = {
        "TARGET": "a b;$(id).py:f",
        "EXAMPLES": "",
        "FAIL_ON": "high",
        "OPTIONS": "--seed 3",
        "SARIF": "s",
        "HTML": "h",
        "JUNIT": "j",
    }
    env = {**os.environ, **given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", ACTION["runs"]["steps"][1]["run"]], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[audit][a b;$(id).py:f][--fail-on][high][--sarif][s][--html][h][--junit][j][--seed][3]"
