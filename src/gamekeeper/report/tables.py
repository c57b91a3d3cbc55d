"""The report's tables: metrics before and after, landmarks, configuration, where the run took place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamekeeper.report.text import count, label, listed, number, seconds, signed, span
from gamekeeper.report.view import Side, Value, kind, value_of
from gamekeeper.studies.dynamics import DEFINITIONS


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table; `clear` where it is set apart from the one that it is compared with."""

    value: str
    range: str = ""
    clear: bool = False


UNKNOWN = "not measured"
_KINDS = ("outcome", "game", "training", "timing")


def numbers(sides: Sequence[Side]) -> dict[str, Any]:
    """Every metric at the base and at the end, the change, and the intervals that are known."""
    names = {n for s in sides for r in s.ends if r is not None for n in r.metrics}
    order = list(sides[0].run.table)
    place = {n: (_KINDS.index(kind(n)), order.index(n) if n in order else len(order), n) for n in names}
    rows = []
    for name in sorted(names, key=place.__getitem__):
        cells = [cell for side in sides for cell in _cells(side, name)]
        rows.append({"label": label(name), "tip": tip(sides, name), "cells": cells})
    return {"rows": rows, "note": _numbers_note(sides)}


def tip(sides: Sequence[Side], name: str) -> str:
    """A metric's definition from the table that its run carries."""
    found = next((s.run.table[name] for s in sides if name in s.run.table), None)
    if found is None:
        return "not in the table of metrics"
    source = f" ({found.source})" if found.source else ""
    wanted = {"up": "; higher is better", "down": "; lower is better"}.get(found.better, "")
    return f"{found.formula}{wanted}{source}"


def _cells(side: Side, name: str) -> list[Cell]:
    first, last = (value_of(record, name) for record in side.ends)
    change = Cell("\u2013")
    if first is not None and last is not None:
        change = Cell(signed(last.value - first.value), clear=_apart(first, last))
    return [_cell(first), _cell(last), change]


def _cell(value: Value | None) -> Cell:
    if value is None:
        return Cell(UNKNOWN)
    return Cell(number(value.value), span(value.interval) if value.interval else "no interval")


def _apart(first: Value, last: Value) -> bool:
    if first.interval is None or last.interval is None:
        return False
    return first.interval[1] < last.interval[0] or last.interval[1] < first.interval[0]


def _numbers_note(sides: Sequence[Side]) -> str:
    ends = [r for s in sides for r in s.ends if r is not None]
    where = "Measured on test items."
    if not all(s.tested for s in sides):
        later = any(s.ends[1] for s in sides if not s.tested)
        where = "Without a later test: first and last training batch." if later else "Only the base has been tested."
    single = "Each run is one seed (n=1, no interval over seeds)."
    said = next((str(s.run.info["interval"]) for s in sides if s.run.info.get("interval")), "")
    known = any(r.intervals for r in ends)
    brackets = f"Brackets: {said or 'the interval recorded with the measurement'}." if known else ""
    bold = "Bold: the intervals before and after do not overlap." if known and any(s.ends[1] for s in sides) else ""
    return " ".join(part for part in (where, single, brackets, bold) if part)


def caption(sides: Sequence[Side]) -> str:
    """What the marks of the headline figure are, as far as this figure has them."""
    batches = [r for s in sides for r in s.run.metrics if r.phase == "train"]
    tests = [r for s in sides for r in s.run.metrics if r.phase == "eval"]
    parts = []
    if batches:
        shaded = any(r.intervals for r in batches)
        parts.append(
            f"Lines: the mean of each training batch, {'its interval shaded' if shaded else 'no interval recorded'}."
        )
    if tests:
        whiskers = any(r.intervals for r in tests)
        how = "whiskers their interval" if whiskers else "no interval recorded"
        parts.append(f"Dots: test items, {how}; step 0 is the base, before any update.")
    if any(s.dynamics and s.dynamics.domination is not None for s in sides):
        parts.append("Tinted: from the exploit's first appearance to its domination.")
    return " ".join(parts)


