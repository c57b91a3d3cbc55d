"""`report`: one page for one run, for several compared, or for a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import DataError, RunError


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories, folders of them, or one study.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: report.html beside the runs.", show_default=False)
    ] = None,
    records: Annotated[Path, typer.Option(metavar="DIR", help="Of a study: where its records are.")] = Path(
        "runs/studies/records"
    ),
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a report of runs, or of a study, as one HTML page.

    The page needs no network. Several runs are compared.

    \b
    Examples:
      gamekeeper report runs/tamper-both-seed0 --open
      gamekeeper report runs/a runs/b --out compared.html
      gamekeeper report emergence
      gamekeeper report transfer --records docs/records
    """
    from gamekeeper.report import write_report

    if len(runs) == 1 and _is_study(runs[0]):
        _study(str(runs[0]), records, out, show, as_json)
        return

    found = [run for folder in runs for run in _runs_in(folder)]
    path = Path(write_report(found, out or _beside(runs)))
    if as_json:
        console.print_json({"report": str(path), "runs": [str(r) for r in found]})
    else:
        console.out(f"report: {path}")
    if show:
        _open(path)


def _is_study(name: Path) -> bool:
    """A study is meant unless a folder of that name is there."""
    from gamekeeper.studies.catalogue import STUDIES

    return str(name) in STUDIES and not name.exists()


def _study(name: str, records: Path, out: Path | None, show: bool, as_json: bool) -> None:
    from gamekeeper.report.study import write_study
    from gamekeeper.studies.catalogue import study_of
    from gamekeeper.studies.store import read_results

    results = read_results(records, name)
    if not results.found:
        raise DataError(
            f"No cell of the study {name!r} is finished in {records}. Run them with: gamekeeper study {name}"
        )
    found = study_of(name).answer(results)
    path = write_study(found, out or records.parent / f"{name}.html")
    if as_json:
        console.print_json({"report": str(path), "study": name})
    else:
        console.out(f"report: {path}")
    if show:
        _open(path)


def _runs_in(folder: Path) -> list[Path]:
    """The folder itself if it is a run, else the runs that it holds."""
    if (folder / "run.json").exists():
        return [folder]
    if not folder.is_dir():
        raise RunError(
            f"{str(folder)!r} is not a directory. Give a run directory, as `gamekeeper run` prints it, "
            "or a study's name (see them with: gamekeeper study)."
        )
    inside = sorted(p.parent for p in folder.glob("*/run.json"))
    if not inside:
        raise RunError(f"{str(folder)!r} holds no run (no run.json, no */run.json). Make one with: gamekeeper run GAME")
    return inside


def _beside(folders: list[Path]) -> Path:
    if len(folders) == 1:
        return folders[0] / "report.html"
    parents = {f.resolve().parent for f in folders}
    return (parents.pop() if len(parents) == 1 else Path()) / "report.html"


def _open(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        console.say("No browser was found; open the file yourself.")
