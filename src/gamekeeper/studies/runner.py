"""One training run from a config to a run directory, and one evaluation of a policy.

Order on disk: a step's rollouts, then its metrics, then its checkpoint. So a record that is there is whole, a
checkpoint never knows more than the records, and a run that was killed goes on from the newest checkpoint after
dropping what came later.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gamekeeper.config import EvalConfig, GameConfig, RunConfig, from_mapping
from gamekeeper.errors import GamekeeperError, RunError
from gamekeeper.extras import need
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import load_game
from gamekeeper.seeds import derive
from gamekeeper.studies.dynamics import DEFINITIONS, dynamics
from gamekeeper.studies.record import Listener, RunWriter, load_run
from gamekeeper.studies.record import Rollout as Episode
from gamekeeper.studies.stats import Interval, over_items
from gamekeeper.types import Score, to_plain

if TYPE_CHECKING:
    from gamekeeper.train.grpo import Trainer
    from gamekeeper.train.rollout import Rollout

Progress = Callable[[Mapping[str, Any]], None]
Config = TypeVar("Config", bound=Any)  # RunConfig, or that of another backend with the same first fields
_EVAL_ITEMS_AT_ONCE = 64
_PROGRAM = ("gamekeeper", "__main__")
INTERVAL_NOTE = "95%, clustered by item (delete-one-item jackknife; exact where all items agree)"


def _quiet(_: Mapping[str, Any]) -> None:
    """No progress wanted."""


def need_training() -> None:
    """Raises MissingExtra where torch or its companions are not installed."""
    need("train", "Training and evaluating pocket models", "torch", "tokenizers", "safetensors", "pyarrow")


# Evaluation


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A policy measured on test items. `rows` are its episodes; intervals are clustered by item."""

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    rows: list[Episode]


def evaluate(
    game: BaseGame,
    model: Any,
    config: EvalConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    done: Sequence[Episode] = (),
    keep: Callable[[Sequence[Episode]], None] | None = None,
) -> Evaluation:
    """Measure a policy on items of the split that the config names.

    model: "pocket", a checkpoint folder, "script:NAME", the URL of a server with one model, or a Policy object. The
    same items and draws for the same seed, whatever the model, so that differences between models are paired.
    done: parts that an earlier, interrupted call with the same arguments has handed to its `keep`.
    keep: called with each part as it is made. Then the result's rows have neither prompts nor replies: whoever keeps
    the parts has them, and memory does not grow with them.
    """
    config = config or EvalConfig()
    items = game.item_stream(config.split, config.items, derive("eval", seed))
    episodes = list(done)
    known = {e.group for e in episodes}
    player = _scripted if isinstance(model, str) and model.startswith("script:") else _played
    with _opened(model, player) as policy:
        start = 0
        while chunk := list(islice(items, _EVAL_ITEMS_AT_ONCE)):
            if start not in known:
                made = player(game, policy, chunk, config, ("eval", seed, start))
                episodes += _kept(made, keep)
                at = {"phase": "eval", "step": start + len(chunk), "steps": config.items}
                (progress or _quiet)({**at, "metrics": game.metrics([e.score for e in episodes])})
            start += len(chunk)
    return _evaluation(game, sorted(episodes, key=lambda e: e.group))


@contextmanager
def _opened(model: Any, player: Callable[..., Any]) -> Iterator[Any]:
    """The policy, or the name of the script; connections that were opened for it are closed."""
    policy = model.removeprefix("script:") if player is _scripted else open_policy(model)
    try:
        yield policy
    finally:
        if policy is not model and hasattr(policy, "close"):
            policy.close()


def _kept(made: Sequence[Episode], keep: Callable[[Sequence[Episode]], None] | None) -> Sequence[Episode]:
    """What is left to be remembered of a part."""
    if keep is None:
        return made
    keep(made)
    return [replace(e, prompts=(), replies=()) for e in made]


def _scripted(
    game: BaseGame, script: str, items: Sequence[Any], config: EvalConfig, seed: Sequence[Any]
) -> list[Episode]:
    from gamekeeper.policy.scripted import scripted_episodes

    played = list(scripted_episodes(game, items, script))
    scores = game.score_many([(item, replies) for _, item, _, replies in played])
    return [Episode(seed[-1] + g, i.id, p, r, s) for (g, i, p, r), s in zip(played, scores, strict=True)]


def open_policy(model: Any) -> Any:
    """A policy object from a name, path or URL; objects pass through."""
    if not isinstance(model, str):
        return model
    from gamekeeper.policy.endpoint import EndpointPolicy, is_url

    if is_url(model):
        return EndpointPolicy.at(model)
    need_training()
    from gamekeeper.policy.pocket import PocketPolicy

    return PocketPolicy.load(model)


