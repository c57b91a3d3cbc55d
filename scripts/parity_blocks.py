"""Generated parts about parity with the paper, from the record that scripts/parity.py makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doc_tables import table

RECORD = Path(__file__).resolve().parent.parent / "docs" / "records" / "parity.json"


def parity() -> str:
    """Formula by formula: how many cases agree with the oracle (scripts/parity.py)."""
    rows = [[r["game"], r["formula"], r["oracle"], f"{r['agree']} of {r['cases']}"] for r in _parity()["rows"]]
    return table(["game", "the paper's formula", "held against", "agree"], rows)


def parity_files() -> str:
    """What the public files hold."""
    rows = []
    for f in _parity()["files"]:
        kinds = [
            f"{n} {value}" for kind, found in f["counts"].items() if kind != "sources" for value, n in found.items()
        ]
        wrong = [f"{n}: {why}" for why, n in f["doubts"].items()]
        held = f"{'; '.join(kinds)}; {f['counts']['sources']} sources"
        rows.append([f["game"], f["split"], str(f["rows"]), str(f["duplicates"]), held, "; ".join(wrong) or "-"])
    return table(["game", "file", "rows", "repeat a prompt", "by kind", "doubtful"], rows)


def parity_undecidable() -> str:
    """The problems of the tamper game that no test can decide, with the reason."""
    reasons: dict[str, list[str]] = {}
    for found in _parity()["undecidable"]:
        reasons.setdefault(found["why"], []).append(f"`{found['item']}`")
    return table(["reason", "problems"], [[why, ", ".join(names)] for why, names in reasons.items()])


def _parity() -> dict[str, Any]:
    return json.loads(RECORD.read_text())
