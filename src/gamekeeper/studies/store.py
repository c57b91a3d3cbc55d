"""Where a study's work and records lie, found again by address. See docs/design/0006-studies.md.

    OUT/cells/NAME/              a cell's work          OUT/failed/NAME.json       why a cell failed
    RECORDS/STUDY/NAME.json      a finished cell        RECORDS/STUDY/study.json   the manifest: which cells, what for

Standard library only; nothing here runs anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamekeeper.errors import DataError, GamekeeperError
from gamekeeper.studies.cell_records import (
    MANIFEST,
    Record,
    apart,
    read_json,
    read_manifest,
    read_records,
    rounded,
    write_json,
)
from gamekeeper.studies.cells import FORMAT, Cell, address_of
from gamekeeper.studies.disk import disk_errors, lock
from gamekeeper.studies.record import load_run

Role = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """A cell of a study, and what it is there for: a few words that the study's tables go by."""

    role: Role
    cell: Cell


# The store


class Store:
    """Work and records of studies. `hold` keeps a second grid out of the same work."""

    def __init__(self, out: Path, records: Path | None = None) -> None:
        self.out, self.records = out, records or out / "records"
        self._found = read_records(self.records)
        self._handle = -1

    def hold(self) -> None:
        """Raises RunError while another grid works in the same folder, or where nothing can be written."""
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._handle = lock(self.out)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def record(self, address: str) -> Record | None:
        return self._found.get(address)

    def keep(self, study: str, cell: Cell, record: Record) -> None:
        """Write the record of a finished cell; what it failed of before is forgotten.

        A cell that was run again for its checkpoint alone keeps the record that it has; where it comes out otherwise
        than that, `differs` says so from now on.
        """
        with disk_errors(self.out):
            self._failure(cell).unlink(missing_ok=True)
        if cell.address in self._found:
            self._compare(cell, self._found[cell.address], record)
            return
        path = self.records / study / f"{cell.name}.json"
        whole = rounded({"format": FORMAT, "kind": cell.kind, "label": cell.label, "address": cell.address, **record})
        write_json(path, whole)
        self._found[cell.address] = {**whole, "path": str(path)}

    def _compare(self, cell: Cell, before: Record, now: Record) -> None:
        """Equal addresses mean equal results only for equal threads and on like machines."""
        note = self._note(cell)
        if how := _apart(before, now):
            write_json(note, {"differs": how})
        else:
            with disk_errors(self.out):
                note.unlink(missing_ok=True)

    def differs(self, cell: Cell) -> str:
        """How a checkpoint that was made again differs from its record; "" where it does not."""
        note = self._note(cell)
        return str(read_json(note).get("differs", "")) if note.is_file() else ""

    def _note(self, cell: Cell) -> Path:
        return self.folder(cell) / "remade.json"

    def fail(self, cell: Cell, error: str) -> None:
        write_json(self._failure(cell), {"label": cell.label, "address": cell.address, "error": error})

    def _failure(self, cell: Cell) -> Path:
        return self.out / "failed" / f"{cell.name}.json"

    def folder(self, cell: Cell) -> Path:
        """Where a cell works."""
        return self.out / "cells" / cell.name

    def checkpoint(self, cell: Cell) -> Path | None:
        """The folder of a finished cell's weights; None if they are not (or no longer) on this disk."""
        if cell.address not in self._found:
            return None
        own = checkpoint_in(self.folder(cell))
        return own or (self._run_beside(cell) if cell.kind == "train" else None)

    def _run_beside(self, cell: Cell) -> Path | None:
        """A run that `gamekeeper run` or an earlier grid made, if it is this cell to the last digit."""
        record = self._found[cell.address]
        for path in sorted({*self.out.parent.glob("*/run.json"), *self.out.parent.glob("*/*/run.json")}):
            found = checkpoint_in(path.parent)
            if found and _is_run_of(path.parent, record):
                return found
        return None

    # Manifests

    def plan(self, study: str, placed: Sequence[Placed], about: Mapping[str, Any]) -> dict[str, Any]:
        """Write the study's manifest. Cells that an earlier call planned stay; see `scope.other_settings`.

        A call that plans nothing new leaves the manifest as it is, with the command and the commit of the one that did.
        """
        before = self.planned(study)
        rows = {_row_key(row): row for row in before.get("cells", ())}
        for p in placed:
            row = {"address": p.cell.address, "label": p.cell.label, "role": dict(p.role)}
            rows[_row_key(row)] = row
        if before and list(rows.values()) == before["cells"]:
            return before
        whole = {"format": FORMAT, "study": study, **about, "cells": list(rows.values())}
        write_json(self.records / study / MANIFEST, whole)
        return whole

    def planned(self, study: str) -> dict[str, Any]:
        """The study's manifest; empty if there is none. Raises RunError if it cannot be read."""
        path = self.records / study / MANIFEST
        return read_manifest(path) if path.exists() else {}


