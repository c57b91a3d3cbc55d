"""Records of cells and manifests of studies as files: read whole and checked, or refused in words.

A record may come from an older version, another machine or another hand, and every table is made of records. So what
cannot be one is never read as one: a number that is none, a share beyond its range, a measurement that lacks, an
address that is not its file's. Standard library only.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gamekeeper.errors import RunError
from gamekeeper.metrics import TABLE
from gamekeeper.studies.catalogue import STUDIES
from gamekeeper.studies.cells import FORMAT, KINDS, address_of
from gamekeeper.studies.disk import disk_errors, write_atomic

MANIFEST = "study.json"
Record = Mapping[str, Any]
_ADDRESS = re.compile("[0-9a-f]{64}")
_AGAIN = "Delete it, and its cell is run again."
# The measurements that a finished cell of a kind has; a student of no lesson has no end, which its record says by null.
_ENDS: Mapping[str, tuple[str, ...]] = {"train": ("base", "final"), "sft": ("base",), "eval": ("final",)}
_TELLING = ("reward", "truth", "itp", "er")
# Records hold five decimals: what is further beyond a range than that is no rounding.
_ROUNDING = 1e-5


# Records


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of finite numbers. Raises RunError if the file is torn or is something else."""
    try:
        value = json.loads(path.read_bytes(), parse_constant=_no_number, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}. {_AGAIN}") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no record. {_AGAIN}")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that a measurement can have")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


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
    named = "address" in record
    if not named:
        record["address"] = legacy_address(record, path)
        record["kind"], record["label"] = "train", path.stem
    curves = () if record.get("kind") == "eval" else ("curves",)
    lacking = [key for key in ("kind", "config", "seed", *curves) if key not in record]
    if lacking:
        raise RunError(f"{path} lacks {', '.join(lacking)}: half a record. {_AGAIN}")
    if named and not _is_of_name(record["address"], path):
        raise RunError(f"{path} has the address {record['address']!r}, which is not that of its name. {_AGAIN}")
    for fault in _faults(record):
        raise RunError(f"{path} is no record of a finished cell: {fault}. {_AGAIN}")
    return rounded(record)


def _is_of_name(address: Any, path: Path) -> bool:
    return isinstance(address, str) and bool(_ADDRESS.fullmatch(address)) and path.stem.endswith(f"-{address[:8]}")


def _faults(record: Record) -> Iterator[str]:
    """What keeps a record from being read, in words."""
    config, kind = record["config"], record["kind"]
    if kind not in KINDS:
        yield f"its kind is {kind!r}, not one of {', '.join(KINDS)}"
    elif not isinstance(config, Mapping):
        yield "its config is no object"
    elif not isinstance(record["seed"], int) or record["seed"] != config.get("seed", record["seed"]):
        yield f"its seed is {record['seed']!r}, which is not that of its config"
    elif not _is_number(record.get("wall_s", 0.0) or 0.0) or (record.get("wall_s") or 0.0) < 0:
        yield f"wall_s is {record['wall_s']!r}, not seconds"
    elif not _are_curves(record.get("curves", {})):
        yield "its curves are not lists of steps and values"
    else:
        yield from _faults_of_ends(record)


def _faults_of_ends(record: Record) -> Iterator[str]:
    for when in ("base", "final"):
        end = record.get(when)
        metrics = end.get("metrics") if isinstance(end, Mapping) else None
        if end is None and when not in _ENDS.get(record["kind"], ()):
            continue
        if not isinstance(metrics, Mapping) or not metrics:
            yield f"{when!r} holds no metrics"
            continue
        for name, value in metrics.items():
            if not _is_number(value):
                yield f"{when}: {name} is {value!r}, not a number"
            elif name in TABLE and not TABLE[name].low - _ROUNDING <= value <= TABLE[name].high + _ROUNDING:
                yield f"{when}: {name} is {value:g}, beyond {TABLE[name].low:g} to {TABLE[name].high:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_curves(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(curve, list)
        and all(isinstance(point, list) and len(point) == 2 and all(map(_is_number, point)) for point in curve)
        for curve in value.values()
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """Which cells a study has and what each is for. Raises RunError if it is torn, of another format or study."""
    try:
        found = _of_this_format(json.loads(path.read_bytes()), path)
        rows = [(row["address"], tuple(dict(row["role"]).items())) for row in found["cells"]]
        if len(set(rows)) < len(rows) or not all(role for _, role in rows):
            raise ValueError("it names a cell twice, or for nothing")
        if found.get("study", path.parent.name) != path.parent.name:
            raise ValueError(f"it is that of the study {found['study']!r}")
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
    for path in _files(folder):
        if path.name == MANIFEST or not _is_a_cells(path):
            continue
        record = _checked(read_json(path), path)
        other = found.get(record["address"])
        if other is None:
            found[record["address"]] = {**record, "path": str(path)}
        elif any(apart(other, record)):
            raise RunError(
                f"{other['path']} and {path} are records of one cell, and differ. Delete the one that is not to be "
                "believed, or both, and the cell is run again."
            )
    return found


def _files(folder: Path) -> list[Path]:
    """Raises RunError where a folder may not be looked into: what is there would count as missing."""
    if not folder.is_dir():
        return []
    rooms = [folder, *(p for p in folder.iterdir() if p.is_dir())] if os.access(folder, os.R_OK | os.X_OK) else [folder]
    for room in rooms:
        if not os.access(room, os.R_OK | os.X_OK):
            raise RunError(f"{room} may not be read. Give yourself the permission, or give another --records.")
    return sorted(folder.glob("*/*.json"))


def _is_a_cells(path: Path) -> bool:
    if path.parent.name in STUDIES or (path.parent / MANIFEST).exists():
        return True
    try:
        return {"format", "address"} <= set(read_json(path))
    except RunError:
        return False


def apart(one: Record, other: Record) -> Iterator[tuple[str, str, Any, Any]]:
    """Where two records of one cell differ: when, which metric, both values.

    By the metrics that every game has, which are hardly ever equal for unequal weights. A game's own may come later, or
    be read more sharply later, and say nothing then of what was run.
    """
    for when in ("base", "final"):
        ends = [rounded((r.get(when) or {}).get("metrics") or {}) for r in (one, other)]
        for name in _TELLING:
            if name in ends[0] and name in ends[1] and ends[0][name] != ends[1][name]:
                yield when, name, ends[0][name], ends[1][name]


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
