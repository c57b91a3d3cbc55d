"""`gamekeeper pretrain`: the one command that rebuilds the shipped pocket checkpoint.

The corpus is every built-in game's honest primer plus copying drills; one base serves all games, so that transfer
between them can be studied. How much of each there is (`MIXTURE`) and for how long it is trained decides how
competent the base is, and so whether it can find an exploit at all; see docs/design/.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.errors import DataError, RunError
from gamekeeper.policy.corpus import DRILLS, VERSION, WARM_UP, Source, conversation, conversations
from gamekeeper.registry import BUILTIN, load_game
from gamekeeper.studies.runner import need_training

if TYPE_CHECKING:
    from gamekeeper.policy.pocket import PocketPolicy
    from gamekeeper.policy.tokenizer import PocketTokenizer
    from gamekeeper.train.pretrain import Pretrainer

MIXTURE: Mapping[str, float] = {
    "tamper": 0.24,
    "summary": 0.17,
    "compliance": 0.17,
    "selfgrade": 0.2,
    "arithmetic": 0.14,
    "drills": 0.08,
}
TOKENIZER_DOCUMENTS = 20_000
SAVE_EVERY = 250
LOSS_EVERY = 100
ABOUT = "pretrain.json"
_STATE = "pretrain-state.safetensors"


def corpus_sources() -> list[Source]:
    """The sources of the shipped checkpoint's corpus, weighted by `MIXTURE`."""
    games = [Source(name, MIXTURE[name], load_game(name).primer) for name in BUILTIN]
    drills = [Source(d.name, MIXTURE["drills"] * d.weight, d.make) for d in DRILLS]
    return [*games, *drills]


def pretrain(
    out: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    threads: int = 0,
    resume: bool = False,
    progress: Callable[[Mapping[str, Any]], None] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Path:
    """Train tokenizer and model from nothing into the folder `out` (Hugging Face format); returns `out`.

    sizes: fields of `ModelConfig` that differ from the shipped model's.
    Interrupted, it goes on with `resume` from the last saved step, on the same batches. Raises RunError when `out`
    holds a checkpoint already, or none to resume.
    """
    need_training()
    from gamekeeper.policy.model import ModelConfig, PocketModel
    from gamekeeper.policy.pocket import PocketPolicy, fresh_model
    from gamekeeper.train.compute import keep_memory, settle_precision, settle_threads
    from gamekeeper.train.pretrain import Feed, PretrainConfig, Pretrainer, encode_document

    _check_folder(out, resume)
    out.mkdir(parents=True, exist_ok=True)
    keep_memory()
    settle_threads(threads)
    config = PretrainConfig() if steps is None else replace(PretrainConfig(), steps=steps)
    sources = corpus_sources()
    shape = ModelConfig(**(sizes or {}))
    tokenizer = _tokenizer(out, sources, seed, shape.vocab, resume)
    trainer = Pretrainer(fresh_model(PocketModel(shape), seed), config)
    trainer.model.use_precision(settle_precision("auto"))
    losses = _load_state(trainer, out / _STATE) if resume else {}
    feed = Feed(
        lambda i: encode_document(tokenizer, conversation(sources, seed, i), config.prompt_weight), config, seed
    )
    for step, loss in trainer.steps(feed, tokenizer.pad):
        losses[step] = loss
        if progress:
            progress({"step": step, "steps": config.steps, "phase": "pretrain", "metrics": {"loss": loss}})
        if step % SAVE_EVERY == 0 and step < config.steps:
            _save_state(trainer, losses, out / _STATE)
    about = {
        "corpus_version": VERSION,
        "mixture": dict(MIXTURE),
        "seed": seed,
        "config": asdict(config),
        "sizes": asdict(shape),
        "precision": "bf16" if trainer.model.bf16 else "fp32",
        "documents": feed.documents,
        "loss": {step: round(loss, 4) for step, loss in losses.items() if step % LOSS_EVERY == 0 or step == 1},
    }
    _finish(out, PocketPolicy(trainer.model, tokenizer), about)
    return out


def to_resume(out: Path) -> bool:
    """Whether a folder holds an interrupted pretraining that has saved its state."""
    return (out / _STATE).exists()


def _check_folder(out: Path, resume: bool) -> None:
    if (out / "model.safetensors").exists():
        raise RunError(f"{out} holds a checkpoint already. Give another --out, or delete it first.")
    if resume and not (out / _STATE).exists():
        raise RunError(f"{out} has no interrupted pretraining to go on with. Leave out --resume.")
    if not resume and (out / _STATE).exists():
        raise RunError(f"{out} holds an interrupted pretraining. Go on with --resume, or give another --out.")


def _tokenizer(out: Path, sources: list[Source], seed: int, vocab: int, resume: bool) -> PocketTokenizer:
    from gamekeeper.policy.tokenizer import PocketTokenizer, chat_text

    if resume:
        return PocketTokenizer.load(out)
    texts = (
        chat_text(c, reply_next=False) for c in conversations(sources, seed, WARM_UP, WARM_UP + TOKENIZER_DOCUMENTS)
    )
    tokenizer = PocketTokenizer.train(texts, vocab)
    tokenizer.save(out)
    return tokenizer


def _save_state(trainer: Pretrainer, losses: Mapping[int, float], path: Path) -> None:
    from safetensors.torch import save_file

    from gamekeeper.train.checkpoint import moments

    weights = {f"weight.{k}": v for k, v in trainer.model.state_dict().items()}
    partial = path.with_suffix(".partial")
    about = {"step": str(trainer.step), "losses": json.dumps(losses)}
    save_file({**moments(trainer.model, trainer.optimisers), **weights}, partial, metadata=about)
    os.replace(partial, path)


def _load_state(trainer: Pretrainer, path: Path) -> dict[int, float]:
    """Put an interrupted run's weights, moments and step in place; returns its losses by step."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    from gamekeeper.train.checkpoint import put_moments

    try:
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            about = file.metadata()
        trainer.step, losses = int(about["step"]), json.loads(about["losses"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete the folder and start again.") from error
    trainer.model.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("weight.")})
    put_moments(trainer.model, trainer.optimisers, tensors)
    return {int(step): loss for step, loss in losses.items()}


def _finish(out: Path, policy: PocketPolicy, about: Mapping[str, Any]) -> None:
    """Write the checkpoint, and beside it what it was made of."""
    partial = out / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    policy.save(partial)
    (partial / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    for path in partial.iterdir():
        os.replace(path, out / path.name)
    partial.rmdir()
    (out / _STATE).unlink(missing_ok=True)
