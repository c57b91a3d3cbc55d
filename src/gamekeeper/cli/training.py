"""`run` and `pretrain`: a model is trained. `studies` does the work; this asks for it and shows it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import backends, console, isolating, judging, options
from gamekeeper.cli.planning import Asked, Leg, Plan, config_for, plan
from gamekeeper.cli.progress import Meter
from gamekeeper.errors import UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

CLOSING = ("reward", "itp", "er")

# run


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained, on which game, and where the run goes. None: what is stored, or else the default."""

    arm: Annotated[
        str | None, typer.Option(metavar="ARM", help="flawed, secure or both. Default: both.", show_default=False)
    ] = None
    patches: Annotated[
        str | None,
        typer.Option(metavar="PATCHES", help="One run with these patches, e.g. a,b=0.5.", show_default=False),
    ] = None
    params: options.Params = None
    data: options.Data = None
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of all that is drawn. Default: 0.", show_default=False)
    ] = None
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps.", show_default=False)] = None
    settings: options.Set = None
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="CPU threads. Default: chosen.", show_default=False)
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="pocket (the shipped model) or the directory of a checkpoint in the same format; "
            "with --backend trl any Hugging Face model. Default: pocket.",
            show_default=False,
        ),
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/GAME-ARM-seedN.", show_default=False)
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, with its settings.")] = False
    level: isolating.Level = None
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report at the end.")] = False
    as_json: options.Json = False

    def asked(self, name: str, chosen: backends.Chosen) -> Asked:
        given = options.game_params(name, self.params or ())
        shorthands = {"train.steps": self.steps, "train.threads": self.threads}
        tree = options.settings_tree(self.settings, shorthands, chosen.rooms)
        where: dict[str, Any] = {"out": self.out, "resume": self.resume, "backend": chosen.backend, "said": chosen.said}
        what: dict[str, Any] = {"seed": self.seed, "model": self.model, "data": self.data}
        return Asked(name, self.arm, self.patches, params=given, settings=tree, **what, **where)


@options.folded(Training, backends.Chosen, judging.Asked)
def run(
    ctx: typer.Context, name: options.Name, training: Training, chosen: backends.Chosen, rated: judging.Asked
) -> None:
    """Train a model on a game by GRPO and write a report.

    Without --arm and --patches the flawed and the secure game are played one after the other, with the same items,
    and compared in one report.

    \b
    Examples:
      gamekeeper run tamper
      gamekeeper run tamper --arm flawed --steps 30 --seed 1
      gamekeeper run selfgrade --patches audit=0.1 --param told=0.5 --set train.learning_rate=3e-4
      gamekeeper run tamper --backend trl --model Qwen/Qwen3-4B --data DIR --preset paper --dry-run
    """
    game = options.open_game(name, training.patches or "flawed", training.data, training.params)
    asked = training.asked(name, chosen)
    if chosen.backend == "native" and rated.judge is not None:
        raise UsageError("--judge goes with --backend trl; the native trainer trains pocket models on pocket items.")
    todo = plan(asked)
    if not any(leg.begun for leg in todo.legs):
        asked = replace(asked, settings=chosen.with_preset(asked.settings, game))
    config = config_for(asked, todo.legs, chosen.config)
    with rated.seated(game):
        if chosen.dry_run:
            return backends.show_dry_run(config, game, training.as_json)
        isolating.require_for(game, training.level)
        for leg in todo.legs:
            _one_run(chosen, config, leg, game, _again(ctx, todo.folder))
    if backends.is_first():
        _finish(todo, not training.no_report, training.as_json)
    return None


def _again(ctx: typer.Context, folder: Path) -> str:
    """The command that goes on with this run."""
    typed = [t for t in (ctx.find_root().obj or {}).get("typed", []) if t != "--resume"]
    if not any(t == "--out" or t.startswith("--out=") for t in typed):
        typed += ["--out", str(folder)]
    return f"Go on with: gamekeeper {shlex.join([*typed, '--resume'])}"


def _one_run(chosen: backends.Chosen, config: Any, leg: Leg, game: BaseGame, again: str) -> None:
    config = replace(config, game=replace(config.game, patches=tuple(sorted(leg.patches))))
    with ExitStack() as stack:
        stack.enter_context(console.interruptible(again))
        meter = Meter(f"{config.game.name} {leg.arm}", config.train.steps, shown=backends.is_first())
        stack.enter_context(meter)
        backends.one_run(chosen, config, leg, game, meter)


def _ends(path: Path) -> dict[str, Any]:
    """What a run measured before training and after."""
    from gamekeeper.studies.record import load_run

    record = load_run(path)
    ends = {"base": record.base, "final": record.final}
    return {k: {"metrics": dict(r.metrics), "intervals": dict(r.intervals)} if r else None for k, r in ends.items()}


def _closing_rows(end: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    base, final = ((end[k] or {"metrics": {}})["metrics"] for k in ("base", "final"))
    return [
        (f"{end['arm']} {k}", console.number(base.get(k)), console.number(final.get(k)))
        for k in CLOSING
        if k in base or k in final
    ]


def _finish(todo: Plan, with_report: bool, as_json: bool) -> None:
    """The closing table, then the report: if that fails, the numbers have been seen."""
    from gamekeeper.report import write_report

    ends = [{"arm": leg.arm, "path": str(leg.out), **_ends(leg.out)} for leg in todo.legs]
    if not as_json:
        console.print_table(("", ">base", ">final"), [row for end in ends for row in _closing_rows(end)])
    report = str(write_report([leg.out for leg in todo.legs], todo.folder / "report.html")) if with_report else None
    if as_json:
        console.print_json({"runs": ends, "report": report})
    else:
        console.out(f"report: {report}" if report else f"run: {todo.folder}")


# pretrain


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How long, from which seed, and where the model goes."""

    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model goes.")] = Path("pocket")
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps.", show_default=False)] = None
    seed: options.Seed = 0
    threads: Annotated[int, typer.Option(metavar="N", help="CPU threads. Default: chosen.", show_default=False)] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted pretraining.")] = False

    def __post_init__(self) -> None:
        if self.steps is not None:
            options.at_least("--steps", self.steps, 1)
        options.at_least("--threads", self.threads, 0)


@options.folded(Pretraining)
def pretrain(ctx: typer.Context, how: Pretraining) -> None:
    """Rebuild the pocket model from the honest corpus.

    \b
    Examples:
      gamekeeper pretrain --out pocket
      gamekeeper pretrain --out pocket --resume
    """
    from gamekeeper.studies import pretraining

    with console.interruptible(_again(ctx, how.out)), Meter("pretrain", how.steps) as meter:
        made = pretraining.pretrain(**{f.name: getattr(how, f.name) for f in fields(how)}, progress=meter)
    console.out(f"model: {made}")
