"""GRPOTrainer put together: model, tokenizer, dataset, rewards, settings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gamekeeper.adapters import library
from gamekeeper.adapters.trl.episodes import Keep, Seat
from gamekeeper.adapters.trl.rows import Rows, is_plain, prompt_limit, run_rows, to_dataset, trained_turns
from gamekeeper.adapters.trl.settings import (
    TrlRunConfig,
    build,
    grpo_settings,
    lora_settings,
    processes,
    reply_limits,
    shape_of,
)
from gamekeeper.errors import DataError, GamekeeperError, UsageError
from gamekeeper.extras import need
from gamekeeper.games.base import BaseGame

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}


def need_trl() -> None:
    """Raises MissingExtra or WrongVersion where TRL or what it needs is not there."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    library.need("trl", "The backend trl")
    need("trl", "The backend trl", "torch", "transformers", "datasets", "accelerate")
    from datasets import disable_progress_bars
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours shows the whole run; theirs, each file that is read
    disable_progress_bars()
    # What transformers will drop one day is TRL's to change, not the user's.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")


def need_vllm() -> None:
    """Raises UsageError where TRL cannot talk to a vLLM server: its client sends the weights by vLLM's own means."""
    from trl.import_utils import is_vllm_available

    if not is_vllm_available():
        raise UsageError(
            "trl.vllm needs vLLM beside TRL as well, to send the server new weights, and it is not installed here. "
            "Install it with: pip install 'trl[vllm]', or leave trl.vllm out."
        )


def model_path(name: str) -> str:
    """What transformers is asked for: a folder, or a name on the Hub; "pocket" is the shipped folder."""
    if name == "pocket":
        from gamekeeper.policy.pocket import SHIPPED

        return str(SHIPPED)
    return name


def open_tokenizer(name: str) -> Any:
    """The model's tokenizer. Raises DataError where it cannot be had, or has no chat template."""
    from transformers import AutoTokenizer

    tokenizer = _had(AutoTokenizer, name, padding_side="left", truncation_side="left")
    if not tokenizer.chat_template:
        raise DataError(
            f"The tokenizer of {name!r} has no chat template, and every game is a chat. Take a model that has one, or "
            "add the template to its tokenizer_config.json."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_model_config(name: str) -> Any:
    """The model's configuration, without its weights. Raises DataError where it cannot be had."""
    from transformers import AutoConfig

    return _had(AutoConfig, name)


def positions_of(model_config: Any) -> int:
    """Most tokens of a prompt and its reply. Raises DataError where the configuration does not say."""
    found = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DataError(
            f"The configuration of this model ({model_config.model_type}) does not say how many positions it has: "
            f"max_position_embeddings is {found!r}. Add it to its config.json, or take another model."
        )
    return found


def parameters_of(model_config: Any) -> int:
    """How many parameters, counted on a model without memory. Raises DataError if it is none that replies."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return int(AutoModelForCausalLM.from_config(model_config).num_parameters())
    except Exception as error:  # a configuration's class may raise anything at values of another form
        raise DataError(
            f"transformers makes no language model of this configuration ({model_config.model_type}): "
            f"{_first_line(error)} Take a model that continues text, such as Qwen/Qwen3-4B."
        ) from error


def _had(kind: Any, name: str, **options: Any) -> Any:
    """What transformers makes of a model's files."""
    path = model_path(name)
    if path.startswith(("/", ".", "~")) and not Path(path).is_dir():
        raise DataError(f"The model {name!r} cannot be had: there is no such folder. {_how_to_name(path)}")
    try:
        return kind.from_pretrained(path, **options)
    except Exception as error:  # files of another form make transformers raise anything, KeyError too
        raise DataError(f"The model {name!r} cannot be had: {_first_line(error)} {_how_to_name(path)}") from error


def _first_line(error: Exception) -> str:
    said = (str(error).strip().splitlines() or [""])[0].rstrip(" .:")
    plain = said and isinstance(error, (OSError, ValueError, RuntimeError))
    return f"{said}." if plain else f"{type(error).__name__} {said}".strip() + "."


def _how_to_name(path: str) -> str:
    if Path(path).is_dir():
        return "The folder must hold config.json, tokenizer.json and the weights."
    return "Give a folder, or a name such as Qwen/Qwen3-4B that can be downloaded or is in the local cache."


@contextmanager
def starting(name: str) -> Iterator[None]:
    """While TRL builds its trainer, which loads the weights. Raises DataError, with TRL's words, where it cannot."""
    from safetensors import SafetensorError

    try:
        yield
    except GamekeeperError:
        raise
    except (OSError, SafetensorError) as error:
        raise DataError(f"TRL cannot load {name!r}: {_first_line(error)} {_how_to_name(model_path(name))}") from error
    except (ValueError, RuntimeError) as error:
        raise DataError(f"TRL cannot start with {name!r} and these settings: {_first_line(error)}") from error


def run_data(config: TrlRunConfig, game: BaseGame, tokenizer: Any) -> Rows:
    """The items of all steps, whose prompts fit."""
    return run_rows(config, game, tokenizer, prompt_room(config, game))


def prompt_room(config: TrlRunConfig, game: BaseGame) -> int:
    """Most tokens of a prompt. Raises DataError if the model is none for a game, or has no room for its replies."""
    about = open_model_config(config.model)
    parameters_of(about)
    return prompt_limit(config, positions_of(about), max(reply_limits(config.trl, game)))


def seat_of(config: TrlRunConfig, game: BaseGame, tokenizer: Any, keep: Keep) -> Seat:
    """The game at TRL's side. keep: takes each batch of episodes."""
    seat = Seat(game, tokenizer, reply_limits(config.trl, game), config.seed, keep)
    seat.positions = positions_of(open_model_config(config.model))
    return seat


def grpo_trainer(config: TrlRunConfig, seat: Seat, rows: Rows, output: Path) -> Any:
    """TRL's GRPOTrainer, ready to train the rows' items at this seat. output: where its own checkpoints go."""
    from trl import GRPOConfig, GRPOTrainer

    if config.trl.vllm:
        need_vllm()
    plain = is_plain(seat.game)
    shape = shape_of(config, 1 if plain else len(trained_turns(seat.game)), processes(config.trl).num_processes)
    settings = grpo_settings(config, shape, max(seat.limits), output)
    how = (
        {"reward_funcs": seat.reward}
        if plain
        else {"reward_funcs": seat.reward_of_rollouts, "rollout_func": seat.rollout}
    )
    with starting(config.model):
        return GRPOTrainer(
            model=model_path(config.model),
            args=build(GRPOConfig, settings, config.train.precision),
            train_dataset=to_dataset(seat.game, rows.items),
            processing_class=seat.tokenizer,
            peft_config=lora_settings(config.trl),
            **how,
        )
