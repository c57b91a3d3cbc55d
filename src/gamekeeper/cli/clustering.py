"""`export verl` and `export check`: a game written down for a cluster, and checked before it is launched."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamekeeper.cli import console, judging, options
from gamekeeper.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder; all nodes must see it.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Trained:
    """Which model, on how many rows, by whose settings."""

    model: Annotated[
        str, typer.Option(metavar="MODEL", help="A Hugging Face model: its name, or a folder that all nodes see.")
    ] = "Qwen/Qwen3-4B"
    preset: Annotated[str, typer.Option(metavar="NAME", help="Settings of the paper. Known: paper.")] = "paper"
    rows: Annotated[int, typer.Option(metavar="N", help="Generated training items, without --data.")] = 4096
    test_rows: Annotated[int, typer.Option(metavar="N", help="Generated test items, without --data.")] = 256
    seed: options.Seed = 0
    judge: judging.Url = None
    judge_model: judging.Model = None
    as_json: options.Json = False

    def rated(self, game: BaseGame) -> dict[str, str]:
        """The judge as the exported settings name it; raises UsageError when one is missing or one too many."""
        wanted = game.judged and game.level == "paper"
        if wanted and not (self.judge and self.judge_model):
            raise UsageError(f"{game.name!r} at paper level needs a judge: give --judge URL --judge-model NAME.")
        if self.judge and not wanted:
            raise UsageError("--judge goes with a game of the paper level whose replies a judge rates; leave it out.")
        return {"url": self.judge, "model": self.judge_model} if self.judge and self.judge_model else {}


@options.folded(Trained, options.Opened)
def verl(name: options.Name, out: Folder, how: Trained, opened: options.Opened) -> None:
    """Write a folder that verl trains on: rows, reward, agent loop, configuration, launch script.

    \b
    Examples:
      gamekeeper export verl tamper tamper-verl --data DATA --model Qwen/Qwen3-4B-Base
      gamekeeper export verl selfgrade sg-verl --patches audit=0.1
      gamekeeper export check sg-verl
    """
    from gamekeeper.adapters.verl.export import Export
    from gamekeeper.adapters.verl.export import export as write

    game = opened.open(name)
    files = write(game, out, Export(how.model, how.preset, how.rows, how.test_rows, how.seed, how.rated(game)))
    if how.as_json:
        console.print_json({"folder": str(out), "files": [p.name for p in files]})
    else:
        console.out(f"folder: {out} ({', '.join(p.name for p in files)})")
        console.out(f"check it where verl is installed: gamekeeper export check {out}")
        console.out(f"launch: sh {out / 'launch.sh'}")


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that export wrote.", show_default=False)],
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Count prompts by the tokenizer in this folder.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check an exported folder against the installed verl; no GPU is needed.

    Exit code 1 if something is wrong.

    \b
    Examples:
      gamekeeper export check tamper-verl
    """
    from gamekeeper.adapters.verl.check import check as look

    with redirect_stdout(sys.stderr):  # verl tells stdout what it does
        lines = look(folder, tokenizer)
    if as_json:
        console.print_json([{"what": x.what, "found": x.found, "wrong": x.wrong} for x in lines])
    else:
        console.print_table(("", "", "found"), [("WRONG" if x.wrong else "ok", x.what, x.found) for x in lines])
    if wrong := [x.what for x in lines if x.wrong]:
        raise CheckFailed(f"The folder would not train: {', '.join(wrong)}. See above.")