def _row_key(row: Mapping[str, Any]) -> str:
    """One cell may have two places in a study: both arms of a game that has no patches are one run."""
    return json.dumps([row["address"], row["role"]], sort_keys=True)


def _apart(before: Record, now: Record) -> str:
    """The first measurement of two records of one cell that is not equal, in words; "" if all are."""
    found = next(apart(before, now), None)
    if found is None:
        return ""
    when, name, recorded, made = found
    parts = [f"{when} {name} {made}, by its record {recorded}"]
    parts += [
        f"{what} {now.get(what)}, by its record {before[what]}"
        for what in ("threads", "precision")
        if before.get(what) and before[what] != now.get(what)
    ]
    return "; ".join(parts)


def checkpoint_in(folder: Path) -> Path | None:
    """The finished checkpoint of a cell's folder or of a run directory; None if there is none.

    A run that was stopped has checkpoints too, of its way there: they are none of the finished cell's.
    """
    for run in (folder / "run", folder):
        if (run / "run.json").is_file():
            steps = sorted(int(p.name[5:]) for p in (run / "checkpoints").glob("step-*") if p.name[5:].isdigit())
            return run / "checkpoints" / f"step-{steps[-1]}" if steps and _is_finished(run) else None
    model = folder / "model"
    return model if (model / "model.safetensors").is_file() else None


def _is_finished(run: Path) -> bool:
    try:
        return load_run(run).status == "finished"
    except GamekeeperError:  # torn, or of another schema: whoever makes the cell again says what is wrong with it
        return False


def _is_run_of(folder: Path, record: Record) -> bool:
    try:
        info = load_run(folder).info
        if info.get("status") != "finished" or address_of("train", info["config"]) != record["address"]:
            return False
    except (GamekeeperError, KeyError, TypeError):  # some other run, of another schema or with weights that are gone
        return False
    ends = [rounded({k: (r.get(k) or {}).get("metrics") for k in ("base", "final")}) for r in (info, record)]
    return ends[0] == ends[1]


# Reading a study back


@dataclass(frozen=True, slots=True)
class Result:
    """A finished cell with its place in the study."""

    role: Role
    record: Record


@dataclass(frozen=True, slots=True)
class Results:
    """What is known of a study: its finished cells, and how many are missing.

    besides: records that the study made on its way, of bases that its cells start from.
    """

    study: str
    found: tuple[Result, ...]
    missing: int
    about: Mapping[str, Any]
    besides: tuple[Record, ...] = ()

    def of(self, **role: Any) -> list[Result]:
        """The results whose role has these values."""
        return [r for r in self.found if all(r.role.get(k) == v for k, v in role.items())]

    def values(self, key: str) -> list[Any]:
        """The distinct values of one word of the roles, in their order of appearance."""
        return list(dict.fromkeys(r.role[key] for r in self.found if key in r.role))


def read_results(records: Path, study: str) -> Results:
    """A study's results from its manifest; of a folder without one, from the records that it holds.

    Raises DataError if there is nothing, RunError if something cannot be read.
    """
    folder = records / study
    known = read_records(records)
    if (folder / MANIFEST).exists():
        about = read_manifest(folder / MANIFEST)
        rows = about["cells"]
        found = [Result(row["role"], known[row["address"]]) for row in rows if row["address"] in known]
        named = {row["address"] for row in rows}
        besides = [r for a, r in known.items() if a not in named and Path(r["path"]).parent == folder]
        return Results(study, tuple(found), len(rows) - len(found), about, tuple(besides))
    own = [r for r in known.values() if Path(r["path"]).parent == folder]
    if not own:
        raise DataError(f"There are no records of the study {study!r} in {folder}. Make them with: gamekeeper study")
    return Results(study, tuple(Result(_legacy_role(r), r) for r in own), 0, {})


def _legacy_role(record: Record) -> dict[str, Any]:
    game = record["game"]
    return {"game": game["name"], "arm": game["arm"], "seed": record["seed"]}
