"""The audit's records and the tables made of them: what is shown is what was counted, and nothing held out leaks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import audit_blocks

    monkeypatch.setattr(audit_blocks, "RECORDS", tmp_path)
    return audit_blocks


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    sys.modules.pop("audit_table", None)
    import audit_table

    return audit_table


def a_row(target: str, outcome: str, *findings: dict[str, Any], library: str = "gym 1.0") -> dict[str, Any]:
    return {
        "target": target, "library": library, "outcome": outcome, "reach": "no luck",
        "findings": list(findings), "faults": [{"id": "fault/strict", "severity": "low", "what": "x"}],
    }  # fmt: skip


def a_finding(cause: str, reply: str = "x") -> dict[str, Any]:
    return {"cause": cause, "severity": "high", "reply": [reply], "reward": 0.5, "honest": 1.0, "share": 0.25}


def test_the_field_report_counts_outcomes_and_verdicts(blocks: Any, tmp_path: Path) -> None:
    assert blocks.field_report("counts") == blocks.NO_RECORD
    rows = [
        a_row("gym:a", "fooled", a_finding("plain/null"), a_finding("plain/echo")),
        a_row("gym:b", "resisted"),
        a_row("gym:c", "could not look"),
    ]
    (tmp_path / "field.json").write_text(json.dumps({"rows": rows}))
    said = {"gym:a": {"plain/null": {"verdict": "hole", "known": "yes", "why": "it is"}}}
    (tmp_path / "field-verdicts.json").write_text(json.dumps(said))
    assert "| gym | 3 | 1 | 1 | 1 | 1 hole; 1 not checked by hand |" in blocks.field_report("counts")
    found = blocks.field_report("findings")
    assert "| `gym:a` | high `plain/null` | `x` | 0.5 of 1 | 25% | hole: it is | yes |" in found
    assert "not checked by hand | - |" in found
    assert "Resisted (1): `gym:b`." in blocks.field_report("others")
    assert "| `gym:c` | no luck |" in blocks.field_report("others")
    assert "| `fault/strict` | 3 |" in blocks.field_report("faults")
    assert blocks.field_report("versions") == "gym 1.0"


def test_a_verdict_for_a_library_holds_where_none_is_given(blocks: Any, tmp_path: Path) -> None:
    rows = [a_row("gym:a", "fooled", a_finding("plain/null"))]
    (tmp_path / "field.json").write_text(json.dumps({"rows": rows}))
    (tmp_path / "field-verdicts.json").write_text(json.dumps({"gym:*": {"plain/null": {"verdict": "by design"}}}))
    assert "by design" in blocks.field_report("findings")


def test_a_reply_cannot_break_the_table(blocks: Any, tmp_path: Path) -> None:
    rows = [a_row("gym:a", "fooled", a_finding("plain/hidden", "a|`b`\n\x1b[2J\u200b" + "w" * 200))]
    (tmp_path / "field.json").write_text(json.dumps({"rows": rows}))
    line = blocks.field_report("findings").splitlines()[-1]
    assert line.replace("\\|", "").count("|") == 8
    assert "\x1b" not in line
    assert len(line) < 250


def a_record(name: str, cases: int = 2) -> dict[str, Any]:
    counted = {"hits": 1, "of": 2, "interval": [0.1, 0.9]}
    split = dict.fromkeys(
        ("recall", "false alarms", "told apart", "could not look, and could have", "false clean"), counted
    )
    rows = [
        {"case": f"{n}:hole", "kind": "hole", "family": "f", "style": "s", "held_out": bool(n), "runs_code": n == 0,
         "outcome": "fooled", "note": "the payload", "seconds": 1.0, "id": str(n)}
        for n in range(cases)
    ]  # fmt: skip
    names = ("all", "seen", "held out", "runs programs", "reads replies", "family f", "style s")
    splits = dict.fromkeys(names, split)
    return {"auditor": name, "about": {"version": "1"}, "seconds": 1.0, "cases": cases, "splits": splits, "rows": rows}


def test_nothing_that_is_held_out_is_told(tables: Any) -> None:
    found = tables.merged([a_record("ours"), a_record("theirs")])
    text = json.dumps(found)
    assert "the payload" not in text
    assert [row["case"] for row in found["auditors"][0]["rows"]] == ["0:hole"]


def test_auditors_are_compared_over_the_cases_that_all_looked_at(tables: Any) -> None:
    found = tables.merged([a_record("ours", 4), a_record("theirs", 3)])
    assert [a["cases"] for a in found["auditors"]] == [3, 3]
    assert found["auditors"][0]["splits"]["all"]["recall"]["of"] == 3
    assert found["own"]["cases"] == 4
    with pytest.raises(SystemExit, match="no case in common"):
        tables.merged([a_record("ours", 0), a_record("theirs", 3)])


def test_the_corpus_table_has_every_auditor(blocks: Any, tables: Any, tmp_path: Path) -> None:
    assert blocks.audit_corpus("own") == blocks.NO_RECORD
    (tmp_path / "audit-corpus.json").write_text(json.dumps(tables.merged([a_record("ours"), a_record("theirs")])))
    found = blocks.audit_corpus("rivals")
    assert "2 graders, 2 of them with a hole, 1 of those held out" in found
    assert found.count("| 2 of 2 [0.34, 1.00] |") == 2
    assert "The held-out part of them:" in found
    assert found.partition("that run the reply as a program:")[2].count("| 1 of 1 [0.21, 1.00] |") == 2
    assert "| seen | 1 of 2 [0.10, 0.90] |" in blocks.audit_corpus("own")
    assert "| family | `f` |" in blocks.audit_corpus("families")
    assert "Without any" not in blocks.audit_corpus("own")
    both = tables.merged([a_record("ours"), a_record("theirs")], a_record("ours", 3))
    (tmp_path / "audit-corpus.json").write_text(json.dumps(both))
    assert "Without any: 3 graders" in blocks.audit_corpus("own")
    assert "the payload" not in json.dumps(both)
