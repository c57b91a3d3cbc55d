"""What TRL is told, and what a dry run finds: with the real TRL, on the pocket checkpoint."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'gamekeeper[trl]'")

import pyarrow as pa
from pyarrow import parquet
from trl import GRPOConfig
from typer.testing import CliRunner

from gamekeeper.adapters.presets import PAPER, settings_of
from gamekeeper.adapters.trl.dryrun import dry_run, template_lines
from gamekeeper.adapters.trl.rows import Rows, prompt_ids, prompt_limit, run_rows
from gamekeeper.adapters.trl.settings import (
    TrlConfig,
    TrlRunConfig,
    build,
    grpo_settings,
    reply_limits,
    shape_of,
)
from gamekeeper.adapters.trl.trainer import open_tokenizer
from gamekeeper.cli import app
from gamekeeper.config import EvalConfig, GameConfig, TrainConfig, from_mapping
from gamekeeper.errors import DataError, MissingExtra, UnknownName, UsageError, WrongVersion
from gamekeeper.games.base import BaseGame
from gamekeeper.policy.pocket import SHIPPED
from gamekeeper.registry import load_game

EACH = "{% for m in messages %}"
SMALL = TrainConfig(steps=2, items_per_step=4, group=4, minibatches=2, threads=1)
MEASURE = EvalConfig(items=3, samples=2)


def config(game: str = "summary", **more: Any) -> TrlRunConfig:
    return TrlRunConfig(GameConfig(game), **{"train": SMALL, "eval": MEASURE, **more})


def paper(name: str) -> TrlRunConfig:
    tree = settings_of("paper", load_game(name))
    return from_mapping(TrlRunConfig, {"game": {"name": name}, **tree})


def call(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


# Settings


@pytest.mark.parametrize("name", PAPER)
def test_the_preset_of_the_paper_reaches_trl(name: str, tmp_path: Path) -> None:
    wanted, game = paper(name), load_game(name)
    turns = len(game.reply_tokens)
    settings = grpo_settings(wanted, shape_of(wanted, turns), max(reply_limits(wanted.trl, game)), tmp_path)
    made = build(GRPOConfig, settings, "fp32")
    batch = {"compliance": 64, "selfgrade": 64, "summary": 96, "tamper": 32}[name]
    assert made.num_generations == 8 * turns
    assert made.generation_batch_size == batch * 8 * turns
    assert made.per_device_train_batch_size == 32 * 8 * turns, "an update is 32 prompts"
    assert (made.learning_rate, made.beta, made.epsilon, made.temperature) == (1e-6, 0.0, 0.2, 1.0)
    assert made.lr_scheduler_type == "constant_with_warmup"
    assert (made.num_iterations, made.warmup_steps, made.weight_decay, made.adam_beta2) == (1, 0, 0.01, 0.999)
    assert made.max_completion_length == (2048 if name == "tamper" else 3072)


def test_a_step_keeps_its_meaning_in_parts(tmp_path: Path) -> None:
    wanted = config(train=replace(SMALL, steps=3, epochs=2, warmup_steps=2), trl=TrlConfig(accumulate=2))
    made = build(GRPOConfig, grpo_settings(wanted, shape_of(wanted, 1), 8, tmp_path), "fp32")
    assert made.max_steps == 3 * 2 * 2
    assert made.warmup_steps == 2 * 2 * 2
    assert made.gradient_accumulation_steps == 2
    assert made.per_device_train_batch_size * made.steps_per_generation == 16
    assert made.loss_type == "dapo", "the mean over an update's tokens needs it where an update has several passes"


def test_a_servers_address_passes_through(tmp_path: Path) -> None:
    wanted = config(trl=TrlConfig(vllm="http://127.0.0.1:8123"))
    made = build(GRPOConfig, grpo_settings(wanted, shape_of(wanted, 1), 8, tmp_path), "fp32")
    assert (made.use_vllm, made.vllm_mode, made.vllm_server_base_url) == (True, "server", "http://127.0.0.1:8123")


def test_further_options_reach_trl_and_unknown_ones_are_named(tmp_path: Path) -> None:
    wanted = config(trl=TrlConfig(options={"top_entropy_quantile": 0.5}))
    shape = shape_of(wanted, 1)
    assert build(GRPOConfig, grpo_settings(wanted, shape, 8, tmp_path), "fp32").top_entropy_quantile == 0.5
    misspelt = grpo_settings(config(trl=TrlConfig(options={"top_entropy_quantil": 0.5})), shape, 8, tmp_path)
    with pytest.raises(UnknownName, match="Did you mean 'top_entropy_quantile'"):
        build(GRPOConfig, misspelt, "fp32")
    refused = TrlConfig(options={"vllm_importance_sampling_clip_min": 9.0})
    settings = grpo_settings(config(trl=refused), shape, 8, tmp_path)
    with pytest.raises(UsageError, match="TRL refuses these settings"):
        build(GRPOConfig, settings, "fp32")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"options": {"learning_rate": 1.0}}, "may not set learning_rate"),
        ({"vllm": "gpu-box:8000"}, "must be an address"),
        ({"accumulate": 0}, "at least 1"),
        ({"lora": -1}, "0 or more"),
        ({"reply_tokens": (0,)}, "at least 1 each"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        TrlConfig(**given)


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 step"):
        config(train=replace(SMALL, steps=0))


def test_batches_that_do_not_come_out_even_are_refused() -> None:
    with pytest.raises(UsageError, match=r"train\.minibatches=3"):
        shape_of(config(train=replace(SMALL, minibatches=3)), 1)
    with pytest.raises(UsageError, match="among 3 processes"):
        shape_of(config(), 1, processes=3)
    with pytest.raises(UsageError, match="has 2 turns"):
        reply_limits(TrlConfig(reply_tokens=(8,)), load_game("selfgrade"))


def test_a_preset_has_no_numbers_for_other_games() -> None:
    with pytest.raises(UsageError, match="no numbers for the game 'arithmetic'"):
        settings_of("paper", load_game("arithmetic"))
    with pytest.raises(UnknownName, match="paper"):
        settings_of("papper", load_game("tamper"))


def test_the_papers_passes_over_its_file_become_steps(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "How many?"}]
    rows = [{"prompt": asked, "reward_model": {"ground_truth": str(n)}} for n in range(200)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    game = load_game("selfgrade", data=tmp_path)
    assert settings_of("paper", game)["train"]["steps"] == 3 * 4, "three whole batches of 64, four passes"
    assert settings_of("paper", game, {"train": {"items_per_step": 16}})["train"]["steps"] == 12 * 4
    assert "steps" not in settings_of("paper", game, {"train": {"steps": 3}})["train"]
    with pytest.raises(UsageError, match="a step takes 100000"):
        settings_of("paper", game, {"train": {"items_per_step": 100000}})


# Rows


class Counting:
    """A tokenizer whose prompts are as long as their text has words."""

    def apply_chat_template(self, conversation: Any, **_: Any) -> list[int]:
        return [0] * sum(len(m["content"].split()) for m in conversation)


class Filed(BaseGame):
    """A paper level of ten items, the n-th n words long."""

    name = "filed"
    question = "Are long prompts left out?"

    def paper_items(self, split: str, n: int) -> list[Any]:
        return [self.item_at(split, 0, i).having(n=i + 1) for i in range(10)]

    def make_fields(self, draw: Any, split: str) -> dict[str, Any]:
        return {"n": 1}

    def prompt(self, item: Any, replies: Any = ()) -> Any:
        from gamekeeper.types import Message

        return None if replies else (Message("user", "word " * item.fields["n"]),)

    score = metrics = scripts = None  # type: ignore[assignment]


def filed(limit: int, steps: int = 3) -> Rows:
    wanted = config(train=replace(SMALL, steps=steps))
    return run_rows(wanted, Filed(data="file"), Counting(), limit)


def test_items_that_are_too_long_are_left_out_and_counted() -> None:
    rows = filed(8)
    assert (rows.left_out, rows.longest, len(rows.items)) == (2, 8, 12)
    assert {i.fields["n"] for i in rows.items[:8]} == set(range(1, 9)), "a pass holds every item once"
    with pytest.raises(DataError, match="10 of 10 prompts are longer than 0 tokens"):
        filed(0)


def test_a_generated_item_is_never_left_out() -> None:
    wanted = config()
    with pytest.raises(DataError, match="prompts are longer than 20 tokens"):
        run_rows(wanted, load_game("summary"), open_tokenizer("pocket"), 20)
    with pytest.raises(DataError, match="no room for a prompt"):
        prompt_limit(wanted, 512, 512)


def test_prompts_are_rendered_as_the_native_tokenizer_does() -> None:
    from gamekeeper.policy.pocket import PocketPolicy

    game = load_game("tamper")
    prompt = game.prompt(game.items("test", 1, 0)[0]) or ()
    assert prompt_ids(open_tokenizer("pocket"), prompt) == PocketPolicy.load("pocket").tokenizer.render(prompt)


# Dry run


def test_a_dry_run_on_the_pocket_model_finds_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("run", "summary", "--backend", "trl", "--arm", "flawed", "--dry-run", "--json", "--steps", "2")
    shown = json.loads(result.stdout)
    assert not any(c["wrong"] for c in shown["checks"])
    assert shown["config"]["train"]["steps"] == 2
    found = {c["what"]: c["found"] for c in shown["checks"]}
    assert "512 positions" in found["model"]
    assert found["items"] == "128 items, 0 left out as too long"
    assert found["the run"] == "2 steps, 8 updates"
    assert shown["config"]["as TRL is told"]["num_generations"] == 8
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"


def test_a_dry_run_says_what_would_go_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    absent = ("run", "summary", "--backend", "trl", "--arm", "flawed", "--dry-run", "--model", "nowhere/no-model")
    text = " ".join(call(*absent, code=1).output.split())
    assert "The model 'nowhere/no-model' cannot be had" in text
    text = " ".join(call(*absent[:6], "--preset", "paper", "--dry-run", code=1).output.split())
    assert "no room for a prompt" in text, "the pocket model has 512 positions, the preset replies of 3072"


def test_a_server_that_does_not_answer_is_found(server: str) -> None:
    def found(address: str) -> list[tuple[str, bool]]:
        lines = dry_run(config(trl=TrlConfig(vllm=address)), load_game("summary"))
        return [(line.found, line.wrong) for line in lines if line.what == "vllm"]

    (answer, wrong), (package, absent) = found("http://127.0.0.1:9")
    assert "does not answer" in answer
    assert wrong
    assert "pip install 'trl[vllm]'" in package
    assert absent
    assert found(server)[0] == (f"{server} answers", False)


def test_a_run_with_a_server_needs_vllm_here(tmp_path: Path) -> None:
    words = ["run", "summary", "--backend", "trl", "--arm", "flawed", "--out", str(tmp_path / "run")]
    said = call(*words, "--set", "trl.vllm=http://127.0.0.1:9", code=2).output
    assert "trl.vllm needs vLLM beside TRL as well" in " ".join(said.split())


@pytest.fixture
def server() -> Iterator[str]:
    """As much of `trl vllm-serve` as a look at its health needs."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    made = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        (
            "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}{% if add_generation_prompt %}>{% endif %}",
            [],
        ),
        (
            "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}<|im_end|>{% endfor %}>",
            ["chat template"],
        ),
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}>", ["reply ends"]),
        ("{{ raise_exception('no system messages') }}", ["chat template"]),
    ],
)
def test_a_chat_template_that_does_not_fit_is_found(template: str, wrong: list[str]) -> None:
    tokenizer = open_tokenizer("pocket")
    tokenizer.chat_template = template
    assert [line.what for line in template_lines(tokenizer, {}) if line.wrong] == wrong


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    tokenizer = open_tokenizer("pocket")
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(DataError, match="has no chat template"):
        open_tokenizer(str(tmp_path))


