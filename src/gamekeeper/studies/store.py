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

from gamekeeper.errors import DataError, GamekeeperError, RunError
from gamekeeper.studies.catalogue import STUDIES
from gamekeeper.studies.cells import FORMAT, Cell, address_of
from gamekeeper.studies.disk import disk_errors, lock, write_atomic
from gamekeeper.studies.record import load_run

MANIFEST = "study.json"
Record = Mapping[str, Any]
Role = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """A cell of a study, and what it is there for: a few words that the study's tables go by."""

    role: Role
    cell: Cell


# Records


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises RunError if the file is torn or is something else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. Delete it, and its cell is run again.") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no record. Delete it, and its cell is run again.")
    return value


def _of_this_format(value: dict[str, Any], path: Path) -> dict[str, Any]:
    version = value.get("format", FORMAT)
    if version != FORMAT:
        raise RunError(
            f"{path} has format {version!r}; this gamekeeper reads format {FORMAT}. Use the gamekeeper that wrote it, "
            "or give another --records."
        )
    return value


def _checked(record: dict[str, Any], path: Path) -> dict[str, Any]:
    _of_this_format(record, path)
    if "address" not in record:
        record["address"] = legacy_address(record, path)
        record["kind"], record["label"] = "train", path.stem
    curves = () if record.get("kind") == "eval" else ("curves",)
    lacking = [key for key in ("kind", "config", "seed", *curves) if key not in record]
    if lacking:
        raise RunError(f"{path} lacks {', '.join(lacking)}: half a record. Delete it, and its cell is run again.")
    return record


def read_manifest(path: Path) -> dict[str, Any]:
    """Which cells a study has and what each is for. Raises RunError if it is torn, or of another format."""
    try:
        found = _of_this_format(json.loads(path.read_bytes()), path)
        for row in found["cells"]:
            _ = row["address"], dict(row["role"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} cannot be read as a study's manifest ({error!r}). Delete it: the study's command writes it again, "
            "and no cell is lost."
        ) from None
    return found


def legacy_address(record: Record, where: Path) -> str:
    """The address of a run from before addresses, on the assumption that it started from the base shipped now."""
    config = record.get("config")
    if not isinstance(config, Mapping) or "game" not in config or "train" not in config:
        raise RunError(f"{where} holds neither an address nor a config. It is no record of a cell: move it away.")
    return address_of("train", config)


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """All records under a folder by address, each with the path that it was read from under "path".

    Records of other kinds may lie beside those of studies: a folder that is no study's is looked through, not judged.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*/*.json")) if folder.is_dir() else []:
        if path.name == MANIFEST or not _is_a_cells(path):
            continue
        record = _checked(read_json(path), path)
        found.setdefault(record["address"], {**record, "path": str(path)})
    return found


def _is_a_cells(path: Path) -> bool:
    if path.parent.name in STUDIES or (path.parent / MANIFEST).exists():
        return True
    try:
        return {"format", "address"} <= set(read_json(path))
    except RunError:
        return False


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(value, sort_keys=True, allow_nan=False) + "\n").encode())


def rounded(value: Any, digits: int = 5) -> Any:
    """JSON values with floats cut to `digits` decimals: records are committed, and more would say nothing."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, Mapping):
        return {k: rounded(v, digits) for k, v in value.items()}
    return [rounded(v, digits) for v in value] if isinstance(value, list | tuple) else value


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

        A cell that was run again for its checkpoint alone keeps the record that it has.
        """
        with disk_errors(self.out):
            self._failure(cell).unlink(missing_ok=True)
        if cell.address in self._found:
            return
        path = self.records / study / f"{cell.name}.json"
        whole = rounded({"format": FORMAT, "kind": cell.kind, "label": cell.label, "address": cell.address, **record})
        write_json(path, whole)
        self._found[cell.address] = {**whole, "path": str(path)}

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
        """Write the study's manifest. Cells that an earlier call planned stay if that call's settings were the same.

        A call that plans nothing new leaves the manifest as it is, with the command and the commit of the one that did.
        """
        path = self.records / study / MANIFEST
        rows = {
            p.cell.address: {"address": p.cell.address, "label": p.cell.label, "role": dict(p.role)} for p in placed
        }
        before = read_manifest(path) if path.exists() else {}
        if before.get("settings") == about["settings"]:
            rows = {**{row["address"]: row for row in before["cells"]}, **rows}
            if list(rows.values()) == before["cells"]:
                return before
        whole = {"format": FORMAT, "study": study, **about, "cells": list(rows.values())}
        if before != whole:
            write_json(path, whole)
        return whole


def checkpoint_in(folder: Path) -> Path | None:
    """The finished checkpoint of a cell's folder or of a run directory; None if there is none."""
    for run in (folder / "run", folder):
        if (run / "run.json").is_file():
            steps = sorted(int(p.name[5:]) for p in (run / "checkpoints").glob("step-*") if p.name[5:].isdigit())
            return run / "checkpoints" / f"step-{steps[-1]}" if steps else None
    model = folder / "model"
    return model if (model / "model.safetensors").is_file() else None


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
    """What is known of a study: its finished cells, and how many are missing."""

    study: str
    found: tuple[Result, ...]
    missing: int
    about: Mapping[str, Any]

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
        return Results(study, tuple(found), len(rows) - len(found), about)
    own = [r for r in known.values() if Path(r["path"]).parent == folder]
    if not own:
        raise DataError(f"There are no records of the study {study!r} in {folder}. Make them with: gamekeeper study")
    return Results(study, tuple(Result(_legacy_role(r), r) for r in own), 0, {})


def _legacy_role(record: Record) -> dict[str, Any]:
    game = record["game"]
    return {"game": game["name"], "arm": game["arm"], "seed": record["seed"]}
