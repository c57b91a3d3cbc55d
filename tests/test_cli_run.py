"""`gamekeeper run`, `eval`, `report` and `pretrain`: what they ask of the runner, and what a person sees of it.

The runner here is a fake that writes a small true run directory; that training works is tested where it lives.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper import registry, studies
from gamekeeper.cli import app, progress
from gamekeeper.config import EvalConfig, RunConfig
from gamekeeper.errors import MissingExtra
from gamekeeper.studies.record import RunWriter
from gamekeeper.studies.rollouts import Rollout
from toy_games import TOYS, Toy

BASE = {"reward": 0.25, "itp": 0.2, "er": 0.01}
FINAL = {"reward": 0.75, "itp": 0.1, "er": 0.9}


@dataclass
class Found:
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    rows: list[Rollout]


@dataclass
class Runner:
    """Writes a run of two evaluations; raises `fails` in the run of that patch set, if any."""

    calls: list[tuple[RunConfig, Path, bool]] = field(default_factory=list)
    evaluated: list[tuple[Any, ...]] = field(default_factory=list)
    fails: Mapping[tuple[str, ...], BaseException] = field(default_factory=dict)

    def run(
        self, config: RunConfig, out: Path, *, resume: bool = False, progress: Callable[..., None] | None = None
    ) -> Path:
        self.calls.append((config, out, resume))
        writer = RunWriter.resume(out, 0) if resume else RunWriter.create(out, config)
        with writer:
            if config.game.patches in self.fails:
                raise self.fails[config.game.patches]
            if not writer.has(0, "eval"):
                writer.metrics(0, "eval", BASE)
            for step in range(1, config.train.steps + 1):
                assert progress is not None
                progress({"step": step, "steps": config.train.steps, "phase": "train", "metrics": FINAL})
            writer.metrics(config.train.steps, "eval", FINAL, {"er": (0.8, 1.0)})
            writer.finish()
        return out

    def evaluate(self, game: Any, model: str, config: EvalConfig, seed: int = 0, keep: Any = None, **_: Any) -> Found:
        self.evaluated.append((game, model, config, seed))
        item = game.item_at(config.split, seed, 0)
        score = game.score(item, ("pay me", "yes"))
        row = Rollout(0, item.id, (game.prompt(item), game.prompt(item, ("pay me",))), ("pay me", "yes"), score)
        if keep is not None:
            keep([row])
        return Found({"er": 0.5, "itp": 0.25}, {"er": (0.25, 0.75)}, [row])


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    fake = Runner()
    module = ModuleType("gamekeeper.studies.runner")
    module.run, module.evaluate = fake.run, fake.evaluate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(studies, "runner", module, raising=False)
    monkeypatch.setattr(registry, "BUILTIN", TOYS)
    monkeypatch.chdir(tmp_path)
    return fake


def call(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


# run


def test_both_arms_are_played_and_compared(runner: Runner) -> None:
    text = call("run", "toy", "--steps", "3").stdout
    flawed, secure = runner.calls
    assert flawed[0].game.patches == ()
    assert secure[0].game.patches == ("strict",)
    assert [str(c[1]) for c in runner.calls] == ["runs/toy-both-seed0/flawed", "runs/toy-both-seed0/secure"]
    assert flawed[0].train == secure[0].train
    for line in ("flawed reward  0.250  0.750", "flawed er      0.010  0.900", "secure itp     0.200  0.100"):
        assert line in text
    assert text.endswith("report: runs/toy-both-seed0/report.html\n")
    page = Path("runs/toy-both-seed0/report.html").read_text()
    assert "<html" in page


def test_results_in_json(runner: Runner) -> None:
    result = call("run", "toy", "--steps", "2", "--json", "--arm", "flawed", "--no-report", "--seed", "5")
    shown = json.loads(result.stdout)
    assert shown["report"] is None
    (run,) = shown["runs"]
    assert (run["arm"], run["path"]) == ("flawed", "runs/toy-flawed-seed5")
    assert run["base"]["metrics"] == BASE
    assert run["final"] == {"metrics": FINAL, "intervals": {"er": [0.8, 1.0]}}
    assert runner.calls[0][0].seed == 5


@pytest.mark.parametrize(
    ("args", "folder", "patches"),
    [
        (["--arm", "secure"], "toy-secure-seed0", ("strict",)),
        (["--patches", "strict,coin=0.25"], "toy-strict+coin=0.25-seed0", ("coin=0.25", "strict")),
        (["--patches", "flawed"], "toy-flawed-seed0", ()),
        (["--arm", "flawed", "--seed", "-3"], "toy-flawed-seed-3", ()),
    ],
)
def test_one_arm_has_a_folder_of_its_own(
    runner: Runner, args: list[str], folder: str, patches: tuple[str, ...]
) -> None:
    call("run", "toy", "--steps", "1", "--no-report", *args)
    (made,) = runner.calls
    assert made[1] == Path("runs") / folder
    assert made[0].game.patches == patches


def test_a_single_run_may_have_any_folder(runner: Runner) -> None:
    text = call("run", "toy", "--steps", "1", "--arm", "flawed", "--out", "mine/flawed").stdout
    assert text.endswith("report: mine/flawed/report.html\n")


def test_folders_are_never_written_twice(runner: Runner) -> None:
    for _ in range(3):
        call("run", "toy", "--steps", "1", "--no-report", "--arm", "flawed")
    assert [c[1].name for c in runner.calls] == ["toy-flawed-seed0", "toy-flawed-seed0-1", "toy-flawed-seed0-2"]
    call("run", "toy", "--steps", "1", "--no-report", "--arm", "flawed", "--resume")
    assert runner.calls[-1][1:] == (Path("runs/toy-flawed-seed0-2"), True)
    taken = call("run", "toy", "--steps", "1", "--arm", "flawed", "--out", "runs/toy-flawed-seed0", code=3).stderr
    assert "already holds a run" in taken
    assert "--resume" in taken


def test_a_taken_second_arm_is_found_before_the_first_is_played(runner: Runner) -> None:
    call("run", "toy", "--steps", "1", "--no-report", "--arm", "secure", "--out", "d/secure")
    call("run", "toy", "--steps", "1", "--out", "d", code=3)
    assert len(runner.calls) == 1


def test_settings_reach_the_config(runner: Runner) -> None:
    settings = ["train.learning_rate=3e-4", "train.precision=fp32", "eval.items=16", "train.kl=1"]
    args = [x for s in settings for x in ("--set", s)]
    call("run", "toy", "--arm", "flawed", "--steps", "1", "--threads", "2", "--param", "told=.5", "--no-report", *args)
    config = runner.calls[0][0]
    assert (config.train.learning_rate, config.train.precision, config.train.kl) == (3e-4, "fp32", 1.0)
    assert (config.train.steps, config.train.threads, config.eval.items) == (1, 2, 16)
    assert config.game.params == {"told": 0.5}
    assert config.model == "pocket"


def test_ctrl_c_says_how_to_go_on_and_resume_does(runner: Runner) -> None:
    runner.fails = {("strict",): KeyboardInterrupt()}
    stopped = call("run", "toy", "--steps", "2", "--set", "train.kl=0.5", code=130).stderr
    command = "gamekeeper run toy --steps 2 --set train.kl=0.5 --out runs/toy-both-seed0 --resume"
    assert stopped.endswith(f"error: Interrupted. Go on with: {command}\n")
    assert call(*command.split()[1:], code=130).stderr.endswith(f"{command}\n")
    runner.fails = {}
    call(*command.split()[1:])
    assert [(c[1].name, c[2]) for c in runner.calls[4:]] == [("flawed", True), ("secure", True)]
    assert Path("runs/toy-both-seed0/report.html").exists()


def test_resume_starts_an_arm_that_was_not_reached(runner: Runner) -> None:
    runner.fails = {(): KeyboardInterrupt()}
    call("run", "toy", "--steps", "1", "--out", "d", code=130)
    runner.fails = {}
    call("run", "toy", "--steps", "1", "--out", "d", "--resume", "--no-report")
    assert [(c[1].name, c[2]) for c in runner.calls[1:]] == [("flawed", True), ("secure", False)]


def test_resume_takes_from_the_record_what_the_call_does_not_say(runner: Runner) -> None:
    runner.fails = {(): KeyboardInterrupt()}
    args = ["--steps", "2", "--seed", "5", "--param", "told=0.5", "--set", "eval.items=3", "--model", "m"]
    call("run", "toy", *args, "--out", "d", code=130)
    runner.fails = {}
    call("run", "toy", "--out", "d", "--resume", "--no-report", "--set", "train.kl=1")
    first, flawed, secure = (c[0] for c in runner.calls)
    assert flawed == replace(first, train=replace(first.train, kl=1.0))
    assert secure == replace(flawed, game=replace(flawed.game, patches=("strict",)))
    assert (secure.seed, secure.model, secure.train.steps, secure.eval.items) == (5, "m", 2, 3)
    assert secure.game.params == {"told": 0.5}


def test_the_folder_of_a_single_run_is_resumed_as_that_run(runner: Runner) -> None:
    call("run", "toy", "--steps", "1", "--no-report", "--patches", "strict,coin=0.25", "--out", "d")
    assert "already holds a run" in call("run", "toy", "--out", "d", code=3).stderr
    call("run", "toy", "--no-report", "--out", "d", "--resume")
    assert runner.calls[1] == (runner.calls[0][0], Path("d"), True)
    assert "a run of the game 'toy', not 'liar'" in call("run", "liar", "--out", "d", "--resume", code=3).stderr
    info = json.loads(Path("d/run.json").read_text())
    Path("d/run.json").write_text(json.dumps({**info, "config": None}))
    assert "holds no config" in call("run", "toy", "--out", "d", "--resume", code=3).stderr
    Path("d/run.json").write_text("{")
    assert "cannot be read" in call("run", "toy", "--out", "d", "--resume", code=3).stderr


def test_a_game_without_a_flaw_is_played_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "patch_table", {})
    result = call("run", "toy", "--steps", "1", "--no-report")
    assert len(runner.calls) == 1
    assert "played once" in result.stderr


def test_without_torch_the_install_command_is_given(runner: Runner) -> None:
    runner.fails = {(): MissingExtra("train", "Training", "torch")}
    assert "pip install 'gamekeeper[train]'" in call("run", "toy", code=2).stderr


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--arm", "flawd"], "Did you mean 'flawed'"),
        (["--arm", "flawed", "--patches", "strict"], "exclude each other"),
        (["--patches", "strct"], "Did you mean 'strict'"),
        (["--set", "train.learning_rte=1"], "Did you mean 'train.learning_rate'"),
        (["--set", "train.learning_rate=fast"], "must be a number"),
        (["--set", "train.learning_rate"], "KEY=VALUE"),
        (["--set", "train.learning_rate=0"], "above 0"),
        (["--set", "train.steps=2", "--steps", "3"], "--set train.steps and --steps say the same"),
        (["--set", "model=x"], "Unknown setting 'model'"),
        (["--steps", "-1"], "at least 0"),
        (["--steps", "many"], "--steps"),
        (["--param", "tld=1"], "Did you mean 'told'"),
        (["--resume"], "There is no run in runs/toy-both-seed0 to resume"),
        (["--resume", "--out", "typo"], "There is no run in typo to resume"),
        (["--resume", "--arm", "secure", "--seed", "3"], "There is no run in runs/toy-secure-seed3 to resume"),
        (["--data", "nowhere.parquet"], "is not a file"),
    ],
)
def test_a_wrong_call_starts_nothing(runner: Runner, args: list[str], part: str) -> None:
    assert part in call("run", "toy", *args, code=2).stderr
    assert not runner.calls
    assert not Path("runs").exists()


# Progress


def test_where_there_is_no_terminal_progress_is_a_few_plain_lines(runner: Runner) -> None:
    result = call("run", "toy", "--steps", "100", "--arm", "flawed", "--no-report")
    lines = [x for x in result.stderr.splitlines() if x.startswith("toy flawed train")]
    assert 10 <= len(lines) <= 12
    assert lines[0].startswith("toy flawed train  1/100  reward 0.750  itp 0.100  er 0.900")
    assert lines[-1].endswith("100/100  reward 0.750  itp 0.100  er 0.900")
    assert "left" in lines[5]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress.Meter("toy [flawed]", 4) as meter:
        for step in range(1, 5):
            meter({"step": step, "steps": 4, "phase": "train", "metrics": FINAL})
            print("a result")
    shown = screen.getvalue()
    for part in ("toy [flawed] train", "100%", "reward 0.750", "er 0.900"):
        assert part in shown
    assert capsys.readouterr().out == "a result\n" * 4, "results stay on stdout while the bar is up"


def test_time_left_is_counted_from_where_this_call_began(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 100.0, 110.0]).__next__
    monkeypatch.setattr(progress.time, "monotonic", clock)
    meter = progress.Meter("x", 100)  # 0.0
    meter({"step": 80, "steps": 100, "phase": "train", "metrics": {}})  # new phase 0.0, first step seen at 100.0
    meter.at = 90.0
    assert meter._left() == "0:10 left"  # ten steps in 110 - 100 s, ten to go


# eval


def test_eval_measures_and_writes_rows_that_score_reads(runner: Runner) -> None:
    result = call("eval", "toy", "--model", "script:exploit", "--n", "3", "--samples", "2", "--out", "d/rows.jsonl")
    assert "er      0.500  [0.250, 0.750]" in result.stdout
    assert "itp     0.250  -" in result.stdout
    game, model, config, seed = runner.evaluated[0]
    assert (game.name, model, config.items, config.samples, config.split, seed) == (
        "toy",
        "script:exploit",
        3,
        2,
        "test",
        0,
    )
    (row,) = [json.loads(x) for x in Path("d/rows.jsonl").read_text().splitlines()]
    assert row["replies"] == ["pay me", "yes"]
    assert [p[1]["content"] for p in row["prompts"]][1] == "are you sure?"
    again = json.loads(call("score", "toy", "--replies", "d/rows.jsonl").stdout)
    assert {k: again[k] for k in ("item", "reward", "truth")} == {k: row[k] for k in ("item", "reward", "truth")}


def test_eval_in_json(runner: Runner) -> None:
    args = ["--model", "pocket", "--patches", "secure", "--split", "train", "--temperature", "0", "--seed", "4"]
    shown = json.loads(call("eval", "toy", "--json", *args).stdout)
    assert shown["patches"] == ["strict"]
    assert runner.evaluated[0][2].split == "train"
    assert (shown["model"], shown["split"], shown["seed"], shown["temperature"]) == ("pocket", "train", 4, 0.0)
    assert shown["metrics"] == {"er": 0.5, "itp": 0.25}
    assert shown["intervals"] == {"er": [0.25, 0.75]}


def test_eval_of_scripts_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", TOYS)
    shown = json.loads(call("eval", "toy", "--model", "script:exploit", "--n", "8", "--json").stdout)
    assert (shown["metrics"]["er"], shown["metrics"]["itp"], shown["metrics"]["reward"]) == (1.0, 0.0, 1.0)
    assert "Did you mean 'exploit'" in call("eval", "toy", "--model", "script:exploti", code=2).stderr


def test_eval_refuses_what_it_cannot_measure(runner: Runner) -> None:
    assert "--model" in call("eval", "toy", code=2).stderr
    assert "at least 1" in call("eval", "toy", "--model", "pocket", "--n", "0", code=2).stderr
    assert "0 (greedy) or more" in call("eval", "toy", "--model", "pocket", "--temperature", "-1", code=2).stderr
    assert not runner.evaluated


# report


def test_report_of_a_folder_of_runs(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    call("run", "toy", "--steps", "1", "--no-report", "--out", "both")
    assert call("report", "both").stdout == "report: both/report.html\n"
    one = json.loads(call("report", "both/flawed", "--json").stdout)
    assert one == {"report": "both/flawed/report.html", "runs": ["both/flawed"]}
    pair = json.loads(call("report", "both/flawed", "both/secure", "--out", "x/y.html", "--json").stdout)
    assert pair["report"] == "x/y.html"
    assert Path("x/y.html").exists()
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)))
    assert "No browser was found" in call("report", "both/flawed", "--open").stderr
    assert opened == [(Path.cwd() / "both/flawed/report.html").as_uri()]


def test_report_needs_runs(runner: Runner) -> None:
    os.mkdir("empty")
    assert "holds no run" in call("report", "empty", code=3).stderr
    assert "is not a directory" in call("report", "nowhere", code=3).stderr
    assert "RUN" in call("report", code=2).stderr


# pretrain


def test_pretrain_is_handed_on(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def pretrain(out: Path, **options: Any) -> Path:
        seen.update(options, out=out)
        options["progress"]({"step": 1, "steps": 5, "phase": "pretrain", "metrics": {"loss": 2.0}})
        return out

    module = ModuleType("gamekeeper.studies.pretraining")
    module.pretrain = pretrain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(studies, "pretraining", module, raising=False)
    result = call("pretrain", "--out", "made", "--steps", "5", "--seed", "2", "--threads", "1")
    assert result.stdout == "model: made\n"
    assert (seen["out"], seen["steps"], seen["seed"], seen["resume"]) == (Path("made"), 5, 2, False)
    assert seen["threads"] == 1
    assert "loss 2.000" in result.stderr
    assert "--steps must be at least 1" in call("pretrain", "--steps", "0", code=2).stderr
