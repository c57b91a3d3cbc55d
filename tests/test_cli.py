"""The command line: help, results, errors and exit codes of its verbs, in this process and as a shell runs them.

What is pinned here: stdout holds results only; messages go to stderr; a wrong call is one paragraph that starts
with "error:" and ends with 2; nothing that a user can type or feed gives a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper import __version__, registry
from gamekeeper.cli import app, console, playing
from gamekeeper.errors import UsageError
from toy_games import TOYS, BrokenEntry, Toy, toy_file

VERBS = (
    "list",
    "play",
    "items",
    "check",
    "score",
    "run",
    "eval",
    "serve",
    "openenv",
    "study",
    "audit",
    "report",
    "pretrain",
    "new-game",
    "doctor",
    "export",
    "sandbox",
)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", TOYS)


def call(*args: str, text: str | bytes | None = None, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(args), input=text)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    if code == 2:
        assert result.stderr.startswith("error: "), result.stderr
        assert result.stdout == ""
    return result


def shell(*args: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[Any]:
    command = [sys.executable, "-m", "gamekeeper", *args]
    options = {"text": True, "timeout": 60, **options}
    return subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})}, check=False, **options)


# Help


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    for flag in ("--help", "-h"):
        text = call(verb, flag).stdout
        assert f"  gamekeeper {verb}" in text
        assert "Usage: gamekeeper" in text


def test_the_list_of_verbs_is_complete_and_no_summary_is_cut() -> None:
    text = call("--help").stdout
    listed = text.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(VERBS)
    assert "..." not in "".join(listed)
    assert call().stdout == text


@pytest.mark.parametrize("verb", ["list", "play", "items", "check", "score", "run", "eval", "report"])
def test_verbs_that_print_results_take_json(verb: str) -> None:
    assert "--json" in call(verb, "--help").stdout


def test_version() -> None:
    assert call("--version").stdout == f"gamekeeper {__version__}\n"


def test_help_loads_nothing_heavy_and_starts_fast() -> None:
    code = (
        "import sys\nfrom gamekeeper.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'pyarrow', 'nltk', 'numpy', 'sacrebleu', 'httpx', 'jinja2', 'rich', 'rapidfuzz'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")
    assert time.perf_counter() - started < 3, "about 0.1 s on a quiet machine"


# list, items, play


@pytest.mark.usefixtures("toys")
def test_list_says_what_the_games_are() -> None:
    known = {g["name"]: g for g in json.loads(call("list", "--json").stdout)}
    assert set(known) == {"toy", "liar"}
    toy = known["toy"]
    assert toy["question"] == Toy.question
    assert toy["levels"] == ["pocket", "paper"]
    assert [p["name"] for p in toy["patches"] if p["recommended"]] == ["strict"]
    assert [p["name"] for p in toy["patches"] if p["published"]] == ["coin"]
    assert toy["metrics"] == ["reward", "truth", "itp", "er", "unscored"]
    assert toy["params"] == {"told": None, "loud": False, "word": "sure", "extra": 0}
    text = call("list").stdout
    assert "Does it say the word" in text
    assert "strict*" in text
    assert "coin+" in text


def test_list_shows_a_broken_outside_game_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", {"toy": "toy_games:Toy"})
    monkeypatch.setattr(registry, "outside", lambda: {"broken": BrokenEntry()})
    known = {g["name"]: g for g in json.loads(call("list", "--json").stdout)}
    assert "ZeroDivisionError" in known["broken"]["error"]
    assert known["toy"]["version"] == 2
    assert "does not load" in call("play", "broken", code=2).stderr


@pytest.mark.usefixtures("toys")
def test_items_are_those_of_the_game_and_score_reads_them_back() -> None:
    lines = [json.loads(line) for line in call("items", "toy", "--n", "3", "--seed", "7", "--json").stdout.splitlines()]
    assert [line["id"] for line in lines] == [i.id for i in Toy().items("test", 3, 7)]
    assert lines[0]["fields"] == dict(Toy().items("test", 1, 7)[0].fields)
    assert lines[0]["prompt"][1] == {"role": "user", "content": f"say {lines[0]['fields']['word']}"}
    text = call("items", "toy", "--n", "1", "--seed", "7").stdout
    assert text.startswith("--- toy-2-test-7-0\n[system]\nbe brief\n[user]\nsay ")
    assert call("items", "toy", "--n", "0", "--json").stdout == ""


@pytest.mark.usefixtures("toys")
def test_items_of_a_data_file(tmp_path: Path) -> None:
    file = toy_file(tmp_path, 3)
    ids = [json.loads(x)["id"] for x in call("items", "toy", "--data", str(file), "--json").stdout.splitlines()]
    assert ids == ["toy-paper-test-0", "toy-paper-test-1", "toy-paper-test-2"]
    assert call("items", "toy", "--data", str(file), "--limit", "2", "--json").stdout.count("\n") == 2


@pytest.mark.usefixtures("toys")
def test_play_shows_prompts_and_score() -> None:
    word = Toy().item_at("test", 0, 0).fields["word"]
    text = call("play", "toy", text=f"{word}\n\nyes\n\n").stdout
    assert text.index(f"say {word}") < text.index("are you sure?") < text.index("reward     1.000")
    assert "truth      1.000" in text
    assert "exploited  no" in text
    assert f"evidence   said '{word}'" in text


@pytest.mark.usefixtures("toys")
def test_play_agrees_with_score_in_json() -> None:
    result = call("play", "toy", "--index", "2", "--seed", "3", "--json", "--single-line", text="pay me\nyes\n")
    shown = json.loads(result.stdout)
    game, item = Toy(), Toy().item_at("test", 3, 2)
    assert shown == {
        "item": item.id,
        "patches": [],
        "replies": ["pay me", "yes"],
        **game.score(item, ("pay me", "yes")).to_json(),
    }
    assert "are you sure?" in result.stderr
    secure = call("play", "toy", "--patches", "secure", "--json", "--single-line", text="pay me\nyes\n")
    assert json.loads(secure.stdout)["reward"] == 0.0


@pytest.mark.parametrize(
    ("text", "flags", "replies"),
    [
        ("", [], [""]),
        ("one\ntwo\n\nyes", [], ["one\ntwo", "yes"]),
        ("\n\n", [], ["", ""]),
        ("one\n  \ntwo\n", [], ["one\n  \ntwo"]),
        ("one\r\n\r\nyes\r\n", [], ["one", "yes"]),
        ("\nyes\n", ["--single-line"], ["", "yes"]),
        (b"\xff\xfe\n\nyes\n", [], ["\udcff\udcfe", "yes"]),
        ("only the first turn\n", ["--single-line"], ["only the first turn", ""]),
    ],
)
@pytest.mark.usefixtures("toys")
def test_how_replies_are_read(text: str | bytes, flags: list[str], replies: list[str]) -> None:
    assert json.loads(call("play", "toy", "--json", *flags, text=text).stdout)["replies"] == replies


@pytest.mark.usefixtures("toys")
def test_play_of_something_that_cannot_be_graded() -> None:
    assert "unscored   the judge is asleep" in call("play", "toy", text="ungradable\n\n\n").stdout


@pytest.mark.usefixtures("toys")
def test_play_of_a_data_file(tmp_path: Path) -> None:
    file = str(toy_file(tmp_path, 2))
    played = call("play", "toy", "--data", file, "--index", "1", "--json", "--single-line", text="w1\nyes\n")
    assert json.loads(played.stdout)["truth"] == 1.0
    assert "past the last item" in call("play", "toy", "--data", file, "--index", "2", code=2).stderr


@pytest.mark.usefixtures("toys")
def test_parameters_are_read_by_their_types() -> None:
    text = call("play", "toy", "--param", "word=12", "--param", "told=.5", "--param", "loud=yes", text="x\n\n").stdout
    assert "are you 12?" in text
    assert call("play", "toy", "--param", "told=none", text="").exit_code == 0


# check


@pytest.mark.usefixtures("toys")
def test_check_finds_the_game_that_pins_a_wrong_score() -> None:
    result = call("check", "liar", "--json", "--items", "2", code=1)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(r["game"], r["arm"], r["patches"]) for r in records] == [
        ("liar", "flawed", []),
        ("liar", "secure", ["strict"]),  # the patch `strict` alone is the same arm, checked once
        ("liar", "coin", ["coin=0.5"]),
    ]
    for record in records:
        assert not record["ok"]
        assert "scripts-pinned" in {c["name"] for c in record["checks"] if c["ok"] is False}
    assert result.stderr == "3 of 3 arms FAIL\n"


@pytest.mark.usefixtures("toys")
def test_check_of_all_games_in_one_arm() -> None:
    lines = call("check", "--all", "--patches", "secure", "--items", "2", code=1).stdout.splitlines()
    shown = [line for line in lines if not line.startswith(" ")]
    assert [line.split(": ")[0].split(maxsplit=1)[1] for line in shown] == ["toy secure", "liar secure"]
    reason = lines.index(next(line for line in lines if "scripts-pinned" in line))
    assert lines[reason + 1].startswith("        demanded: ")


def test_check_of_a_built_in_game_passes() -> None:
    result = call("check", "arithmetic", "--items", "2")
    assert result.stdout.startswith("ok    arithmetic flawed: ")
    assert result.stderr == "all 1 arms pass\n"


def test_check_reports_a_game_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", {})
    monkeypatch.setattr(registry, "outside", lambda: {"broken": BrokenEntry()})
    assert "FAIL  broken : 0 passed, 1 failed" in call("check", code=1).stdout
    assert "does not load" in call("check", "broken", code=2).stderr


# Wrong calls


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["plya"], ["'plya'", "Did you mean 'play'", "gamekeeper --help"]),
        (["play", "tyo"], ["Unknown game 'tyo'", "Did you mean 'toy'", "gamekeeper list"]),
        (["play", "toy", "--patches", "strct"], ["Unknown patch of toy 'strct'", "'strict'", "flawed, secure"]),
        (["play", "toy", "--patches", "strict=1"], ["takes no value"]),
        (["play", "toy", "--patches", "coin=2"], ["0 to 1"]),
        (["play", "toy", "--split", "tset"], ["Unknown split 'tset'", "'test'"]),
        (["play", "toy", "--param", "tld=1"], ["Unknown parameter of toy 'tld'", "'told'"]),
        (["play", "toy", "--param", "told"], ["KEY=VALUE", "told"]),
        (["play", "toy", "--param", "told=x"], ["must be a number", "'x'"]),
        (["play", "toy", "--param", "told=nan"], ["finite"]),
        (["play", "toy", "--param", "told=2"], ["from 0 to 1"]),
        (["play", "toy", "--param", "extra=1.5"], ["whole number"]),
        (["play", "toy", "--param", "loud=maybe"], ["true or false"]),
        (["play", "toy", "--param", "told=1", "--param", "told=0"], ["twice"]),
        (["play", "toy", "--index", "-1"], ["--index", "at least 0"]),
        (["play", "toy", "--index", "x"], ["--index", "gamekeeper play --help"]),
        (["play", "toy", "--idnex", "1"], ["--idnex", "Did you mean --index"]),
        (["play", "toy", "--data", "/no/such.parquet"], ["'/no/such.parquet' is not a file"]),
        (["play"], ["GAME", "gamekeeper play --help"]),
        (["play", "toy", "liar"], ["liar", "gamekeeper play --help"]),
        (["items", "toy", "--n", "-1"], ["--n", "at least 0"]),
        (["items", "toy", "--limit", "1"], ["--limit goes with --data"]),
        (["items", "tyo"], ["Unknown game"]),
        (["check", "tyo"], ["Unknown game"]),
        (["check", "toy", "--all"], ["exclude each other"]),
        (["check", "--data", "x.parquet"], ["name it"]),
        (["check", "toy", "--items", "1"], ["--items", "at least 2"]),
        (["--vresion"], ["--vresion", "--version"]),
    ],
)
@pytest.mark.usefixtures("toys")
def test_a_wrong_call_says_what_and_what_next(args: list[str], parts: list[str]) -> None:
    message = call(*args, code=2).stderr
    for part in parts:
        assert part in message, message
    assert message.count("error:") == 1


@pytest.mark.usefixtures("toys")
def test_a_damaged_data_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1\x00\xff")
    for verb in (["items", "toy"], ["play", "toy"], ["items", "arithmetic"]):
        assert "error: " in call(*verb, "--data", str(tmp_path / "bad.parquet"), code=2).stderr


# What must not break


@pytest.mark.usefixtures("toys")
def test_markup_and_escape_sequences_are_text() -> None:
    assert "'[bold]x[/nope]'" in call("play", "[bold]x[/nope]", code=2).stderr
    assert "\\x1b[31m" in call("play", "\x1b[31mred", code=2).stderr
    shown = call("play", "toy", text="\x1b[2J\x07\n\n").stdout
    assert "\x1b" not in shown


def test_no_error_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise UsageError("a [red]file[/red] says \x1b[2Jboo")

    monkeypatch.setattr(playing, "_description", fails)
    assert call("list", code=2).stderr == "error: a [red]file[/red] says \\x1b[2Jboo\n"


def test_text_without_control_characters_is_shown_as_it_is() -> None:
    assert console.visible("a\tb\nnaïve 词") == "a\tb\nnaïve 词"
    assert console.visible("\x00\x1b\u202e\ud800\r") == "\\x00\\x1b\\u202e\\ud800\\r"


def test_json_is_strict_and_ascii() -> None:
    line = console.to_json({"a": [float("nan"), 1.5, "é\ud800"], "b": float("inf")})
    assert line.isascii()
    assert json.loads(line, parse_constant=pytest.fail) == {"a": [None, 1.5, "é\ud800"], "b": None}


def test_a_bug_is_short_and_its_traceback_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(playing, "_description", lambda name: [][0])
    message = call("list", code=3).stderr
    assert message.startswith("error: This is a bug in gamekeeper")
    assert "IndexError" in message
    (kept,) = tmp_path.glob("gamekeeper-bug-*.txt")
    assert str(kept) in message.replace("\n", "")
    assert "Traceback" in kept.read_text()
    monkeypatch.setenv("GAMEKEEPER_DEBUG", "1")
    assert "Traceback" in CliRunner().invoke(app, ["list"]).stderr


def test_a_refusal_of_the_system_is_not_called_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(playing, "_description", refuse)
    assert "error: The system refused: Permission denied: /secret" in call("list", code=3).stderr


def test_ctrl_c_leaves_cleanly() -> None:
    command = [sys.executable, "-m", "gamekeeper", "play", "arithmetic"]
    # A shell starts jobs in the background with Ctrl-C ignored, and Python leaves it so.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True, preexec_fn=heard) as process:
        assert process.stdout is not None
        while "[you" not in process.stdout.readline():
            continue
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: Interrupted. Nothing was scored.\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "gamekeeper", "items", "arithmetic", "--n", "20000"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"COLUMNS": "12"},
        {"TERM": "dumb", "NO_COLOR": "1"},
    ],
)
def test_any_terminal_will_do(env: dict[str, str]) -> None:
    done = shell("play", "selfgrade", env=env, input="词\n\nYes\n".encode(), text=False)
    assert done.returncode == 0, done.stderr
    assert b"reward" in done.stdout
    assert b"\x1b" not in done.stdout
    wrong = shell("play", "naïve", env=env, text=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(b"error: Unknown game")


def test_colour_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in shell("play", "x").stderr
    coloured = {"FORCE_COLOR": "1", "TERM": "xterm"}
    assert "\x1b[1;31merror:" in shell("play", "x", env=coloured).stderr


def test_the_seed_decides_the_item() -> None:
    made = {call("items", "arithmetic", "--n", "2", "--seed", s, "--json").stdout for s in ("1", "1", "2")}
    assert len(made) == 2
