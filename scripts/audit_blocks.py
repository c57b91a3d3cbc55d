"""Generated parts about the audit: how good it is on the labelled corpus, and what it found in public graders."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doc_tables import table

RECORDS = Path(__file__).resolve().parent.parent / "docs" / "records"
NO_RECORD = "*No record is committed yet.*"
FOOLED, COULD_NOT_LOOK = "fooled", "could not look"
UNCHECKED = {"verdict": "not checked by hand", "known": "-", "why": ""}


def kept(name: str) -> Any:
    path = RECORDS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


# The corpus


def audit_corpus(part: str) -> str:
    """`rivals`: every auditor over the cases that all looked at; `own` and `families`: ours over all that it did."""
    record = kept("audit-corpus")
    if record is None:
        return NO_RECORD
    made = {"rivals": _rivals, "own": _own, "families": _families}
    return made[part](record)


_COUNTED = ("recall", "false alarms", "told apart", "could not look, and could have", "false clean")


def _rivals(record: dict[str, Any]) -> str:
    cases, held = record["auditors"][0]["cases"], record["auditors"][0]["splits"]["held out"]["recall"]["of"]
    holes = record["auditors"][0]["splits"]["all"]["recall"]["of"]
    text = f"{cases} graders, {holes} of them with a hole, {held} of those held out:"
    held_out, programs = _compared(record, "held out"), _compared(record, "runs programs")
    text += f"\n\n{_compared(record, 'all')}\n\nThe held-out part of them:\n\n{held_out}"
    return f"{text}\n\nThose of them that run the reply as a program:\n\n{programs}"


def _compared(record: dict[str, Any], part: str) -> str:
    rows = [
        [a["auditor"], a["about"].get("version", ""), *(_share(a["splits"][part][n]) for n in _COUNTED)]
        for a in record["auditors"]
    ]
    return table(["auditor", "version", *_COUNTED], rows)


def _own(record: dict[str, Any]) -> str:
    whole = _parts(record["own"])
    if "alone" not in record:
        return whole
    return f"With a right reply for each example: {whole}\n\nWithout any: {_parts(record['alone'])}"


def _parts(own: dict[str, Any]) -> str:
    names = ("all", "seen", "held out", "runs programs", "reads replies")
    rows = [[name, *(_share(own["splits"][name][n]) for n in _COUNTED)] for name in names]
    return f"{own['cases']} graders, {own['seconds']:.0f} s:\n\n{table(['part', *_COUNTED], rows)}"


def _families(record: dict[str, Any]) -> str:
    rows = []
    for name, split in record["own"]["splits"].items():
        kind, _, word = name.partition(" ")
        if kind in ("family", "style"):
            rows.append([kind, f"`{word}`", _share(split["recall"]), _share(split["false alarms"])])
    return table(["", "", "recall", "false alarms"], rows)


def _share(counted: dict[str, Any]) -> str:
    low, high = counted["interval"]
    return f"{counted['hits']} of {counted['of']} [{low:.2f}, {high:.2f}]" if counted["of"] else "-"


# The field


def field_report(part: str) -> str:
    """`counts`, `versions`, `findings` (one row a finding), `others` (graders without one) or `faults`."""
    record = kept("field")
    if record is None:
        return NO_RECORD
    made = {"counts": _counts, "versions": _versions, "findings": _findings, "others": _others, "faults": _faults}
    return made[part](record["rows"])


def _counts(rows: Sequence[dict[str, Any]]) -> str:
    libraries = list(dict.fromkeys(r["library"].split()[0] for r in rows))
    out = []
    for name in libraries:
        own = [r for r in rows if r["library"].split()[0] == name]
        outcomes = Counter(r["outcome"] for r in own)
        verdicts = Counter(_verdict(r, f)["verdict"] for r in own for f in r["findings"])
        told = "; ".join(f"{n} {v}" for v, n in verdicts.most_common()) or "-"
        out.append([name, str(len(own)), *(str(outcomes[o]) for o in (FOOLED, "resisted", COULD_NOT_LOOK)), told])
    return table(["library", "graders", "fooled", "resisted", "could not look", "findings, by what the hand says"], out)


def _versions(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(r["library"] for r in rows))


def _verdict(row: dict[str, Any], finding: dict[str, Any]) -> dict[str, str]:
    """What a person said of a finding: of this one, else of all with its cause in the library, else nothing."""
    said = kept("field-verdicts") or {}
    for key in (row["target"], f"{row['target'].partition(':')[0]}:*"):
        for cause in (finding["cause"], "*"):
            if cause in said.get(key, {}):
                return {**UNCHECKED, **said[key][cause]}
    return UNCHECKED


def _findings(rows: Sequence[dict[str, Any]]) -> str:
    out = []
    for row in rows:
        for finding in row["findings"]:
            verdict = _verdict(row, finding)
            why = f": {verdict['why']}" if verdict["why"] else ""
            reply = _code("⏎---⏎".join(finding["reply"]))
            pay = f"{finding['reward']:.3g} of {finding['honest']:.3g}"
            out.append([
                f"`{row['target']}`", f"{finding['severity']} `{finding['cause']}`", reply, pay,
                f"{finding['share']:.0%}", f"{verdict['verdict']}{why}", verdict["known"],
            ])  # fmt: skip
    return table(["grader", "finding", "reply", "paid", "of examples", "checked by hand", "known before"], out)


def _code(text: str, most: int = 60) -> str:
    line = text.replace("\n", "⏎").replace("`", "'")
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    line = line if len(line) <= most else line[: most - 1] + "…"
    return f"`{line}`" if line.strip() else "*(blank)*"


def _others(rows: Sequence[dict[str, Any]]) -> str:
    resisted = [f"`{r['target']}`" for r in rows if r["outcome"] == "resisted"]
    blind = [[f"`{r['target']}`", r["reach"]] for r in rows if r["outcome"] == COULD_NOT_LOOK]
    text = f"Resisted ({len(resisted)}): {', '.join(resisted) or 'none'}."
    return f"{text}\n\n{table(['could not look', 'why'], blind)}" if blind else text


def _faults(rows: Sequence[dict[str, Any]]) -> str:
    found: dict[str, list[str]] = {}
    for row in rows:
        for fault in row["faults"]:
            found.setdefault(fault["id"], []).append(f"`{row['target']}`")
    return table(
        ["fault", "graders", ""],
        [[f"`{name}`", str(len(where)), ", ".join(where)] for name, where in sorted(found.items())],
    )
