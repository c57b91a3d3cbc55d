"""`export`: games and runs written down for other tools."""

from __future__ import annotations

import typer

from gamekeeper.cli import clustering, inspecting, packaging

export = typer.Typer(rich_markup_mode=None, help="Write games and runs down for other tools.")


@export.callback()
def _group() -> None:
    """Write games and runs down for other tools."""


export.command("inspect")(inspecting.logs)
export.command("verifiers")(packaging.taskset)
export.command("verl")(clustering.verl)
export.command("check")(clustering.check)
