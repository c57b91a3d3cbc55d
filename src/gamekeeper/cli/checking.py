"""`check`: the rules of a game, held against built-in and outside games alike, in every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import CouldNotLook, UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame
    from gamekeeper.games.conformance import CheckReport


@dataclass(frozen=True)
class Arms(options.Played):
    """Which arms are checked, on whose data."""

    patches: Annotated[
        str,
        typer.Option(
            metavar="PATCHES", help="One arm only. Default: flawed, secure, each patch alone.", show_default=False
        ),
    ] = ""

    def of(self, names: Sequence[str] | None) -> list[tuple[str, str]]:
        """(game, arm) in order; a patch set that has two names is there once. A game that does not load has no arm."""
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
            for arm in [self.patches] if self.patches else ["flawed", "secure", *cls.patch_table]:
                sets.setdefault(cls.arm(arm), arm)
            found += [(name, arm) for arm in sets.values()]
        return found


@dataclass(frozen=True, slots=True)
class Checking:
    """How thoroughly, and how it is told."""

    everything: Annotated[bool, typer.Option("--all", help="All games, as without a name.")] = False
    items: Annotated[int, typer.Option(metavar="N", help="Items that each check plays.")] = 8
    seed: options.Seed = 0
    as_json: options.Json = False


@options.folded(Checking, Arms)
def check(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="GAME...",
            help="Games. Default: all, of outside packages too.",
            default_factory=list,
            show_default=False,
        ),
    ],
    how: Checking,
    arms: Arms,
) -> None:
    """Check that games keep the rules of a game.

    With --data, first of all what the file holds: rows by source and judge, duplicates, rows that are no requests,
    problems that their tests cannot decide.

    Exit code 1 if a check fails; what a file holds is told, not judged. With --json, one line for the file and one
    for each arm of each game.

    \b
    Examples:
      gamekeeper check
      gamekeeper check tamper --patches secure
      gamekeeper check compliance --data train.parquet --split train --clean
      gamekeeper check summary --data test.parquet --json
    """
    if names and how.everything:
        raise UsageError("--all and names of games exclude each other. Leave out one of the two.")
    if (arms.data is not None or arms.params) and len(names) != 1:
        raise UsageError("--data and --param belong to one game; name it.")
    options.at_least("--items", how.items, 2)
    if arms.data is not None:
        show_data(replace(arms, patches="flawed").open(names[0]), arms.split, arms.limit, how.as_json)
    failed = total = 0
    for name, arm in arms.of(names):
        total += 1
        found = _checked(arm, replace(arms, patches=arm).open(name), how) if arm else _broken(name)
        failed += not found["ok"]
        _show(found, how.as_json)
    console.say(f"{failed} of {total} arms FAIL" if failed else f"all {total} arms pass")
    if failed:
        raise typer.Exit(1)


def show_data(game: BaseGame, split: str, limit: int | None, as_json: bool) -> None:
    """What the game's data file holds; raises CouldNotLook if that is nothing to play."""
    from gamekeeper.games.paper_report import describe

    report = describe(game, split, limit)
    if not report.items:
        raise CouldNotLook(f"{report.file} has no item to play. Give another file.")
    if as_json:
        console.print_json({"game": game.name, "data": report.to_json()})
        return
    console.out(f"{report.file}: {report.items} items of {report.rows} rows, {report.duplicates} repeat a prompt")
    counts = [
        (kind, value, str(n)) for kind, found in report.counts.items() for value, n in sorted(found.most_common())
    ]
    wrong = [(why, "played" if played else "left out", str(n)) for (why, played), n in report.reasons().items()]
    console.print_table(("rows by", "", ">rows"), counts)
    if wrong:
        console.print_table(("doubtful rows", "", ">rows"), wrong)
        console.out(
            f"first of them: {', '.join(f'row {d.row} ({d.item})' for d in report.doubts[:5])}; all with --json"
        )


def _checked(arm: str, game: BaseGame, how: Checking) -> dict[str, Any]:
    from gamekeeper.games.conformance import check_game

    with console.interruptible("The arms after the last one shown were not checked."):
        return _as_record(arm, check_game(game, items=how.items, seed=how.seed))


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

    why = "it loaded at the second attempt"
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
