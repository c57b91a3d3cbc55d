"""A report read back from its JSON, for `--verify-fix`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from gamekeeper.audit.finding import FORMAT, SEVERITIES, Fault, Finding, Reach, Report
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
                "findings": tuple(_replayable(Finding(**_tuples(Finding, f))) for f in data["findings"]),
                "faults": tuple(Fault(**_tuples(Fault, f)) for f in data["faults"]),
                "notes": tuple(data["notes"]),
                "layers": tuple(data["layers"]),
                "target": str(data["target"]),
                "seed": int(data["seed"]),
            }
        )
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"The report {str(path)!r} is incomplete: {error}. Run the audit again.") from None


def _tuples(cls: type, row: dict[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in known}


def _replayable(finding: Finding) -> Finding:
    """The finding, if it has what a replay reads. Raises TypeError on one that has not."""
    paid = (finding.reward, finding.honest_reward, finding.floor, finding.gain)
    for wanted, holds in (
        ("a pay of numbers", all(isinstance(p, int | float) and not isinstance(p, bool) for p in paid)),
        ("a list of replies", _texts(finding.replies)),
        ("the number of its example", isinstance(finding.example, int)),
        ("a severity that is known", finding.severity in SEVERITIES),
    ):
        if not holds:
            raise TypeError(f"the finding {finding.id!r} lacks {wanted}")
    return finding


def _texts(replies: Any) -> bool:
    return isinstance(replies, tuple) and bool(replies) and all(isinstance(reply, str) for reply in replies)
