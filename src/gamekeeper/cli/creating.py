"""`new-game`: a package with a game of one's own, ready to be checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli import console


def new_game(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _.", show_default=False)],
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the package's folder goes.")] = Path(),
) -> None:
    """Start a game of your own.

    Writes an installable package with a small game that passes `gamekeeper check`, for you to change.

    \b
    Examples:
      gamekeeper new-game parrot
      gamekeeper new-game parrot --dir ~/games
    """
    from gamekeeper.scaffold import create

    made = create(name, folder)
    console.out(f"made {made}")
    console.say(f"Next:\n  pip install -e {made}\n  gamekeeper check {name}\n  gamekeeper play {name}")
