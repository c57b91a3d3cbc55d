"""A report read back from its JSON, for `--verify-fix`.

The file comes from another job, another day or another hand. Each field is held to the type that its record declares,
so that one that is wrong is named, and fields that a later version added are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from sys import float_info
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gamekeeper.audit.finding import FORMAT, Fault, Finding, Reach, Report, severity_rank
from gamekeeper.errors import DataError, UnknownName

T = TypeVar("T")
_WRITE = "Write one with: gamekeeper audit ... --json"
_MOST_EXAMPLES = 100_000  # a replay makes a game's items up to the last that a finding is of


class _Odd(ValueError):
    """A value that is not what its field holds; the message says where and what."""


def read_report(path: Path) -> Report:
    """Raises DataError on a file that is not a report of this format."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"The report {str(path)!r} cannot be read: {error}. {_WRITE}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DataError(f"{str(path)!r} is not a report of format {FORMAT}. {_WRITE}")
    try:
        return _record(Report, data, "")
    except _Odd as odd:
        raise DataError(f"The report {str(path)!r} cannot be used: {odd}. Run the audit again. {_WRITE}") from None


def _record(cls: type[T], row: Any, where: str) -> T:
    if not isinstance(row, Mapping):
        raise _Odd(f"{where} is {_shown(row)}, not an object")
    hints, given = get_type_hints(cls), {}
    for f in fields(cls):  # type: ignore[arg-type]
        place = f"{where}.{f.name}".lstrip(".")
        if f.name in row:
            given[f.name] = _value(hints[f.name], row[f.name], place)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise _Odd(f"it has no {place!r}")
    if "severity" in given:
        _check_severity(given["severity"], where)
    if cls is Finding:
        _check_finding(given, where)
    return cls(**given)


def _check_finding(given: Mapping[str, Any], where: str) -> None:
    if not given["replies"]:
        raise _Odd(f"{where}.replies is empty, so that there is nothing to replay")
    if not 0 <= given["example"] < _MOST_EXAMPLES:
        raise _Odd(f"{where}.example is {_shown(given['example'])}, not the number of an example")


def _check_severity(name: str, where: str) -> None:
    try:
        severity_rank(name)
    except UnknownName as error:
        raise _Odd(f"{where}.severity: {error}".rstrip(".")) from None


def _value(hint: Any, value: Any, where: str) -> Any:
    """The value as the field's type has it: tuples for lists, records for objects."""
    if hint in _RECORDS:
        return _record(hint, value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise _Odd(f"{where} is {_shown(value)}, not a list")
        return tuple(_value(get_args(hint)[0], v, f"{where}[{n}]") for n, v in enumerate(value))
    if get_origin(hint) in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _Odd(f"{where} is {_shown(value)}, not an object")
        return {k: _value(get_args(hint)[1], v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(hint, UnionType):
        return None if value is None else _value(get_args(hint)[0], value, where)
    if not _FORMS[hint][0](value):
        raise _Odd(f"{where} is {_shown(value)}, not {_FORMS[hint][1]}")
    return value


def _shown(value: Any) -> str:
    return ascii(value)[:60]


_RECORDS = (Reach, Finding, Fault)
_FORMS: Mapping[type, tuple[Callable[[Any], bool], str]] = {
    str: (lambda v: isinstance(v, str), "a text"),
    bool: (lambda v: isinstance(v, bool), "true or false"),
    int: (lambda v: isinstance(v, int) and not isinstance(v, bool), "a whole number"),
    float: (lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= float_info.max, "a number"),
}
