"""One GRPO run by TRL, from a config to a run directory that every reader of runs understands."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gamekeeper.adapters.trl.settings import TrlRunConfig, updates_a_step
from gamekeeper.adapters.trl.trainer import grpo_trainer, need_trl, open_tokenizer, run_data, seat_of
from gamekeeper.errors import RunError, UsageError
from gamekeeper.rewards.verdicts import Judge
from gamekeeper.studies.record import Listener

TRAINER_FILES = Path("checkpoints") / "trainer"


def run(
    config: TrlRunConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: Any = None,
    judge: Judge | None = None,
    listeners: Sequence[Listener] = (),
) -> Path:
    """Train by TRL as the config says and leave a run directory at `out`; returns `out`.

    `checkpoints/step-N` is the trained model as an ordinary Hugging Face folder, adapters merged;
    `checkpoints/trainer` is what TRL itself resumes from. A resumed run goes on from there; unlike the native
    trainer's it need not repeat bit by bit what an uninterrupted one would have done.
    Raises MissingExtra or WrongVersion without TRL, DataError for a model or data that do not fit, RunError when
    there is a run already (or none to resume).
    """
    need_trl()
    from gamekeeper.adapters.trl.session import Session, attach, conducted, settled

    if config.teacher is not None:
        raise UsageError("This run has a teacher: it is a distillation, not a GRPO run.")
    config, game = settled(config, out, resume)
    game.judge = judge
    tokenizer = open_tokenizer(config.model)
    rows = run_data(config, game, tokenizer)
    config = replace(config, train=replace(config.train, steps=rows.steps))
    session = Session(config, game, out, tokenizer, progress or _quiet)
    updates = updates_a_step(config.train)
    seat = seat_of(config, game, tokenizer, session.keep)
    attach(session, grpo_trainer(config, seat, rows, out / TRAINER_FILES), updates)
    newest = newest_checkpoint(out) if resume else None
    at = steps_of(newest, updates) if newest else 0

    about = {"data": {"items": len({i.id for i in rows.items}), "left_out": rows.left_out}}
    return conducted(session, at if resume else None, about, listeners, lambda: train(session, newest))


def _quiet(_: Mapping[str, Any]) -> None:
    """No progress wanted."""


def train(session: Any, newest: Path | None) -> None:
    """Measure, train from the checkpoint if there is one, measure, and leave the model as a folder that anything can
    load. Raises RunError if TRL ends before the last update (where its sampler finds no whole batch, it only warns) or
    after it."""
    if newest is None:
        session.measure(0)
    trainer, step = session.trainer, session.config.train.steps
    wanted = trainer.args.max_steps
    if newest is not None and _updates_of(newest) >= wanted:
        load(trainer, newest)
    else:
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    _check_updates(trainer.state.global_step, wanted)
    session.measure(step)
    save_model(trainer, session.tokenizer, session.out / "checkpoints" / f"step-{step}")


def _check_updates(done: int, wanted: int) -> None:
    if done < wanted:
        raise RunError(
            f"TRL ended after {done} of {wanted} updates: it found no whole batch. Change train.items_per_step, "
            "or the number of processes."
        )
    if done > wanted:
        raise RunError(
            f"This run's weights have {done} updates behind them, and its settings say {wanted}: they are not what it "
            "was to train. Start it again with another --out."
        )


def load(trainer: Any, checkpoint: Path) -> None:
    """The checkpoint's weights in the trainer, loaded by TRL's own way of resuming, and nothing trained.

    To resume at the last update would not do: where the last pass over the data is a partial one, the trainer's loop
    makes one update more before it looks how many there are to be.
    """
    from transformers import TrainerCallback

    class Loaded(Exception):
        pass

    class Stop(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            raise Loaded

    stop = Stop()
    trainer.add_callback(stop)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint))
    except Loaded:
        return
    finally:
        trainer.remove_callback(stop)


def save_model(trainer: Any, tokenizer: Any, target: Path) -> None:
    """The model as an ordinary Hugging Face folder, whole or absent; LoRA adapters are merged into the weights."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    if trainer.accelerator.is_main_process:
        partial = target.with_name(f".partial-{target.name}")
        shutil.rmtree(partial, ignore_errors=True)
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    trainer.accelerator.wait_for_everyone()


def newest_checkpoint(out: Path) -> Path | None:
    """The newest of TRL's checkpoints that is whole: its state is written last."""
    found = [p for p in (out / TRAINER_FILES).glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()]
    whole = [p for p in found if (p / "trainer_state.json").is_file()]
    return max(whole, key=_updates_of, default=None)


def _updates_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def steps_of(checkpoint: Path, updates: int) -> int:
    """How many whole steps a checkpoint has behind it."""
    return _updates_of(checkpoint) // updates
