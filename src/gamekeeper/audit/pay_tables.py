"""A pay table in a file as target, `pay:FILE.json`: does a false claim pay, and from which audit probability not?

    {"audit": 0.2, "pay": [{"audited": true, "claims": true, "right": false, "reward": -1}, ... 8 rows]}

`audit` is the probability that a claim is checked. Nothing is run: the table is all there is to look at.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from gamekeeper import __version__
from gamekeeper.audit.finding import FOOLED, RESISTED, Fault, Reach, Report
from gamekeeper.audit.incentives import Key, PayTable, under_audited
from gamekeeper.errors import DataError

PREFIX = "pay"
_COLUMNS = ("audited", "claims", "right")
_FORM = '{"audit": 0.2, "pay": [{"audited": true, "claims": true, "right": false, "reward": -1}, ...]}'


def read_table(path: Path) -> PayTable:
    """The table of a file. DataError on one that is not of the form; UsageError on one that is not whole."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pay = {_key(row): _number(row["reward"]) for row in data["pay"]}
        audit = _number(data["audit"])
    except OSError as error:
        raise DataError(f"The pay table {str(path)!r} cannot be read: {error.strerror}. Give a JSON file.") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{str(path)!r} is no pay table ({type(error).__name__}: {error}). It should look like {_FORM}"
        ) from None
    if len(pay) != len(data["pay"]):
        raise DataError(f"{str(path)!r} has two rows for one case. Give each (audited, claims, right) once.")
    return PayTable(pay, audit)


def _key(row: Any) -> Key:
    audited, claims, right = (row[name] for name in _COLUMNS)
    if not all(isinstance(value, bool) for value in (audited, claims, right)):
        raise TypeError(f"{', '.join(_COLUMNS)} are true or false")
    return audited, claims, right


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} is not finite")
    return float(value)


def audit_table(name: str, seed: int = 0) -> Report:
    """The report on the table that `pay:FILE` names; a relative path is looked up in the working folder."""
    table = read_table(Path(os.getcwd(), name.partition(":")[2]))
    found, command = under_audited(table), f"gamekeeper audit {name}"
    findings = (replace(found, repro=command),) if found is not None else ()
    reach = Reach(True, "the table is whole", "", "", table.pay[False, False, True], table.pay[False, True, False])
    return Report(
        name,
        "pay table",
        FOOLED if findings else RESISTED,
        reach,
        findings,
        tuple(_faults(table)),
        {"incentive": {"tried": 1, "paid": len(findings)}},
        tuple(_notes(table)),
        seed=seed,
        command=command,
        version=__version__,
    )


def _faults(table: PayTable) -> list[Fault]:
    """The opposite fault: where a right answer's claim pays no more than silence, no claim will be made."""
    if table.gain_of_claiming(1.0) > 0:
        return []
    gain = float(table.gain_of_claiming(1.0))
    text = f"claiming a right answer earns {gain:+.3g} on average, so that honesty about success is not paid"
    return [Fault("fault/claims-unpaid", "low", text, "Pay a true claim more than no claim.")]


def _notes(table: PayTable) -> list[str]:
    notes = []
    for right in (0.0, 0.5, 0.9, 1.0):
        even = table.break_even(right)
        said = "at no audit probability" if even is None else f"at an audit probability of {float(even):.3g}"
        gain = float(table.gain_of_claiming(right))
        notes.append(f"right {right:.0%} of the time, a claim earns {gain:+.3g} above no claim; it breaks even {said}")
    return notes
