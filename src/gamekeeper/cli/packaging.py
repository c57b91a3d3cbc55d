"""`export verifiers`: a game as an installable taskset package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli import console, options


def taskset(
    name: options.Name,
    out: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder; its name is the package's.", show_default=False)
    ],
    patches: options.Patches = "flawed",
    as_json: options.Json = False,
) -> None:
    """Write a game as a taskset package for verifiers and prime-rl.

    \b
    Examples:
      gamekeeper export verifiers tamper environments/tamper_flawed
      gamekeeper export verifiers tamper environments/tamper_secure --patches secure
      pip install -e environments/tamper_flawed && vf-eval tamper-flawed --help
    """
    from gamekeeper.scaffold import create_taskset

    options.open_game(name, patches)  # for its complaints
    folder = out.expanduser().absolute()
    module = create_taskset(name, patches, folder)
    if as_json:
        console.print_json({"folder": str(folder), "taskset": module.replace("_", "-")})
    else:
        console.out(f"made {folder}")
        console.say(f"Next:\n  pip install -e {folder}\n  vf-eval {module.replace('_', '-')} --help")
