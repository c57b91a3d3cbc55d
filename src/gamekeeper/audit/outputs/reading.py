"""A report read back from its JSON, for `--verify-fix`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from gamekeeper.audit.finding import FORMAT, Fault, Finding, Reach, Report
from gamekeeper.errors import DataError


def read_report(path: Path) -> Report:
    """Raises DataError on a file that is not a report of this format."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"The report {str(path)!r} cannot be read: {error}. Write one with: gamekeeper audit ... --json"
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DataError(
            f"{str(path)!r} is not a report of format {FORMAT}. Write one with: gamekeeper audit ... --json"
        )
    try:
        return Report(
            **{
                **{k: v for k, v in data.items() if k != "format"},
                "reach": Reach(**data["reach"]),
                "findings": tuple(Finding(**_tuples(Finding, f)) for f in data["findings"]),
                "faults": tuple(Fault(**_tuples(Fault, f)) for f in data["faults"]),
                "notes": tuple(data["notes"]),
                "layers": tuple(data["layers"]),
            }
        )
    except (TypeError, KeyError) as error:
        raise DataError(f"The report {str(path)!r} is incomplete: {error}. Run the audit again.") from None


def _tuples(cls: type, row: dict[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in known}
