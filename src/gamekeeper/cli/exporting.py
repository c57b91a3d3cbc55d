"""`export`: games and runs written down for other tools."""

from __future__ import annotations

import typer

from gamekeeper.cli import clustering, inspecting, packaging

export = typer.Typer(rich_markup_mode=None)


@export.callback()
def _group() -> None:
    """Write games and runs down for other tools.

    \b
    Examples:
      gamekeeper export inspect runs/tamper-flawed-seed0
      gamekeeper export verl tamper tamper-verl --data DATA
      gamekeeper export check tamper-verl
    """


export.command("inspect")(inspecting.logs)
export.command("verifiers")(packaging.taskset)
export.command("verl")(clustering.verl)
export.command("check")(clustering.check)
