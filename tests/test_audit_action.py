"""The GitHub action calls the verb with options that it has, and lets no input become a part of the script."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
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


STEPS = {step["name"]: step["run"] for step in ACTION["runs"]["steps"]}
GIVEN = {
    "TARGET": "g.py:f",
    "EXAMPLES": "",
    "FAIL_ON": "high",
    "OPTIONS": "",
    "SARIF": "s",
    "HTML": "h",
    "JUNIT": "j",
}
FIXED = "[audit][g.py:f][--fail-on][high][--sarif][s][--html][h][--junit][j]"


def ran(folder: Path, step: str, program: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The step, as GitHub runs it, with a program that shows the words that it is given."""
    fake = folder / "bin" / program
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/sh\nfor a in "$@"; do printf "[%s]" "$a"; done\n')
    fake.chmod(0o755)
    env = {**os.environ, **given, "PATH": f"{fake.parent}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[step]]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    assert sorted(p.name for p in folder.iterdir()) == ["bin"]
    return done


def test_a_name_with_blanks_and_signs_stays_one_word(tmp_path: Path) -> None:
    name = "a b;$(id).py:f"
    done = ran(tmp_path, "Audit", "gamekeeper", **{**GIVEN, "TARGET": name, "OPTIONS": "--seed 3"})
    assert done.stdout == FIXED.replace("g.py:f", name) + "[--seed][3]"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", []),
        ('--bind "completion=completion"', ["--bind", "completion=completion"]),
        (
            "--param 'a b=c d' --only  plain\n--only answer",
            ["--param", "a b=c d", "--only", "plain", "--only", "answer"],
        ),
        (r"--param a=b\ c", ["--param", "a=b c"]),
        (
            "--param x=$(touch here) `id` * ~ $HOME; #no",
            ["--param", "x=$(touch", "here)", "`id`", "*", "~", "$HOME;", "#no"],
        ),
        ("--only ''", ["--only", ""]),
        ("--param ü=é", ["--param", "ü=é"]),
    ],
)
def test_options_are_parted_as_a_shell_parts_them_and_run_by_none(
    options: str, words: list[str], tmp_path: Path
) -> None:
    done = ran(tmp_path, "Audit", "gamekeeper", **{**GIVEN, "OPTIONS": options})
    assert (done.stdout, done.stderr) == (FIXED + "".join(f"[{word}]" for word in words), "")


def test_options_with_an_open_quote_are_a_wrong_call(tmp_path: Path) -> None:
    done = ran(tmp_path, "Audit", "gamekeeper", **{**GIVEN, "OPTIONS": "--bind 'a=b"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "No closing quotation" in done.stderr


def test_what_is_installed_is_the_actions_own_checkout_unless_another_is_asked_for(tmp_path: Path) -> None:
    default = ACTION["inputs"]["install"]["default"]
    own = "/the/act & ion"
    for wanted, installed in ((default, own), (f"{default}[train]", f"{own}[train]"), ("gamekeeper[trl]",) * 2):
        done = ran(tmp_path, "Install", "python", WANTED=wanted, GITHUB_ACTION_PATH=own)
        assert done.stdout == f"[-m][pip][install][--quiet][{installed}]"