SPOILT: dict[str, tuple[str, bytes | None, str]] = {
    "no configuration": ("config.json", None, "Unrecognized model"),
    "no JSON": ("config.json", b"garbage", "not a valid JSON file"),
    "another form": ("config.json", b"[]", "cannot be had"),
    "an unknown kind": ("config.json", b'{"model_type": "zork"}', "zork"),
    "no tokenizer": ("tokenizer.json", None, "tokenizer"),
    "not a tokenizer": ("tokenizer.json", b"{}", "cannot be had: KeyError"),
    "not even text": ("tokenizer.json", bytes(range(256)), "cannot be had"),
    "no weights": ("model.safetensors", None, "TRL cannot load"),
    "torn weights": ("model.safetensors", b"x" * 99, "TRL cannot load"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_model_that_cannot_be_loaded_is_named_and_nothing_is_left(case: str, tmp_path: Path) -> None:
    file, content, complaint = SPOILT[case]
    folder = shutil.copytree(SHIPPED, tmp_path / "model")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    words = ["run", "summary", "--backend", "trl", "--arm", "flawed", "--out", str(tmp_path / "run")]
    said = " ".join(call(*words, "--model", str(folder), code=2).output.split())
    assert complaint in said
    assert "The folder must hold config.json, tokenizer.json and the weights." in said
    assert not (tmp_path / "run" / "run.json").exists()


def test_settings_that_trl_refuses_are_not_blamed_on_the_model(tmp_path: Path) -> None:
    sets = [
        'trl.options={"vllm_importance_sampling_clip_min": 9.0}',
        'trl.options={"model_init_kwargs": {"dtype": "x"}}',
    ]
    for setting, complaint in zip(sets, ("TRL refuses these settings", "cannot start with 'pocket'"), strict=True):
        words = ["run", "summary", "--backend", "trl", "--arm", "flawed", "--out", str(tmp_path / "run")]
        assert complaint in " ".join(call(*words, "--set", setting, code=2).output.split())


# Command line


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--preset", "paper"], "--preset goes with --backend trl"),
        (["--dry-run"], "--dry-run goes with --backend trl"),
        (["--backend", "trll"], "Did you mean 'trl'"),
        (["--backend", "trl", "--set", "trl.lorra=3"], "Did you mean 'trl.lora'"),
        (["--track", "tensorbord"], "Did you mean 'tensorboard'"),
        (["--set", "trl.lora=3"], "Unknown setting 'trl.lora'"),
    ],
)
def test_calls_that_make_no_sense_are_refused(words: list[str], complaint: str) -> None:
    assert complaint in " ".join(call("run", "summary", "--arm", "flawed", *words, code=2).output.split())


def test_an_unsupported_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from gamekeeper.adapters import library
    from gamekeeper.adapters.trl.trainer import need_trl

    monkeypatch.setattr(library, "version", lambda name: "1.9.2")
    with pytest.raises(WrongVersion, match=r"cannot use trl 1\.9\.2: versions >=1\.16,<1\.17 are supported"):
        need_trl()


def test_an_unsupported_peft_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from gamekeeper.adapters import library

    monkeypatch.setattr(library, "version", lambda name: "0.99" if name == "peft" else version(name))
    words = ["run", "summary", "--backend", "trl", "--arm", "flawed", "--dry-run", "--set", "trl.lora=2"]
    assert "cannot use peft 0.99: versions >=0.18,<0.22 are supported" in " ".join(call(*words, code=1).output.split())


def test_a_missing_trl_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from gamekeeper.adapters import library
    from gamekeeper.adapters.trl.trainer import need_trl

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(library, "version", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'gamekeeper\[trl\]'"):
        need_trl()
