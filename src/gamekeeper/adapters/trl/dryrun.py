"""What a run by TRL would do, without doing it: every setting, and whether model, data and server fit together.

Nothing is trained and no weights are loaded; the tokenizer, the model's configuration and the data are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gamekeeper.adapters.looking import Line, Look, looked
from gamekeeper.adapters.trl.distil import teacher_examples
from gamekeeper.adapters.trl.rows import is_plain, prompt_ids, trained_turns
from gamekeeper.adapters.trl.settings import (
    TrlRunConfig,
    build,
    device_settings,
    grpo_settings,
    lora_settings,
    reply_limits,
    sft_settings,
    shape_of,
    updates_a_step,
)
from gamekeeper.adapters.trl.trainer import (
    need_trl,
    need_vllm,
    open_model_config,
    open_tokenizer,
    parameters_of,
    positions_of,
    prompt_room,
    run_data,
)
from gamekeeper.config import TrainConfig
from gamekeeper.games.base import BaseGame
from gamekeeper.types import Message, to_plain

_SERVER_SECONDS = 5.0
MANY = 10
"""From how many times the pocket model's parameters on its settings are not a model's own."""


def dry_run(config: TrlRunConfig, game: BaseGame) -> list[Line]:
    """What was looked at, in order. What would stop the run is a line too, and ends its own part of the look."""
    need_trl()
    looks: list[Look] = [
        ("model", lambda: _model(config, game)),
        ("settings", lambda: _arguments(config, game)),
        ("data", lambda: _data(config, game)),
        ("lora", lambda: _lora(config)),
        ("vllm", lambda: _server(config.trl.vllm)),
    ]
    return looked(looks)


def _model(config: TrlRunConfig, game: BaseGame) -> Iterator[Line]:
    about = open_model_config(config.model)
    yield Line(
        "model", f"{config.model}: {about.model_type}, {_size(about)} parameters, {positions_of(about)} positions"
    )
    tokenizer = open_tokenizer(config.model)
    yield from template_lines(tokenizer, config.trl.options.get("chat_template_kwargs") or {})
    yield from _scale(config, about, game)


def _scale(config: TrlRunConfig, about: Any, game: BaseGame) -> Iterator[Line]:
    """What is left at a default that is made for the pocket model, though this one is many times its size."""
    if parameters_of(about) < MANY * parameters_of(open_model_config("pocket")):
        return
    rate = config.train.learning_rate
    if rate == TrainConfig().learning_rate:
        found = f"{rate:g} is made for the pocket model. Give --preset paper, or --set train.learning_rate=1e-5"
        yield Line("learning rate", found, wrong=not config.trl.lora)
    if not config.trl.reply_tokens:
        limits = ", ".join(map(str, game.reply_tokens))
        found = f"{limits} tokens a reply are made for the pocket model. Give --preset paper, or trl.reply_tokens"
        yield Line("reply limits", found, wrong=game.level == "paper")
    if game.level == "pocket":
        yield Line("level", "pocket items, which a large model finds easy; the paper's are had with --data")


def _size(about: Any) -> str:
    count = parameters_of(about)
    return f"{count / 1e9:.2f} billion" if count >= 1e9 else f"{count / 1e6:.2f} million"


def template_lines(tokenizer: Any, options: dict[str, Any]) -> Iterator[Line]:
    """Whether the chat template shows a system message, asks for a reply, and ends one with the end token."""
    words = {"system": "zebra crossing", "user": "purple bicycle", "assistant": "yellow submarine"}
    chat = tuple(Message(role, text) for role, text in words.items())
    try:
        asked = tokenizer.decode(prompt_ids(tokenizer, chat[:2], options))
        plain = [to_plain(m) for m in chat]
        closed = tokenizer.apply_chat_template(plain[:2], tokenize=False, **options)
        whole = tokenizer.apply_chat_template(plain, tokenize=False, **options)
    except Exception as error:  # noqa: BLE001 - a template is a program of its author and may raise anything
        yield Line("chat template", f"fails on a system and a user message: {error}", wrong=True)
        return
    lost = [role for role in ("system", "user") if words[role] not in asked]
    yield Line("chat template", f"loses the {' and the '.join(lost)} message" if lost else "ok", wrong=bool(lost))
    # Not wrong: in some templates what ends the user's turn opens the reply.
    yield Line("reply opens", "without a mark of its own" if asked == closed else "ok")
    end = str(tokenizer.eos_token)
    ended = end in str(whole).rpartition(words["assistant"])[2]
    yield Line("reply ends", f"with {end}" if ended else f"not with {end}: replies may run on", wrong=not ended)


def arguments(config: TrlRunConfig, game: BaseGame) -> dict[str, Any]:
    """What TRL's configuration would be given, on this machine. Raises UsageError for what cannot be."""
    precision, output = config.train.precision, Path("OUT") / "checkpoints" / "trainer"
    if config.teacher is not None:
        return {**device_settings(precision), **sft_settings(config, config.trl.distil_rows, output)}
    if config.trl.passes:
        steps = run_data(config, game, open_tokenizer(config.model)).steps
        config = replace(config, train=replace(config.train, steps=steps))
    shape = shape_of(config, 1 if is_plain(game) else len(trained_turns(game)))
    return {**device_settings(precision), **grpo_settings(config, shape, max(reply_limits(config.trl, game)), output)}