def _played(
    game: BaseGame, policy: Any, items: Sequence[Any], config: EvalConfig, seed: Sequence[Any]
) -> list[Episode]:
    from gamekeeper.policy.base import Decoding
    from gamekeeper.train.rollout import grade, play

    decoding = Decoding(0, config.temperature, config.top_p, config.top_k)
    rollouts = play(game, policy, items, config.samples, decoding, seed)
    grade(game, rollouts)
    return [_episode(r, seed[-1]) for r in rollouts]


def _episode(rollout: Rollout, first_group: int = 0) -> Episode:
    heard = rollout.replies if rollout.failure is None else rollout.replies[:-1]
    group = first_group + rollout.group
    return Episode(group, rollout.item.id, rollout.prompts, heard, rollout.score, drawn=rollout.drawn)


def _evaluation(game: BaseGame, episodes: list[Episode]) -> Evaluation:
    return Evaluation(game.metrics([e.score for e in episodes]), batch_intervals(game, episodes), episodes)


def batch_intervals(game: BaseGame, episodes: Iterable[Episode]) -> dict[str, Interval]:
    """Intervals of the game's metrics over a batch, clustered by item and kept inside each metric's range."""
    clusters: dict[int, list[Score]] = {}
    for episode in episodes:
        clusters.setdefault(episode.group, []).append(episode.score)
    return over_items(list(clusters.values()), game.metrics, game.own_metrics)


# Training


def run(
    config: RunConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    listeners: Sequence[Listener] = (),
) -> Path:
    """Train as the config says and leave a run directory at `out`; returns `out`.

    resume: go on with the run that is there, from its newest checkpoint, bit by bit as if it had never stopped.
    listeners: called with each record once it is on disk (a tracker, say).
    Raises RunError when there is a run already (or none to resume), MissingExtra without torch. A failure inside
    the run is written into its record, then raised.
    """
    need_training()
    game = open_game(config.game)
    config, trainer = _prepare(config, game, out, resume)
    writer = _open_record(config, game, trainer, out, resume)
    writer.listeners = tuple(listeners)
    started = time.monotonic() - float(load_run(out).info.get("wall_s") or 0.0)
    try:
        with writer:
            _train(config, game, trainer, writer, progress or _quiet)
            writer.finish(**summary(game, out), wall_s=round(time.monotonic() - started, 3))
    except KeyboardInterrupt:
        mark_ended(out, "stopped", "interrupted", started)
        raise
    except Exception as error:  # marked and raised again
        mark_ended(out, "failed", reason_of(error), started)
        raise
    return out


def open_game(config: GameConfig) -> BaseGame:
    return load_game(config.name, config.patches, data=config.data, **config.params)


def _prepare(config: RunConfig, game: BaseGame, out: Path, resume: bool) -> tuple[RunConfig, Trainer]:
    """The config with everything decided (patches spelled out, threads, precision), and a trainer at its start."""
    from gamekeeper.policy.pocket import PocketPolicy
    from gamekeeper.train.compute import keep_memory, settle_precision, settle_threads
    from gamekeeper.train.grpo import Trainer

    if resume:
        config = resumed(config, game, out)
    keep_memory()
    threads = settle_threads(config.train.threads)
    train = replace(config.train, threads=threads, precision=settle_precision(config.train.precision))
    config = replace(config, train=train, game=spelled(config.game, game))
    policy = PocketPolicy.load(config.model)
    policy.model.use_precision(train.precision)
    reference = PocketPolicy.load(config.model).model if train.kl else None
    return config, Trainer(train, policy, reference)


def spelled(config: GameConfig, game: BaseGame) -> GameConfig:
    """Patches with their values and all parameters, defaults included."""
    return replace(config, patches=tuple(sorted(game.patches)), params=to_plain(game.params))


def resumed(config: Config, game: BaseGame, out: Path) -> Config:
    """The stored config, if the one asked for does not contradict it."""
    stored = from_mapping(type(config), load_run(out).info["config"])
    asked = replace(config, game=spelled(config.game, game))
    before, now = to_plain(stored), to_plain(asked)
    for name, auto in (("threads", 0), ("precision", "auto")):
        if now["train"][name] == auto:
            now["train"][name] = before["train"][name]
    differing = sorted(
        f"{part}.{key}" if isinstance(now[part], dict) else part
        for part in now
        for key in (now[part] if isinstance(now[part], dict) else [""])
        if (now[part][key] != before[part].get(key) if key else now[part] != before[part])
    )
    if differing:
        raise RunError(
            f"The run in {out} was started with other settings ({', '.join(differing)}), so it cannot go on with "
            "these. Leave them out, or give another --out."
        )
    return stored


def _open_record(config: RunConfig, game: BaseGame, trainer: Trainer, out: Path, resume: bool) -> RunWriter:
    from gamekeeper.train.checkpoint import restore

    if resume:
        return RunWriter.resume(out, restore(trainer, out / "checkpoints"))
    machine = {"device": "cpu", "threads": config.train.threads, "versions": versions()}
    return RunWriter.create(out, config, game.own_metrics, **run_info(game, config.seed), **machine)


