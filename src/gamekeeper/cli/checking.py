"""`check`: the rules of a game, held against built-in and outside games alike, in every arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame
    from gamekeeper.games.conformance import CheckReport


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="GAME...", help="Games. Default: all, of outside packages too.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All games, as without a name.")] = False,
    patches: Annotated[
        str | None,
        typer.Option(
            metavar="PATCHES", help="One arm only. Default: flawed, secure, each patch alone.", show_default=False
        ),
    ] = None,
    data: options.Data = None,
    params: options.Params = None,
    items: Annotated[int, typer.Option(metavar="N", help="Items that each check plays.")] = 8,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Check that games keep the rules of a game.

    Exit code 1 if a check fails. With --json, one line for each arm of each game.

    \b
    Examples:
      gamekeeper check
      gamekeeper check tamper --patches secure
      gamekeeper check summary --data test.parquet --json
    """
    if names and everything:
        raise UsageError("--all and names of games exclude each other. Leave out one of the two.")
    if (data is not None or params) and len(names or ()) != 1:
        raise UsageError("--data and --param belong to one game; name it.")
    options.at_least("--items", items, 2)
    failed = total = 0
    for name, arm in _arms(names, patches):
        total += 1
        found = _checked(arm, options.open_game(name, arm, data, params), items, seed) if arm else _broken(name)
        failed += not found["ok"]
        _show(found, as_json)
    console.say(f"{failed} of {total} arms FAIL" if failed else f"all {total} arms pass")
    if failed:
        raise typer.Exit(1)


def _arms(names: Sequence[str] | None, patches: str | None) -> list[tuple[str, str]]:
    """(game, arm) in order; a patch set that has two names is checked once. A game that does not load has no arm."""
    from gamekeeper.registry import game_class, game_names

    found = []
    for name in dict.fromkeys(names or game_names()):
        try:
            cls = game_class(name)
        except UsageError:
            if names:
                raise
            found.append((name, ""))  # one broken package must not hide the other games
            continue
        sets: dict[frozenset[str], str] = {}
        for arm in [patches] if patches else ["flawed", "secure", *cls.patch_table]:
            sets.setdefault(cls.arm(arm), arm)
        found += [(name, arm) for arm in sets.values()]
    return found


def _checked(arm: str, game: BaseGame, items: int, seed: int) -> dict[str, Any]:
    from gamekeeper.games.conformance import check_game

    with console.interruptible("The arms after the last one shown were not checked."):
        return _as_record(arm, check_game(game, items=items, seed=seed))


def _as_record(arm: str, report: CheckReport) -> dict[str, Any]:
    checks = [{"name": c.name, "demands": c.demands, "ok": c.ok, "why": c.why} for c in report.checks]
    return {
        "game": report.game,
        "arm": arm,
        "patches": list(report.patches),
        "level": report.level,
        "ok": report.ok,
        "checks": checks,
    }


def _broken(name: str) -> dict[str, Any]:
    """The record of a game that does not load."""
    from gamekeeper.registry import game_class

    try:
        game_class(name)
    except UsageError as error:
        why = str(error)
    load = {"name": "loads", "demands": "The game's class can be imported.", "ok": False, "why": why}
    return {"game": name, "arm": None, "patches": [], "level": None, "ok": False, "checks": [load]}


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_json(found)
        return
    states = [c["ok"] for c in found["checks"]]
    counts = f"{states.count(True)} passed, {states.count(False)} failed, {states.count(None)} not applicable"
    console.out(f"{'ok  ' if found['ok'] else 'FAIL'}  {found['game']} {found['arm'] or ''}: {counts}")
    for failure in (c for c in found["checks"] if c["ok"] is False):
        console.out(f"      {failure['name']}: {failure['why']}")
        console.out(f"        demanded: {failure['demands']}")