def _arguments(config: TrlRunConfig, game: BaseGame) -> Iterator[Line]:
    """TRL's own word on its arguments."""
    from trl import GRPOConfig, SFTConfig

    kind = GRPOConfig if config.teacher is None else SFTConfig
    with TemporaryDirectory() as folder:  # TRL makes its output folder at once
        build(kind, {**arguments(config, game), "output_dir": folder}, config.train.precision)
    yield Line("settings", f"accepted by {kind.__name__}")


def _teacher(config: TrlRunConfig, game: BaseGame) -> Iterator[Line]:
    prompt_room(config, game)
    examples = teacher_examples(Path(config.teacher or ""), game, config.trl.distil_rows, config.seed)
    yield Line("teacher", f"{len(examples)} examples in {config.teacher}")
    yield Line("the run", f"{config.train.steps} updates of {config.train.items_per_step} examples")


def _data(config: TrlRunConfig, game: BaseGame) -> Iterator[Line]:
    if config.teacher is not None:
        yield from _teacher(config, game)
        return
    tokenizer = open_tokenizer(config.model)
    rows = run_data(config, game, tokenizer)
    train, turns = config.train, len(game.reply_tokens)
    yield Line("items", f"{len({i.id for i in rows.items})} items, {rows.left_out} left out as too long")
    yield Line("longest prompt", f"{rows.longest} tokens")
    yield Line("reply limits", f"{', '.join(map(str, reply_limits(config.trl, game)))} tokens ({turns} turns)")
    shape = shape_of(config, 1 if is_plain(game) else len(trained_turns(game)))
    yield Line(
        "a step",
        f"{train.items_per_step} items x {train.group} episodes = {shape.rows} rows, {shape.rows_at_once} at once",
    )
    yield Line("the run", f"{rows.steps} steps, {rows.steps * updates_a_step(train)} updates")
    if game.judged and game.level == "paper" and game.judge is None:
        yield Line("judge", "none: replies cannot be scored. Give --judge URL --judge-model NAME.", wrong=True)


def _lora(config: TrlRunConfig) -> Iterator[Line]:
    if made := lora_settings(config.trl):
        yield Line("lora", f"rank {made.r}, scale {made.lora_alpha}, on {config.trl.lora_modules}")


def _server(address: str) -> Iterator[Line]:
    import httpx

    if not address:
        return
    try:
        answer = httpx.get(f"{address.rstrip('/')}/health", timeout=_SERVER_SECONDS, follow_redirects=True)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"{address} does not answer ({error or type(error).__name__}). Start it: trl vllm-serve --model NAME"
        yield Line("vllm", found, wrong=True)
    else:
        yield Line("vllm", f"{address} answers")
    need_vllm()
