"""Put the corpus records of several auditors into the one that the docs show: docs/records/audit-corpus.json.

    python bench/audit_table.py OURS.json RIVAL.json ... [--alone OURS.json] [--out FILE]

The first is ours; `--alone` is ours too, from a run in which no right replies were handed over. Auditors are compared
over the cases that all of them looked at. What an auditor said of a case stays out of the record, and so do the cases
of the held-out part: whoever writes attacks may read it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_corpus import splits

OUT = Path(__file__).resolve().parent.parent / "docs" / "records" / "audit-corpus.json"
SHOWN = ("case", "kind", "family", "style", "outcome", "seconds")


def without_answers(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the cases that attack authors may see, and the counts of all."""
    rows = [{name: row[name] for name in SHOWN} for row in record["rows"] if not row["held_out"]]
    return {**record, "rows": rows}


def restricted(record: dict[str, Any], cases: set[str]) -> dict[str, Any]:
    """The record counted anew over some of its cases."""
    rows = [row for row in record["rows"] if row["case"] in cases]
    seconds = round(sum(row["seconds"] for row in rows), 1)
    return {**record, "cases": len(rows), "seconds": seconds, "splits": splits(rows), "rows": rows}


def merged(records: Sequence[dict[str, Any]], alone: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ours whole under `own`, and every auditor over the cases that all of them looked at."""
    common = set.intersection(*({row["case"] for row in r["rows"]} for r in records))
    if not common:
        raise SystemExit("The auditors have no case in common. Run each on the same part of the corpus.")
    shown = [without_answers(restricted(r, common)) for r in records]
    own = {"own": without_answers(records[0]), **({"alone": without_answers(alone)} if alone else {})}
    return {**own, "auditors": shown}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="+", type=Path)
    parser.add_argument("--alone", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    alone = json.loads(args.alone.read_text()) if args.alone else None
    found = merged([json.loads(path.read_text()) for path in args.records], alone)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