def dynamics(sides: Sequence[Side]) -> dict[str, Any]:
    """First appearance and domination with their definitions."""
    known = [s.dynamics for s in sides if s.dynamics is not None]
    if not known:
        return {"rows": [], "note": "The base was not measured, so there is nothing to judge an appearance by."}
    definitions = known[0].definitions()
    if len({d.bar for d in known}) > 1:
        definitions = {**definitions, "domination": DEFINITIONS["domination"].replace("{bar:g}", "the game's bar")}
        definitions["domination"] = definitions["domination"].replace("{hold}", str(known[0].hold))
    rows = [
        {"label": label(name), "tip": text, "cells": [_landmark(s, name) for s in sides]}
        for name, text in definitions.items()
    ]
    return {"rows": rows, "note": _dynamics_note(sides)}


def _landmark(side: Side, name: str) -> str:
    if side.dynamics is None:
        return "base not measured"
    step = getattr(side.dynamics, name)
    if step is not None:
        return str(step)
    if name == "steps_to_domination":
        return "\u2013"
    return "never" if side.over else "not yet"


def _dynamics_note(sides: Sequence[Side]) -> str:
    judged = []
    for side in sides:
        if side.dynamics is not None:
            what = label(side.emergence)
            ends = f"base {number(side.dynamics.base)}, bar {number(side.dynamics.bar)}"
            judged.append(f"{side.name}: {what}, {ends}" if len(sides) > 1 else f"{what}, {ends}")
    by = "; ".join(judged)
    return f"Judged by the batch values of the game's emergence metric ({by}). The definitions are this project's."


# The record


def config(sides: Sequence[Side]) -> dict[str, Any]:
    """Every resolved setting, with the ones that differ between runs marked."""
    return _side_by_side(sides, [_flat(s.run.info.get("config") or {}) for s in sides])


def provenance(sides: Sequence[Side]) -> dict[str, Any]:
    """Machine, versions, time: what a repetition would have to match."""
    return _side_by_side(sides, [_facts(s) for s in sides], mark=False)


def _facts(side: Side) -> dict[str, str]:
    info = side.run.info
    wall = info.get("wall_s")
    versions = info.get("versions")
    known = {
        "status": side.run.status,
        "created": info.get("created"),
        "wall time": seconds(float(wall)) if isinstance(wall, int | float) else None,
        "seed": info.get("seed"),
        "device": info.get("device"),
        "threads": info.get("threads"),
        "platform": info.get("platform"),
        "commit": info.get("commit"),
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, Mapping) else None,
        "directory": side.run.path.name,
    }
    return {k: str(v) for k, v in known.items() if v is not None}


def _flat(value: Any, where: str = "") -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        out: dict[str, str] = {}
        for key, inner in value.items():
            out.update(_flat(inner, f"{where}.{key}" if where else str(key)))
        return out
    return {where: value if isinstance(value, str) else json.dumps(value, default=str)} if where else {}


def _side_by_side(sides: Sequence[Side], columns: Sequence[Mapping[str, str]], mark: bool = True) -> dict[str, Any]:
    keys = list(dict.fromkeys(k for column in columns for k in column))
    rows = []
    for key in keys:
        cells = [column.get(key, "\u2013") for column in columns]
        rows.append({"label": key, "cells": cells, "differs": mark and len(set(cells)) > 1})
    return {"names": [s.name for s in sides] if len(sides) > 1 else ["value"], "rows": rows}


def rollouts_note(sides: Sequence[Side], shown: Sequence[int], totals: Sequence[int]) -> str:
    """How many of how many rollouts are on the page, and how they were chosen."""
    if not sum(totals):
        return "No rollout was recorded."
    each = [
        f"{a:,} of {count(b, 'recorded rollout')}{f' ({s.name})' if len(sides) > 1 else ''}"
        for s, a, b in zip(sides, shown, totals, strict=True)
    ]
    if list(shown) == list(totals):
        return f"All are here: {listed(each)}."
    return f"{listed(each)} are here, spread as evenly as possible over the steps and over exploited or not."
