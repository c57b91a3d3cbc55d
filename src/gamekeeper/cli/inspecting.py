"""`export inspect`: a run as logs that Inspect's viewer opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli import console, options


def logs(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the logs go. Default: inspect, in the run.", show_default=False),
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Also a log of each kept training batch.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a run's evaluations as Inspect logs.

    Needs the extra: pip install 'gamekeeper[inspect]'. Open them with: inspect view --log-dir DIR

    \b
    Examples:
      gamekeeper export inspect runs/tamper-flawed-seed0
      gamekeeper export inspect runs/tamper-flawed-seed0 --out logs --train
    """
    from gamekeeper.adapters.library import need

    need("inspect", "Writing Inspect logs")
    from gamekeeper.adapters.inspect.logs import write_logs

    files = write_logs(run, out or run / "inspect", train)
    if as_json:
        console.print_json([str(file) for file in files])
    else:
        for file in files:
            console.out(str(file))
