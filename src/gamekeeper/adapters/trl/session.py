"""What a GRPO run and an SFT run by TRL share: the run directory, its measurements, and how a run ends.

Under `accelerate launch` every process comes through here; the first one alone writes and measures, the others wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import PrinterCallback, TrainerCallback

from gamekeeper.adapters.trl.episodes import Played
from gamekeeper.adapters.trl.policy import TransformersPolicy, end_ids
from gamekeeper.adapters.trl.settings import TrlRunConfig, processes, reply_limits
from gamekeeper.errors import CouldNotLook
from gamekeeper.games.base import BaseGame
from gamekeeper.metrics import mean
from gamekeeper.studies.record import Listener, RunWriter, load_run
from gamekeeper.studies.rollouts import Rollout as Episode
from gamekeeper.studies.runner import (
    Progress,
    batch_intervals,
    evaluate,
    mark_ended,
    open_game,
    reason_of,
    resumed,
    run_info,
    spelled,
    summary,
)
from gamekeeper.train.compute import check_finite, settle_threads

MOST_UNSCORED = 0.2
LIBRARIES = ("trl", "transformers", "torch", "datasets", "accelerate", "tokenizers", "numpy")
# TRL's name of a measurement -> ours
LOGGED = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_fraction",
    "frac_reward_zero_std": "flat_groups",
}


@dataclass(slots=True)
class Batch:
    """The episodes of one step, and what was measured of them."""

    episodes: list[Episode]
    metrics: dict[str, float]


@dataclass(slots=True)
class Session:
    """One run: its settings, its game, its record (None in all processes but the first)."""

    config: TrlRunConfig
    game: BaseGame
    out: Path
    tokenizer: Any
    progress: Progress
    writer: RunWriter | None = None
    trainer: Any = None
    batch: Batch | None = None
    clock: float = field(default_factory=time.perf_counter)

    # What TRL calls while it trains

    def keep(self, played: Sequence[Played], seconds: float, log_metric: Callable[[str, float], None]) -> None:
        """Take a step's episodes of this process, together with those of all others, and log the game's metrics.

        Raises CouldNotLook when over a fifth of them could not be graded.
        """
        ends = end_ids(self.trainer.model, self.tokenizer)
        found = gather_object([_told(p, ends) for p in played])
        self._stop_if_blind([p for p, _, _ in found])
        group = self.config.train.group
        episodes = [_episode(p, n // group) for n, (p, _, _) in enumerate(found)]
        metrics = self.game.metrics([e.score for e in episodes])
        for name, value in metrics.items():
            log_metric(name, value)
        metrics["reply_tokens"] = mean([tokens for _, tokens, _ in found]) or 0.0
        metrics["truncated"] = mean([cut for _, _, cuts in found for cut in cuts]) or 0.0
        metrics["scoring_s"] = seconds
        self.batch = Batch(episodes, metrics)

    def _stop_if_blind(self, played: Sequence[Played]) -> None:
        failed = [p.score.unscored for p in played if p.score.reward is None]
        if len(failed) > MOST_UNSCORED * len(played):
            raise CouldNotLook(
                f"{len(failed) / len(played):.0%} of a step's rollouts could not be graded (at most "
                f"{MOST_UNSCORED:.0%} is allowed): {failed[0]}. Repair the grader, then go on with --resume."
            )

    def record(self, step: int, logged: Mapping[str, float]) -> None:
        """A step is over: its rollouts, then its metrics, then an evaluation if one is due."""
        train, batch = self.config.train, self.batch
        known = {ours: logged[name] for name, ours in LOGGED.items() if logged.get(name) is not None}
        measured = {name: check_finite(name, float(value)) for name, value in known.items()}
        now = time.perf_counter()
        measured["step_s"] = now - self.clock
        if batch is not None:
            measured |= batch.metrics
        if self.writer is not None:
            if batch is not None and (step % train.keep_rollouts_every == 0 or step == train.steps):
                self.writer.rollouts(step, "train", batch.episodes)
            intervals = batch_intervals(self.game, batch.episodes) if batch is not None else {}
            self.writer.metrics(step, "train", measured, intervals)
            self.progress({"step": step, "steps": train.steps, "phase": "train", "metrics": measured})
        self.batch = None
        if self.config.eval.every and step % self.config.eval.every == 0 and step < train.steps:
            self.measure(step)
        self.clock = time.perf_counter()

    def measure(self, step: int) -> None:
        """The policy on test items, as record `step` of phase eval, unless it is there already."""
        if self.writer is not None and not self.writer.has(step, "eval"):
            found = evaluate(self.game, self.policy(), self.config.eval, self.config.seed, self.progress)
            self.writer.rollouts(step, "eval", found.rows)
            self.writer.metrics(step, "eval", found.metrics, found.intervals)
        self.trainer.accelerator.wait_for_everyone()
        self.clock = time.perf_counter()

    def policy(self) -> TransformersPolicy:
        """The model as it stands."""
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        chat = self.config.trl.options.get("chat_template_kwargs")
        return TransformersPolicy(model, self.tokenizer, self.config.trl.eval_rows, chat)


def attach(session: Session, trainer: Any, updates: int) -> None:
    """Let the session hear of each step, and keep TRL from printing its own log between our lines."""
    session.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Recorder(session, updates))


class Recorder(TrainerCallback):
    """Hands TRL's log of each step to the session. updates: optimiser updates a step."""

    def __init__(self, session: Session, updates: int) -> None:
        self.session, self.updates = session, updates

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs and state.global_step % self.updates == 0:
            self.session.record(state.global_step // self.updates, logs)


def _told(played: Played, ends: set[int]) -> tuple[Played, int, list[bool]]:
    """What the record needs of an episode: itself without its prompt's tokens, its new tokens, its cut-off turns."""
    tokens = sum(len(t.reply_ids) for t in played.turns)
    cut = [not t.reply_ids or t.reply_ids[-1] not in ends for t in played.turns]
    return played, tokens, cut


def _episode(played: Played, group: int) -> Episode:
    return Episode(group, played.item.id, [t.prompt for t in played.turns], played.replies, played.score)


# From a config to a run directory


def settled(config: TrlRunConfig, out: Path, resume: bool) -> tuple[TrlRunConfig, BaseGame]:
    """The config with everything decided, and its game with this run's reply limits."""
    game = open_game(config.game)
    limits = reply_limits(config.trl, game)
    vars(game)["reply_tokens"] = limits  # whoever plays this game, the evaluation too, keeps to the run's limits
    config = replace(config, trl=replace(config.trl, reply_tokens=limits))
    if resume:
        if config.trl.passes:  # they have set the steps already
            steps = load_run(out).info["config"]["train"]["steps"]
            config = replace(config, train=replace(config.train, steps=steps))
        config = resumed(config, game, out)
    precision = config.train.precision
    if precision == "auto":
        precision = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
    train = replace(config.train, threads=settle_threads(config.train.threads), precision=precision)
    return replace(config, train=train, game=spelled(config.game, game)), game


def conducted(
    session: Session,
    resume_at: int | None,
    about: Mapping[str, Any],
    listeners: Sequence[Listener],
    work: Callable[[], None],
) -> Path:
    """Open the record, do the work, close the record; whatever ends the run is written into it first.

    resume_at: the step to go on after, None for a new run. about: further keys of run.json.
    """
    together = processes(session.config.trl)
    together.wait_for_everyone()  # nobody starts to write while another still looks whether a run is there
    out = session.out
    if together.is_main_process:  # the one that writes
        session.writer = _open(session, resume_at, about)
        session.writer.listeners = tuple(listeners)
    before = float(load_run(out).info.get("wall_s") or 0.0) if session.writer else 0.0
    started = time.monotonic() - before
    try:
        work()
        if session.writer is not None:
            session.writer.finish(**summary(session.game, out), wall_s=round(time.monotonic() - started, 3))
    except KeyboardInterrupt:
        _end(session, "stopped", "interrupted", started)
        raise
    except Exception as error:  # marked and raised again
        _end(session, "failed", reason_of(error), started)
        raise
    return out


def _end(session: Session, status: str, reason: str, started: float) -> None:
    if session.writer is not None:
        session.writer.close()
        mark_ended(session.out, status, reason, started)


def _open(session: Session, resume_at: int | None, about: Mapping[str, Any]) -> RunWriter:
    if resume_at is not None:
        return RunWriter.resume(session.out, resume_at)
    config, game = session.config, session.game
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    machine = {
        "device": device,
        "processes": processes(config.trl).num_processes,
        "threads": config.train.threads,
        "versions": {name: version(name) for name in LIBRARIES},
    }
    return RunWriter.create(session.out, config, game.own_metrics, **run_info(game, config.seed), **machine, **about)
