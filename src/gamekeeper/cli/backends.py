"""Who trains: the native trainer, or TRL. Options of `run` that choose it, and one run by either."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console
from gamekeeper.errors import CheckFailed, UnknownName, UsageError

if TYPE_CHECKING:
    from gamekeeper.cli.planning import Leg
    from gamekeeper.games.base import BaseGame

NAMES = ("native", "trl")


@dataclass(frozen=True)
class Chosen:
    """What the options say of the trainer."""

    backend: Annotated[
        str,
        typer.Option(metavar="NAME", help="Who trains: native (pocket models) or trl (any Hugging Face model)."),
    ] = "native"
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --backend trl: settings of the paper. Known: paper.", show_default=False
        ),
    ] = None
    distil: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="With --backend trl: no GRPO; fine-tune the model on the rollouts of this run.",
            show_default=False,
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="With --backend trl: show all settings and check model and data; train nothing."
        ),
    ] = False
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also log to tensorboard, trackio or wandb, offline; may be repeated."),
    ] = None

    def __post_init__(self) -> None:
        if self.backend not in NAMES:
            raise UnknownName("backend", self.backend, NAMES)
        alone = [("--preset", self.preset), ("--distil", self.distil), ("--dry-run", self.dry_run)]
        if self.backend == "native" and (wrong := [name for name, given in alone if given]):
            raise UsageError(f"{wrong[0]} goes with --backend trl; the native trainer trains pocket models only.")
        trackers = self.track or ()
        if len(set(trackers)) < len(trackers):
            raise UsageError("--track names a tracker twice. Keep one of the two.")
        for name in trackers:
            from gamekeeper.adapters.tracking import check_tracker

            check_tracker(name)

    @property
    def rooms(self) -> dict[str, type]:
        """Settings that this trainer has besides train and eval."""
        if self.backend == "native":
            return {}
        from gamekeeper.adapters.trl.settings import TrlConfig

        return {"trl": TrlConfig}

    @property
    def config(self) -> type:
        if self.backend == "native":
            from gamekeeper.config import RunConfig

            return RunConfig
        from gamekeeper.adapters.trl.settings import TrlRunConfig

        return TrlRunConfig

    @property
    def said(self) -> dict[str, Any]:
        """Keys of the config that the options set."""
        known = {"preset": self.preset, "teacher": str(self.distil) if self.distil else None}
        return {k: v for k, v in known.items() if v is not None}

    def with_preset(self, tree: Mapping[str, Mapping[str, Any]], game: BaseGame) -> dict[str, dict[str, Any]]:
        """Settings with the preset's below them."""
        if self.preset is None:
            return {room: dict(values) for room, values in tree.items()}
        from gamekeeper.adapters.presets import settings_of

        return merged(settings_of(self.preset, game, tree), tree)


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of settings; where both set a value, the second holds."""
    out = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if both else value
    return out


def is_first() -> bool:
    """Whether this process speaks; under `accelerate launch` several run the same command."""
    return os.environ.get("RANK", "0") == "0"


def one_run(chosen: Chosen, config: Any, leg: Leg, game: BaseGame, meter: Any) -> None:
    """One leg by the chosen trainer. game: lends its judge, if it has one."""
    with ExitStack() as stack:
        trackers = stack.enter_context(_trackers(chosen, config, leg.out))
        more: dict[str, Any] = {"listeners": trackers} if trackers else {}
        if chosen.backend == "native":
            from gamekeeper.studies import runner

            runner.run(config, leg.out, resume=leg.begun, progress=meter, **more)
            return
        if config.teacher is not None:
            from gamekeeper.adapters.trl.distil import distil as train
        else:
            from gamekeeper.adapters.trl.backend import run as train
        train(config, leg.out, resume=leg.begun, progress=meter, judge=game.judge, **more)


@contextmanager
def _trackers(chosen: Chosen, config: Any, out: Path) -> Iterator[list[Any]]:
    if not chosen.track or not is_first():
        yield []
        return
    from gamekeeper.adapters.tracking import tracking

    with ExitStack() as stack:
        opened: list[Any] = []

        def listener(*record: Any) -> None:
            if not opened:  # not before there is a run: a model that is not there must leave nothing behind
                opened.extend(stack.enter_context(tracking(list(chosen.track or ()), out, config)))
            for tracker in opened:
                tracker(*record)

        yield [listener]


def show_dry_run(config: Any, game: BaseGame, as_json: bool) -> None:
    """Settings and findings; raises CheckFailed where the run could not go well."""
    from gamekeeper.adapters.trl.dryrun import arguments, dry_run
    from gamekeeper.studies.runner import spelled
    from gamekeeper.types import to_plain

    lines = dry_run(config, game)
    plain = to_plain(replace(config, game=spelled(config.game, game)))
    if not any(x.wrong and x.what == "settings" for x in lines):
        plain["as TRL is told"] = arguments(config, game)
    if as_json:
        rows = [{"what": x.what, "found": x.found, "wrong": x.wrong} for x in lines]
        console.print_json({"config": plain, "checks": rows})
    else:
        console.out(json.dumps(plain, indent=1))
        console.print_table(("", "", "found"), [("WRONG" if x.wrong else "ok", x.what, x.found) for x in lines])
    if wrong := [x.what for x in lines if x.wrong]:
        raise CheckFailed(f"The run would not go well: {', '.join(dict.fromkeys(wrong))}. See above.")
