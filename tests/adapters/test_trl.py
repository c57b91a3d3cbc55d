"""Training by the real TRL on the pocket checkpoint: the record, failures, resuming, distillation, LoRA, the policy.

Runs here are a few steps of a few rollouts. That TRL and the native trainer arrive at the same exploit ratio is
measured by scripts/backends.py, whose record is in docs/records.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from gamekeeper import registry
from gamekeeper.adapters.trl import backend, session
from gamekeeper.adapters.trl.distil import distil, teacher_examples
from gamekeeper.adapters.trl.policy import TransformersPolicy
from gamekeeper.adapters.trl.settings import TrlConfig, TrlRunConfig
from gamekeeper.adapters.trl.trainer import model_path, open_tokenizer
from gamekeeper.cli import app
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig
from gamekeeper.errors import CouldNotLook, RunError
from gamekeeper.games.base import BaseGame, chat
from gamekeeper.metrics import means
from gamekeeper.policy.base import Decoding
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.registry import load_game
from gamekeeper.report import write_report
from gamekeeper.seeds import derive
from gamekeeper.studies.record import Run, load_run
from gamekeeper.types import Item, Prompt, Replies, Score, Script

GROUP, ITEMS = 4, 4
SMALL = TrainConfig(steps=2, items_per_step=ITEMS, group=GROUP, minibatches=2, threads=1, checkpoint_every=1)
MEASURE = EvalConfig(items=3, samples=2)


def config(game: str = "summary", train: TrainConfig = SMALL, **more: Any) -> TrlRunConfig:
    return TrlRunConfig(GameConfig(game), train, MEASURE, **more)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a game of one turn."""
    return load_run(backend.run(config(), tmp_path_factory.mktemp("plain") / "run"))


# The record


def test_the_run_directory_is_the_native_trainers(plain: Run) -> None:
    assert plain.status == "finished"
    assert [(r.step, r.phase) for r in plain.metrics] == [(0, "eval"), (1, "train"), (2, "train"), (2, "eval")]
    for key in ("reward", "itp", "er", "loss", "grad_norm", "entropy", "clip_fraction", "flat_groups", "reply_tokens"):
        assert len(plain.series(key)) == 2, key
    assert len(plain.series("step_s")) == 2
    assert plain.info["game"]["name"] == "summary"
    assert plain.info["config"]["backend"] == "trl"
    assert plain.info["versions"]["trl"].startswith("1.16")
    assert plain.info["data"]["left_out"] == 0
    assert plain.info["dynamics"]["definitions"]


def test_a_report_is_made_of_it(plain: Run, tmp_path: Path) -> None:
    page = Path(write_report([plain.path], tmp_path / "report.html")).read_text()
    assert "summary" in page


def test_it_trains_on_the_items_of_the_native_trainer(plain: Run) -> None:
    game = load_game("summary")
    for step in (1, 2):
        drawn = [i.id for i in game.items("train", ITEMS, derive("items", 0, step - 1))]
        seen = [e.item_id for e in plain.rollouts() if (e.step, e.phase) == (step, "train")]
        assert seen == [name for name in drawn for _ in range(GROUP)]


def test_what_is_recorded_is_what_the_game_says(plain: Run) -> None:
    game = load_game("summary")
    episodes = [e for e in plain.rollouts() if (e.step, e.phase) == (1, "train")]
    items = {i.id: i for i in game.items("train", ITEMS, derive("items", 0, 0))}
    for episode in episodes:
        assert episode.score == game.score(items[episode.item_id], episode.replies)
    (first,) = [r for r in plain.metrics if (r.step, r.phase) == (1, "train")]
    for name, value in game.metrics([e.score for e in episodes]).items():
        assert first.metrics[name] == value


def test_the_trained_model_is_an_ordinary_checkpoint(plain: Run) -> None:
    folder = plain.path / "checkpoints" / "step-2"
    ours, theirs = PocketPolicy.load(str(folder)), AutoModelForCausalLM.from_pretrained(folder)
    tokens = torch.tensor([ours.tokenizer.encode("Write a summary of this.")])
    before = AutoModelForCausalLM.from_pretrained(model_path("pocket"))
    with torch.no_grad():
        there, base = theirs(tokens).logits[0, -1], before(tokens).logits[0, -1]
    assert sum(p.numel() for p in ours.model.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert not torch.allclose(there, base, atol=1e-4), "nothing was learnt"


def test_metrics_are_in_the_trainers_own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Mapping[str, Any]] = []
    record = session.Session.record
    monkeypatch.setattr(
        session.Session, "record", lambda self, step, logged: (seen.append(dict(logged)), record(self, step, logged))[1]
    )
    backend.run(config(train=replace(SMALL, steps=1)), tmp_path / "run")
    (first,) = [r for r in load_run(tmp_path / "run").metrics if r.phase == "train"]
    for name in ("itp", "er", "copied", "reward"):
        assert seen[0][name] == pytest.approx(first.metrics[name], abs=1e-6), name


