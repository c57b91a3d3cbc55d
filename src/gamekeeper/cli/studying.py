"""`study`: a whole grid, resumed where it stopped, and its answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.cli.progress import Meter
from gamekeeper.errors import RunError, UnknownName, UsageError

if TYPE_CHECKING:
    from gamekeeper.studies.findings import Findings
    from gamekeeper.studies.grid import Executor, News, Outcome
    from gamekeeper.studies.scope import Scope, Study
    from gamekeeper.studies.store import Placed, Store

OUT = Path("runs/studies")
_MOST_SEEDS = 1000


@dataclass(frozen=True, slots=True)
class Grid:
    """Which cells, and how large their runs are."""

    seeds: Annotated[
        str | None, typer.Option(metavar="SEEDS", help="E.g. 0-4 or 0,3. Default: the study's own.", show_default=False)
    ] = None
    games: Annotated[
        str | None, typer.Option(metavar="GAMES", help="Names with commas. Default: all four.", show_default=False)
    ] = None
    size: Annotated[str, typer.Option(metavar="SIZE", help="pocket, or quick: minutes, and no findings.")] = "pocket"
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The base: pocket or a checkpoint. Default: pocket.", show_default=False),
    ] = None
    settings: options.Set = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the cells and what they will cost.")] = False


@dataclass(frozen=True, slots=True)
class Where:
    """Where the work is done, and where the records go."""

    workers: Annotated[int, typer.Option(metavar="N", help="Cells at once, one process each.")] = 2
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Spread over this Ray cluster; auto finds one.", show_default=False),
    ] = None
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where cells work.")] = OUT
    records: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where records go. Default: DIR/records.", show_default=False)
    ] = None


@options.folded(Grid, Where)
def study(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study's name; without one, they are listed.")
    ] = None,
    as_json: options.Json = False,
    *,
    grid: Grid,
    where: Where,
) -> None:
    """Run a study and answer its question.

    A finished cell is never run twice. Stopped or killed, the same command goes on; more seeds add their cells.

    \b
    Examples:
      gamekeeper study
      gamekeeper study emergence --dry-run
      gamekeeper study emergence --seeds 0-4 --workers 2
      gamekeeper study catalysis --games tamper,selfgrade --seeds 0
    """
    if name is None:
        _listed(as_json)
        return
    from gamekeeper.studies.catalogue import study_of

    options.at_least("--workers", where.workers, 1)
    chosen = study_of(name)
    scope = _scope(chosen, grid)
    store = _store(where.out, where.records)
    _refuse_mixing(chosen, scope, store)
    placed = list(chosen.place(scope))
    if grid.dry_run:
        _show_plan(placed, store, where.workers, as_json)
        return
    about = {"settings": scope.settings(), "command": call_for_records((ctx.find_root().obj or {}).get("typed", []))}
    go_on = f"Finished cells are kept. Go on with the same command: gamekeeper study {name} ..."
    with console.interruptible(go_on), console.terminable(go_on):
        outcome = _run(chosen, placed, about, store, where)
    _finish(chosen, store, outcome, as_json)


_OF_THIS_MACHINE = ("--out", "--ray")


def call_for_records(typed: Sequence[str]) -> str:
    """The call for the records: without where on this machine, or on which cluster, its cells worked."""
    import shlex

    words, kept = iter(typed), []
    for word in words:
        if word in _OF_THIS_MACHINE:
            next(words, None)
        elif word.partition("=")[0] not in _OF_THIS_MACHINE:
            kept.append(word)
    return f"gamekeeper {shlex.join(kept)}"


def _listed(as_json: bool) -> None:
    from gamekeeper.studies.catalogue import STUDIES, study_of

    found = [study_of(name) for name in STUDIES]
    if as_json:
        console.print_json([{"name": s.name, "question": s.question, "how": s.how} for s in found])
    else:
        console.print_table(("study", "question"), [(s.name, s.question) for s in found])


# What is asked for


def _scope(study: Study, grid: Grid) -> Scope:
    from gamekeeper.config import EvalConfig, SftConfig, TrainConfig, from_mapping
    from gamekeeper.studies.scope import SIZES
    from gamekeeper.types import to_plain

    if grid.size not in SIZES:
        raise UnknownName("size", grid.size, SIZES)
    scope = SIZES[grid.size]
    tree = options.settings_tree(grid.settings, {}, {"sft": SftConfig})
    made: dict[str, Any] = {
        room: from_mapping(cls, {**to_plain(getattr(scope, room)), **tree[room]}, room)
        for room, cls in (("train", TrainConfig), ("eval", EvalConfig), ("sft", SftConfig))
    }
    chosen = _games(study, grid.games)
    given = study.seeds if grid.seeds is None else seeds_in(grid.seeds)
    asked = replace(scope, games=chosen, seeds=given, model=grid.model or scope.model, **made)
    for text in grid.settings or ():
        _refuse_unused(study, text.partition("=")[0].strip(), asked, scope)
    return asked


# They change how a cell works, and not what comes out.
_OF_THE_WORK = ("train.checkpoint_every", "train.precision")


def _refuse_unused(study: Study, key: str, asked: Scope, before: Scope) -> None:
    """A setting that changes no cell would be believed to have been tried."""
    from gamekeeper.studies.scope import same_cells

    room, _, field = key.partition(".")
    usual = getattr(getattr(before, room), field)
    if key in _OF_THE_WORK or getattr(getattr(asked, room), field) == usual:
        return
    without = replace(asked, **{room: replace(getattr(asked, room), **{field: usual})})
    if same_cells(study, asked, without):
        raise UsageError(
            f"--set {key} changes nothing in the study {study.name!r}, which settles it itself. Leave it out."
        )


def _refuse_mixing(study: Study, scope: Scope, store: Store) -> None:
    """Cells of other settings in one table would be averaged as if they were seeds."""
    from gamekeeper.studies.scope import other_settings

    before = store.planned(study.name)
    if other := other_settings(study, scope, before.get("cells", ())):
        made = f" (made by: {before['command']})" if before.get("command") else ""
        raise UsageError(
            f"{store.records / study.name} is of other settings, another base or another version of a game{made}: "
            f"{len(other)} of its {len(before['cells'])} cells, {other[0]} among them, would be others now, and a "
            "table must not mix them. Give these an --out or --records of their own, or the settings of that time."
        )


def _games(study: Study, given: str | None) -> tuple[str, ...]:
    if given is None:
        return study.games
    from gamekeeper.registry import game_class

    names = tuple(dict.fromkeys(n.strip() for n in given.split(",") if n.strip()))
    for name in names:
        game_class(name)
    if len(names) < study.least:
        raise UsageError(f"The study {study.name!r} compares games: --games needs {study.least} of them at least.")
    if len(study.games) == 1 and names != study.games:
        raise UsageError(f"The study {study.name!r} is about {study.games[0]} alone. Leave out --games.")
    if not names:
        raise UsageError("--games names no game. See them with: gamekeeper list")
    return names


def seeds_in(text: str) -> tuple[int, ...]:
    """ "0-2,5" as (0, 1, 2, 5). Raises UsageError for anything else."""
    out: list[int] = []
    for part in text.split(","):
        start, mark, end = part.strip().partition("-")
        if not start.isdecimal() or (mark and not end.isdecimal()):
            raise UsageError(f"--seeds {text!r} is not of the form 0-4 or 0,3,7.")
        first, last = int(start), int(end or start)
        if last < first or last - first >= _MOST_SEEDS:
            raise UsageError(f"--seeds {part.strip()!r} must rise, over fewer than {_MOST_SEEDS} seeds.")
        out += range(first, last + 1)
    return tuple(dict.fromkeys(out))


def _store(out: Path, records: Path | None) -> Store:
    from gamekeeper.studies.store import Store

    for folder in (out, records):
        if folder is not None and (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            what = "a file" if folder.exists() else "a link to nothing"
            raise UsageError(f"{str(folder)!r} is {what}. Give a folder.")
    return Store(out, records)


# Dry run


def _show_plan(placed: Sequence[Placed], store: Store, workers: int, as_json: bool) -> None:
    from gamekeeper.studies.grid import expected_seconds, left_to_do

    todo = left_to_do([p.cell for p in placed], store)
    seconds = {c.address: expected_seconds(c) for c in todo}
    total = sum(seconds.values())
    if as_json:
        rows = [{"name": c.name, "kind": c.kind, "expected_s": round(seconds[c.address], 1)} for c in todo]
        console.print_json({"cells": len(placed), "to_do": rows, "expected_s": round(total / workers)})
        return
    console.print_table(("cell", "kind", ">about, s"), [(c.name, c.kind, f"{seconds[c.address]:.0f}") for c in todo])
    found = sum(store.record(p.cell.address) is not None for p in placed)
    console.out(
        f"{len(placed)} cells, {found} of them finished; {len(todo)} to run (checkpoints that others need among them): "
        f"about {total / 60 / workers:.0f} minutes with {workers} workers that have a core each"
    )


# Running


def _run(study: Study, placed: Sequence[Placed], about: dict[str, Any], store: Store, where: Where) -> Outcome:
    from gamekeeper.studies.grid import run_grid
    from gamekeeper.studies.runner import commit, need_training

    need_training()
    store.hold()
    try:
        store.plan(study.name, placed, {**about, "commit": commit()})
        executor = _executor(store, where)
        with ExitStack() as stack:
            meter = stack.enter_context(Meter(study.name, 1.0))
            return run_grid(study.name, [p.cell for p in placed], store, executor, lambda news: _heard(meter, news))
    finally:
        store.close()


def _executor(store: Store, where: Where) -> Executor:
    if where.ray is not None:
        from gamekeeper.studies.spread import Spread

        return Spread(where.ray)
    from gamekeeper.studies.pool import Pool

    return Pool(where.workers, store.out / "logs")


def _heard(meter: Meter, news: News) -> None:
    meter.label = f"{news.done}/{news.cells} cells"
    meter.total = 1.0
    meter.to(news.share)
    if news.what == "at" or (news.what == "started" and sys.stderr.isatty()):
        return
    left = "" if news.left is None else f", about {news.left / 60:.0f} min left"
    end = f": {news.value}" if news.what == "failed" else ""
    console.say(f"{news.done}/{news.cells} {news.cell.label} {news.what}{left}{end}")


# The answer


def _finish(study: Study, store: Store, outcome: Outcome, as_json: bool) -> None:
    from gamekeeper.report.study import write_study
    from gamekeeper.studies.store import read_results

    results = read_results(store.records, study.name)
    lost = {**outcome.failed, **outcome.waiting}
    for label, how in outcome.remade.items():
        console.say(f"{label}: its checkpoint was made again and differs from its record ({how})")
    page = None
    if results.found:
        answer = study.answer(results)
        if not as_json:
            show(answer)  # before the page, which a full disk may refuse
        page = write_study(answer, store.out / f"{study.name}.html")
    if as_json:
        from gamekeeper.report.study import plain

        whole = plain(answer) if results.found else None
        parts = {"ran": outcome.ran, "found": outcome.found, "failed": outcome.failed, "waiting": outcome.waiting}
        console.print_json({"study": study.name, **parts, "report": str(page) if page else None, "findings": whole})
    elif page:
        console.out(f"report: {page}")
    if lost:
        listed = "; ".join(f"{name}: {why}" for name, why in list(lost.items())[:5])
        raise RunError(
            f"{len(outcome.failed)} cells failed, {len(outcome.waiting)} wait for one of them ({listed}). The others "
            f"are kept. Repair the cause, then give the same command again; all errors: {store.out / 'failed'}"
        )


def show(answer: Findings) -> None:
    """Tables and verdicts as text."""
    from gamekeeper.report.study_text import verdict_table

    for table in (*answer.tables, *([verdict_table(answer)] if answer.verdicts else [])):
        console.out(f"\n{table.title}")
        for line in columns_of([table.columns, *table.rows]):
            console.out(line)
    console.out("")
    for note in answer.notes:
        console.out(note)


def columns_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, as long as they need to be: an interval must not be broken."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