def run_info(game: BaseGame, seed: int) -> dict[str, Any]:
    """What run.json says of a run from its start, whoever trains: the game, the seed, the command, the commit."""
    return {
        "game": about(game),
        "seed": seed,
        "command": shlex.join(["gamekeeper", *sys.argv[1:]]) if Path(sys.argv[0]).stem in _PROGRAM else None,
        "interval": INTERVAL_NOTE,
        "commit": commit(),
    }


def about(game: BaseGame) -> dict[str, Any]:
    """What a record says of its game."""
    return {
        "name": game.name,
        "level": game.level,
        "arm": arm_name(game),
        "question": game.question,
        "emergence": game.emergence,
        "bar": game.bar,
    }


def arm_name(game: BaseGame) -> str:
    """ "flawed", "secure", or the patches that are on."""
    if not game.patches:
        return "flawed"
    return "secure" if game.patches == game.arm("secure") else ",".join(sorted(game.patches))


def versions() -> dict[str, str]:
    """Versions of what numbers depend on besides this package."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "tokenizers", "numpy")}


def commit() -> str | None:
    """The commit of the checkout that this package is imported from; see `commit_of`."""
    return commit_of(Path(__file__).resolve().parent.parent)


def commit_of(package: Path) -> str | None:
    """The commit of the checkout that a package's folder is in, "-dirty" if the package differs; None outside of one.

    What else has changed there, records that are being made above all, does not make a result another one. An
    installed package may lie in a checkout of something else, which does not track it.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        changed = _git(package, "status", "--porcelain", "--", ".")
        return _git(package, "rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    asked = ["git", "-C", str(folder), *words]
    return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def _train(config: RunConfig, game: BaseGame, trainer: Trainer, writer: RunWriter, progress: Progress) -> None:
    from gamekeeper.train.checkpoint import save_checkpoint
    from gamekeeper.train.grpo import train

    checkpoints = writer.path / "checkpoints"
    if not writer.has(0, "eval"):
        _measure(config, game, trainer, writer, progress)
    for result in train(trainer, game, config.seed):
        seen = _record_step(game, result, writer, config)
        progress({"step": result.step, "steps": config.train.steps, "phase": "train", "metrics": seen})
        if config.eval.every and result.step % config.eval.every == 0 and result.step < config.train.steps:
            _measure(config, game, trainer, writer, progress)
        if result.step % config.train.checkpoint_every == 0 or result.step == config.train.steps:
            save_checkpoint(trainer, checkpoints, config.train.keep_checkpoints)
    if not writer.has(trainer.step, "eval"):
        _measure(config, game, trainer, writer, progress)


def _record_step(game: BaseGame, result: Any, writer: RunWriter, config: RunConfig) -> dict[str, float]:
    episodes = [_episode(r) for r in result.rollouts]
    metrics = game.metrics([e.score for e in episodes])
    if result.step % config.train.keep_rollouts_every == 0 or result.step == config.train.steps:
        writer.rollouts(result.step, "train", episodes)
    writer.metrics(result.step, "train", {**result.metrics, **metrics}, batch_intervals(game, episodes))
    return metrics


def _measure(config: RunConfig, game: BaseGame, trainer: Trainer, writer: RunWriter, progress: Progress) -> None:
    found = evaluate(game, trainer.policy, config.eval, config.seed, progress)
    writer.rollouts(trainer.step, "eval", found.rows)
    writer.metrics(trainer.step, "eval", found.metrics, found.intervals)


def summary(game: BaseGame, out: Path) -> dict[str, Any]:
    """What run.json says of a finished run: base, final, dynamics with their definitions."""
    record = load_run(out)
    base, final = record.base, record.final or record.base
    said: dict[str, Any] = {
        name: {"metrics": r.metrics, "intervals": r.intervals} for name, r in (("base", base), ("final", final)) if r
    }
    if base and game.emergence in base.metrics:
        found = dynamics(record.series(game.emergence), base.metrics[game.emergence], game.bar)
        said["dynamics"] = {**{k: getattr(found, k) for k in DEFINITIONS}, "definitions": found.definitions()}
    return said


def reason_of(error: Exception) -> str:
    """How a record names what ended a run."""
    return str(error) if isinstance(error, GamekeeperError) else f"{type(error).__name__}: {error}"


def mark_ended(out: Path, status: str, reason: str, started: float) -> None:
    """Write how a run ended, as far as the disk lets us; what raised it is raised by the caller all the same."""
    try:
        step = max((r.step for r in load_run(out).metrics), default=0)
        with RunWriter.resume(out, step) as writer:
            writer.finish(status, error=reason, wall_s=round(time.monotonic() - started, 3))
    except GamekeeperError:
        return