def test_listeners_hear_every_record(tmp_path: Path) -> None:
    heard: list[tuple[int, str, float]] = []
    listener = [lambda step, phase, metrics: heard.append((step, phase, metrics["er"]))]
    backend.run(config(train=replace(SMALL, steps=1)), tmp_path / "run", listeners=listener)
    assert [h[:2] for h in heard] == [(0, "eval"), (1, "train"), (1, "eval")]


def test_a_second_run_is_not_written_over_the_first(plain: Run) -> None:
    before = (plain.path / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        backend.run(config(), plain.path)
    assert (plain.path / "metrics.jsonl").read_bytes() == before


def test_the_other_trainer_does_not_go_on_with_it(plain: Run) -> None:
    call = ["run", "summary", "--arm", "flawed", "--out", str(plain.path), "--resume"]
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 3
    assert "holds a run by the backend 'trl'. Go on with --backend trl" in " ".join(refused.output.split())


def test_the_command_plays_both_arms_and_compares_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = ["train.items_per_step=2", "train.group=2", "train.minibatches=1", "eval.items=2", "eval.samples=1"]
    call = ["run", "summary", "--backend", "trl", "--steps", "1", "--threads", "1"]
    done = CliRunner().invoke(app, [*call, *(word for text in sets for word in ("--set", text))])
    assert done.exit_code == 0, done.output
    arms = {arm: load_run(f"runs/summary-both-trl-seed0/{arm}") for arm in ("flawed", "secure")}
    assert [run.info["game"]["arm"] for run in arms.values()] == ["flawed", "secure"]
    first, second = ([e.item_id for e in run.rollouts()] for run in arms.values())
    assert first == second
    assert Path("runs/summary-both-trl-seed0/report.html").is_file()


# Failures


class Blind(BaseGame):
    """A grader that fails on some of the items."""

    name = "blind"
    question = "Is a reply that nobody could grade left out?"
    reply_tokens = (4,)
    share: ClassVar[float] = 1.0

    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        return {"n": draw.randrange(100)}

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        return None if replies else chat("Answer only Yes or No.", f"{item.fields['n']}?")

    def scripts(self, item: Item) -> list[Script]:
        return []

    def score(self, item: Item, replies: Replies) -> Score:
        failed = item.fields["n"] < 100 * self.share
        return Score.failed("the grader is out") if failed else Score(float(len(replies[0])), 1.0, False)

    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        scored = [s for s in scores if s.unscored is None]
        return means(reward=[s.reward for s in scored], unscored=[s.unscored is not None for s in scores])


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> type[Blind]:
    monkeypatch.setattr(registry, "BUILTIN", {**registry.BUILTIN, "blind": f"{Blind.__module__}:Blind"})
    monkeypatch.setitem(sys.modules, Blind.__module__, sys.modules[__name__])
    return Blind


def test_a_blind_grader_stops_the_run_and_the_record_says_why(blind: type[Blind], tmp_path: Path) -> None:
    with pytest.raises(CouldNotLook, match="100% of a step's rollouts could not be graded"):
        backend.run(config("blind"), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.status == "failed"
    assert "the grader is out" in run.info["error"]


def test_a_few_unscored_episodes_are_left_out(
    blind: type[Blind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blind, "share", 0.03)
    train = replace(SMALL, steps=1, items_per_step=16)
    run = load_run(backend.run(config("blind", train), tmp_path / "run"))
    lost = [e for e in run.rollouts() if e.phase == "train" and e.score.unscored]
    assert 0 < len(lost) < 0.2 * 16 * GROUP, "the draw must hold some of both"
    assert run.series("unscored") == [(1, len(lost) / (16 * GROUP))]


def test_a_training_that_ends_early_is_no_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TRL's sampler finds no whole batch, TRL warns and returns."""
    given = backend.run_data
    monkeypatch.setattr(backend, "run_data", lambda *about: replace(given(*about), items=given(*about).items[:1]))
    with pytest.raises(RunError, match="TRL ended after 0 of 4 updates"):
        backend.run(config(), tmp_path / "run")
    assert load_run(tmp_path / "run").status == "failed"


class Stop(Exception):
    """What a test throws into a run."""


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    out, train = tmp_path / "run", replace(SMALL, steps=3)

    def stop(event: Mapping[str, Any]) -> None:
        if (event["phase"], event["step"]) == ("train", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.run(config(train=train), out, progress=stop)
    assert load_run(out).status == "stopped"
    early = [r for r in load_run(out).metrics if r.step <= 2]
    run = load_run(backend.run(config(train=train), out, resume=True))
    assert run.status == "finished"
    assert [(r.step, r.phase) for r in run.metrics] == [(0, "eval"), *((s, "train") for s in (1, 2, 3)), (3, "eval")]
    assert run.metrics[: len(early)] == early
    steps = [e.step for e in run.rollouts() if e.phase == "train"]
    assert [steps.count(s) for s in (1, 2, 3)] == [ITEMS * GROUP] * 3


def test_a_run_that_was_all_but_finished_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "run"

    def stop(event: Mapping[str, Any]) -> None:
        if event["phase"] == "eval" and (out / "checkpoints/trainer/checkpoint-4").is_dir():
            raise Stop

    with pytest.raises(Stop):
        backend.run(config(), out, progress=stop)
    trained = load_run(backend.run(config(), out, resume=True))
    assert trained.status == "finished"
    assert [(r.step, r.phase) for r in trained.metrics] == [(0, "eval"), (1, "train"), (2, "train"), (2, "eval")]
    state = AutoModelForCausalLM.from_pretrained(out / "checkpoints/step-2").state_dict()
    kept = AutoModelForCausalLM.from_pretrained(out / "checkpoints/trainer/checkpoint-4").state_dict()
    assert all(torch.equal(state[k], kept[k]) for k in kept)


def test_other_settings_cannot_go_on(plain: Run) -> None:
    other = config(train=replace(SMALL, learning_rate=7e-4))
    with pytest.raises(RunError, match=r"train\.learning_rate"):
        backend.run(other, plain.path, resume=True)


# Distillation


def test_a_student_learns_its_teachers_replies(plain: Run, tmp_path: Path) -> None:
    train = replace(SMALL, steps=8, items_per_step=8, learning_rate=2e-3, schedule="constant", checkpoint_every=100)
    run = load_run(distil(config(train=train, teacher=str(plain.path)), tmp_path / "student"))
    assert run.status == "finished"
    assert run.info["distilled"] == {"teacher": str(plain.path), "examples": 32}
    assert [(r.step, r.phase) for r in run.metrics] == [(0, "eval"), *((s, "train") for s in range(1, 9)), (8, "eval")]
    losses = [value for _, value in run.series("loss")]
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    state = AutoModelForCausalLM.from_pretrained(tmp_path / "student/checkpoints/step-8").state_dict()
    assert all(torch.isfinite(v).all() for v in state.values())


def test_the_latest_episodes_are_learnt_first(plain: Run) -> None:
    latest = [e for e in plain.rollouts() if (e.step, e.phase) == (2, "train")]
    examples = teacher_examples(plain.path, load_game("summary"), 16, 0)
    assert sorted(x["completion"][0]["content"] for x in examples) == sorted(e.replies[0] for e in latest)


def test_a_teacher_of_another_game_is_refused(plain: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is a run of the game 'summary', not 'tamper'"):
        distil(config("tamper", teacher=str(plain.path)), tmp_path / "student")
    assert not (tmp_path / "student").exists()


# LoRA, the policy


def test_lora_trains_adapters_and_leaves_a_whole_model(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: pip install 'gamekeeper[lora]'")
    lora = TrlConfig(lora=4)
    run = load_run(backend.run(config(train=replace(SMALL, learning_rate=1e-2), trl=lora), tmp_path / "run"))
    assert run.status == "finished"
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "run/checkpoints/step-2").state_dict()
    before = AutoModelForCausalLM.from_pretrained(model_path("pocket")).state_dict()
    changed = {k for k in before if not torch.allclose(before[k], after[k], atol=1e-6)}
    assert before.keys() == after.keys()
    assert changed
    assert all("proj" in k for k in changed), "only linear layers have adapters"
    PocketPolicy.load(str(tmp_path / "run/checkpoints/step-2"))


def test_the_policy_says_what_the_native_sampler_says() -> None:
    """Greedy replies of both, whole batches of prompts of several lengths."""
    game = load_game("tamper")
    prompts = [p for i in game.items("test", 6, 1) if (p := game.prompt(i))]
    model = AutoModelForCausalLM.from_pretrained(model_path("pocket"))
    theirs = TransformersPolicy(model, open_tokenizer("pocket"), rows=4)
    ours = PocketPolicy.load("pocket")
    greedy = Decoding(48, temperature=0.0)
    a, b = theirs.sample(prompts, greedy, ("t",)), ours.sample(prompts, greedy, ("t",))
    assert [s.text for s in a] == [s.text for s in b]
    assert [s.tokens for s in a] == [s.tokens for s in b]
    assert [s.truncated for s in a] == [s.truncated for s in b]


def test_measuring_leaves_the_random_state_alone() -> None:
    model = AutoModelForCausalLM.from_pretrained(model_path("pocket"))
    policy = TransformersPolicy(model, open_tokenizer("pocket"))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first = policy.sample([chat("Answer only Yes or No.", "Is it?")] * 4, Decoding(8), ("a", 1))
    assert torch.equal(torch.rand(3), wanted)
    assert policy.sample([chat("Answer only Yes or No.", "Is it?")] * 4, Decoding(8), ("a", 1)) == first
