"""Doing one cell, in whatever process: from its config and the checkpoints that it needs to its record.

What a cell leaves in its folder: `train` a run directory `run/`, `sft` and `pretrain` a checkpoint `model/`, `eval`
nothing. A killed GRPO run or pretraining goes on where it was; the others start again.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.config import EvalConfig, GameConfig, RunConfig, SftConfig, from_mapping
from gamekeeper.errors import RunError
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import game_class
from gamekeeper.studies import runner
from gamekeeper.studies.cells import MATCHED, with_models
from gamekeeper.studies.disk import disk_errors, lock
from gamekeeper.studies.grid import Task
from gamekeeper.studies.record import Run, load_run
from gamekeeper.types import to_plain

if TYPE_CHECKING:
    from gamekeeper.policy.pocket import PocketPolicy

Progress = Callable[[float], None]
CURVES = ("reward", "itp", "er")
# The worker of a grid that was killed may take a moment to leave its cell to the next call's.
_PATIENCE_S = 60.0
_KEPT = ("created", "commit", "versions", "platform", "device", "threads", "wall_s", "base", "final", "dynamics")


def perform(task: Task, threads: int, progress: Progress) -> dict[str, Any]:
    """The record of one cell. progress: called with the share that is done, from 0 to 1.

    Raises whatever goes wrong; the cell's folder is then fit for another attempt.
    """
    runner.need_training()
    folder = Path(task.folder)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder, _PATIENCE_S)
    try:
        return _performed(task, folder, threads, progress)
    finally:
        os.close(held)


def _performed(task: Task, folder: Path, threads: int, progress: Progress) -> dict[str, Any]:
    started = time.monotonic()
    config = with_models(task.config, task.models)
    do = {"train": _train, "sft": _sft, "eval": _eval, "pretrain": _pretrain}[task.kind]
    found = do(config, folder, threads, progress)
    if "wall_s" not in found:  # a GRPO run counts its own seconds, those before a kill included
        found |= {**_made(threads), "wall_s": round(time.monotonic() - started, 3)}
    return {**found, "config": dict(task.config), "seed": task.config["seed"]}


def _made(threads: int) -> dict[str, Any]:
    """Where and by what a record was made."""
    from gamekeeper.studies.runner import commit, versions
    from gamekeeper.train.compute import settle_precision

    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "platform": platform.platform(),
        "device": "cpu",
        "threads": threads,
        "precision": settle_precision("auto"),
    }


# GRPO


def _train(config: Mapping[str, Any], folder: Path, threads: int, progress: Progress) -> dict[str, Any]:
    wanted = from_mapping(RunConfig, config)
    # What is kept on disk is not part of the address: one checkpoint, and the rollouts of every twentieth step.
    train = replace(wanted.train, threads=threads, keep_rollouts_every=20, keep_checkpoints=1)
    wanted = replace(wanted, train=train)
    out = folder / "run"
    begun = _begun(out, threads)
    if not (begun and load_run(out).status == "finished"):

        def heard(event: Mapping[str, Any]) -> None:
            if event["phase"] == "train":
                progress(event["step"] / max(1, event["steps"]))

        runner.run(wanted, out, resume=begun, progress=heard)
    return compact(load_run(out))


def _begun(out: Path, threads: int) -> bool:
    """Whether there is a run to go on with. One of other threads starts afresh: it could not repeat itself exactly,
    and with its own threads it would fight with the other workers for the cores."""
    if not (out / "run.json").exists():
        return False
    try:
        run = load_run(out)
    except RunError as error:
        raise RunError(
            f"{error} Or delete {out.parent}, and the cell starts afresh: its work lies there alone."
        ) from None
    if run.status == "finished" or run.info["config"]["train"]["threads"] == threads:
        return True
    shutil.rmtree(out)
    return False


def compact(run: Run) -> dict[str, Any]:
    """What tables and figures need of a finished run, without its rollouts."""
    curves = {name: run.series(name) for name in _curve_names(game_class(run.info["game"]["name"]))}
    return {
        **{k: run.info.get(k) for k in _KEPT},
        "precision": run.info["config"]["train"]["precision"],
        "game": dict(run.info["game"]),
        "curves": {k: [[s, v] for s, v in c] for k, c in curves.items()},
    }


def _curve_names(game: BaseGame | type[BaseGame]) -> list[str]:
    return list(dict.fromkeys((*CURVES, game.emergence, game.habit or game.emergence)))


# Measuring


def _eval(config: Mapping[str, Any], folder: Path, threads: int, progress: Progress) -> dict[str, Any]:
    game = runner.open_game(from_mapping(GameConfig, config["game"]))
    measured = from_mapping(EvalConfig, config["eval"])
    policy = _policy(config["model"], threads)
    found = runner.evaluate(
        game, policy, measured, config["seed"], lambda event: progress(event["step"] / event["steps"])
    )
    return {"game": runner.about(game), "final": _ends(found)}


def _ends(found: runner.Evaluation) -> dict[str, Any]:
    return {"metrics": found.metrics, "intervals": {k: list(v) for k, v in found.intervals.items()}}


def _policy(model: str, threads: int) -> PocketPolicy:
    """The weights of a checkpoint, with threads and precision settled as a run settles them."""
    from gamekeeper.policy.pocket import PocketPolicy
    from gamekeeper.train.compute import keep_memory, settle_precision, settle_threads

    keep_memory()
    settle_threads(threads)
    policy = PocketPolicy.load(model)
    policy.model.use_precision(settle_precision("auto"))
    return policy


# Fine-tuning


def _sft(config: Mapping[str, Any], folder: Path, threads: int, progress: Progress) -> dict[str, Any]:
    from gamekeeper.studies.teaching import lesson_of

    game = runner.open_game(from_mapping(GameConfig, config["game"]))
    student = _policy(config["model"], threads)
    teacher = None if config["teacher"] is None else _policy(config["teacher"], threads)
    sft, measured = from_mapping(SftConfig, config["sft"]), from_mapping(EvalConfig, config["eval"])

    def look(policy: PocketPolicy) -> runner.Evaluation:
        return runner.evaluate(game, policy, measured, config["seed"])

    base = look(student)
    lesson = lesson_of(game, teacher, sft.samples, config["keep"], config["seed"])
    wanted = look(teacher) if teacher is not None else None
    said = {"asked": sft.samples, "used": lesson.episodes, "sampled": lesson.sampled}
    target = wanted.metrics.get(game.emergence) if config["match"] and wanted else None
    curve: list[tuple[int, runner.Evaluation]] = [(0, base)]
    if lesson.conversations:
        curve += _taught(student, lesson.conversations, sft, config["seed"], look, _until(game, target), progress)
        _save(student, folder)
    return {
        "game": runner.about(game),
        "base": _ends(base),
        "final": _ends(curve[-1][1]) if lesson.conversations else None,
        "teacher": _ends(wanted) if wanted else None,
        "lesson": said,
        "curves": {name: _curve(curve, name) for name in _curve_names(game)},
    }


def _curve(points: list[tuple[int, runner.Evaluation]], name: str) -> list[list[float]]:
    return [[step, found.metrics[name]] for step, found in points if name in found.metrics]


def _until(game: BaseGame, target: float | None) -> Callable[[runner.Evaluation], bool]:
    """Whether a student has come as far as its teacher, or is near enough; without a target, never."""

    def reached(found: runner.Evaluation) -> bool:
        return target is not None and found.metrics.get(game.emergence, -1.0) >= target - MATCHED

    return reached


def _taught(
    student: PocketPolicy,
    conversations: Any,
    sft: SftConfig,
    seed: int,
    look: Callable[[PocketPolicy], runner.Evaluation],
    reached: Callable[[runner.Evaluation], bool],
    progress: Progress,
) -> Iterator[tuple[int, runner.Evaluation]]:
    """Train the student; yields its measurements, the last one at the end or where it has come far enough."""
    from gamekeeper.train.sft import documents_of, fine_tune

    for step, steps, _ in fine_tune(student, documents_of(student, conversations), sft, seed):
        progress(step / steps)
        if step == steps or (sft.measure_every and step % sft.measure_every == 0):
            found = look(student)
            yield step, found
            if reached(found):
                return


def _save(policy: PocketPolicy, folder: Path) -> None:
    """The checkpoint, whole or absent."""
    partial, target = folder / ".partial", folder / "model"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    policy.save(partial)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)


# Bases of other sizes


def _pretrain(config: Mapping[str, Any], folder: Path, threads: int, progress: Progress) -> dict[str, Any]:
    from gamekeeper.studies.cell_records import read_json
    from gamekeeper.studies.pretraining import ABOUT, pretrain, to_resume

    out = folder / "model"
    if not (out / "model.safetensors").exists():

        def heard(event: Mapping[str, Any]) -> None:
            progress(event["step"] / max(1, event["steps"]))

        resume = to_resume(out)
        if out.exists() and not resume:
            shutil.rmtree(out)  # killed before its first save
        pretrain(
            out,
            steps=config["steps"],
            seed=config["seed"],
            threads=threads,
            resume=resume,
            progress=heard,
            sizes=config["sizes"],
        )
    about = read_json(out / ABOUT)
    loss = {int(step): value for step, value in about["loss"].items()}
    return {"curves": {"loss": sorted([s, v] for s, v in loss.items())}, "documents": to_plain(about["documents"])}
