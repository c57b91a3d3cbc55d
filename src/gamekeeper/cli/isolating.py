"""`doctor` and `sandbox run`: the isolation of untrusted code, looked at and used on its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import CheckFailed, DataError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

sandbox = typer.Typer(rich_markup_mode=None)

Level = Annotated[
    str | None,
    typer.Option(
        "--require-isolation",
        metavar="LEVEL",
        help="Refuse to run untrusted code below: limits, filtered or full. Default: filtered (macOS: limits).",
        show_default=False,
    ),
]


def doctor(as_json: options.Json = False, level: Level = None) -> None:
    """Show which layers of isolation hold, each tried by an attack.

    Exit code 1 if a layer that is up lets an attack through, 3 if the level is below what is required.

    \b
    Examples:
      gamekeeper doctor
      gamekeeper doctor --require-isolation full --json
    """
    from gamekeeper.sandbox import layers
    from gamekeeper.sandbox.doctor import BROKEN, HOLDS, UNPROVED, examine

    wanted = layers.check_level(level) if level else layers.default_level()
    found = list(examine())
    held = [f.layer for f in found if f.state in (HOLDS, UNPROVED)]
    reached = layers.level_of(held)
    if as_json:
        rows = [{"layer": f.layer, "state": f.state, "detail": f.detail} for f in found]
        console.print_json({"level": reached, "required": wanted, "layers": rows})
    else:
        console.print_table(("layer", "state", ""), [(f.layer, f.state, f.detail) for f in found])
        console.out(f"\nisolation level: {reached} ({layers.PROMISES.get(reached, 'no program can be run')})")
        if reached != layers.LEVELS[-1]:
            console.out(f"for more: {layers.how_to_get(layers.missing(held, layers.LEVELS[-1]))}")
    if broken := [f.layer for f in found if f.state == BROKEN]:
        raise CheckFailed(f"These layers are up and let an attack through: {', '.join(broken)}. Please report it.")
    layers.require(held, {f.layer: f.detail for f in found}, wanted)


@sandbox.callback()
def _group() -> None:
    """Run programs that nobody trusts, on their own.

    \b
    Examples:
      gamekeeper sandbox run jobs.jsonl
    """


@sandbox.command("run")
def run(
    jobs: Annotated[
        str, typer.Argument(metavar="FILE", help="Lines of JSON, one job each; - is standard input.")
    ] = "-",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Cases at once. Default: one a core, at most 2.", show_default=False)
    ] = None,
    level: Level = None,
) -> None:
    """Grade programs in isolation: a job a line in, verdicts a line out.

    A job is {"program": SOURCE, "entry": "function f", "cases": [{"args": [2], "expected": 9}]}; docs/sandbox.md has
    the rest. Exit code 1 if a case of any job did not pass, 3 if one could not be run.

    \b
    Examples:
      gamekeeper sandbox run jobs.jsonl
      gamekeeper sandbox run - --require-isolation full < jobs.jsonl
    """
    from gamekeeper.sandbox import Sandbox
    from gamekeeper.sandbox.jobs import Tally, grade, read_jobs, report

    tally = Tally()
    with ExitStack() as stack:
        box = stack.enter_context(Sandbox(workers, require=level))
        stack.enter_context(console.interruptible("The jobs after the last line shown were not run."))
        for job in read_jobs(_opened(stack, jobs)):
            told = report(grade(box, job), box.level())
            tally.add(told)
            console.print_json(told)
    if code := tally.exit_code():
        raise typer.Exit(code)


def _opened(stack: ExitStack, name: str) -> TextIO:
    if name == "-":
        from gamekeeper.sandbox.jobs import standard_input

        return standard_input()
    path = Path(name)
    if not path.is_file():
        raise DataError(f"{name!r} is not a file. Give a file of jobs, one line of JSON each, or - for standard input.")
    return stack.enter_context(path.open(encoding="utf-8", errors="surrogateescape"))


def require_for(game: BaseGame, level: str | None) -> None:
    """Before a long run of a game that runs code: refuse below the level, and say so where there is little of it."""
    from gamekeeper.sandbox import require_isolation
    from gamekeeper.sandbox.layers import PROMISES, check_level

    if level is not None:
        check_level(level)
    if game.runs_code:
        reached = require_isolation(level)
        if reached == "limits":
            console.say(f"isolation: limits ({PROMISES[reached]})")
