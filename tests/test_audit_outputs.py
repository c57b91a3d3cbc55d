"""What an audit leaves for people and for machines: every form is well formed, whatever the reply is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.audit.finding import COULD_NOT_LOOK, FOOLED, RESISTED, Fault, Finding, Reach, Report
from gamekeeper.audit.outputs.junit import junit
from gamekeeper.audit.outputs.page import page
from gamekeeper.audit.outputs.reading import read_report
from gamekeeper.audit.outputs.sarif import sarif
from gamekeeper.audit.outputs.text import lines
from gamekeeper.errors import DataError

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-schema-2.1.0.json").read_text())
EVIL = "</pre><script>alert(1)</script>&\"'\x00\x1b[2J\ud800\u202e]]>"
FINDING = Finding(
    "answer/hedge:or", "answer", "medium", "the right value among wrong ones is paid", "Demand one.", 3, (EVIL,), 1.0,
    1.0, 0.0, 1.0, 0.5, ("answer/hedge:blanks",), ("MA02",), EVIL, f"gamekeeper audit 'x y' # {EVIL}",
)  # fmt: skip
FAULT = Fault("fault/chance", "low", "the same reply is paid differently: by chance", "Seed it.", 0, (EVIL,))
REPORT = Report(
    "pkg/grader.py:reward", "function", FOOLED, Reach(True, "right replies are paid more", "(a=b)", "plain", 1.0, 0.0),
    (FINDING,), (FAULT,), {"answer": {"tried": 9, "paid": 2}, "plain": {"tried": 5, "paid": 0}}, ("a note <b>",), 4, 99,
    1.5, command="gamekeeper audit x", version="0.1",
)  # fmt: skip
BLIND = Report("m:f", "function", COULD_NOT_LOOK, Reach(False, "no answer", needs="Supply replies."), version="0.1")
CLEAN = replace(REPORT, outcome=RESISTED, findings=(), faults=())


def with_reply(text: str) -> Report:
    return replace(REPORT, findings=(replace(FINDING, replies=(text,), evidence=text, what=text or "x", repro=text),))


@pytest.mark.parametrize("report", [REPORT, BLIND, CLEAN, replace(REPORT, target="/abs/g.py:f")])
def test_sarif_is_valid(report: Report) -> None:
    document = json.loads(json.dumps(sarif(report)))
    jsonschema.Draft4Validator(SCHEMA).validate(document)


def test_the_schema_refuses_what_is_no_sarif() -> None:
    document = sarif(REPORT)
    document["runs"][0]["results"][0]["level"] = "dreadful"
    with pytest.raises(jsonschema.ValidationError, match="dreadful"):
        jsonschema.Draft4Validator(SCHEMA).validate(document)


def test_sarif_says_what_and_where(tmp_path: Path) -> None:
    grader = tmp_path / "g.py"
    grader.write_text("import re\n\n\ndef reward(c, a):\n    return 1.0\n")
    [run] = sarif(replace(REPORT, target=f"{grader}:reward"))["runs"]
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    assert rules == ["answer/hedge", "fault/chance"]
    assert [(r["ruleId"], r["ruleIndex"], r["level"]) for r in run["results"]] == [
        ("answer/hedge", 0, "warning"),
        ("fault/chance", 1, "note"),
    ]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == (grader.as_uri(), 4)
    assert run["results"][0]["properties"]["repro"] == FINDING.repro


def test_could_not_look_is_never_a_success() -> None:
    [run] = sarif(BLIND)["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "Supply replies." in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    suite = ElementTree.fromstring(junit(BLIND)).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")
    assert BLIND.exit_code() == 3


def test_junit_fails_the_families_that_count() -> None:
    root = ElementTree.fromstring(junit(REPORT, "medium"))
    cases = {c.get("name"): [e.tag for e in c] for c in root.iter("testcase")}
    assert cases == {"reach": [], "answer": ["failure"], "plain": [], "fault/chance": ["system-out"]}
    assert 'failures="1"' in junit(REPORT, "medium")
    assert 'failures="0"' in junit(REPORT, "high")
    assert 'failures="2"' in junit(REPORT, "low")


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)


def test_the_page_lets_nothing_of_a_reply_through() -> None:
    text = page(REPORT)
    assert Tags(text).seen == Tags(page(with_reply("harmless"))).seen
    assert "script" not in Tags(text).seen
    assert "http" not in text.replace('http-equiv="', "")
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    text.encode()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_reply_can_be_shown(text: str) -> None:
    report = with_reply(text)
    ElementTree.fromstring(junit(report))
    jsonschema.Draft4Validator(SCHEMA).validate(json.loads(json.dumps(sarif(report))))
    assert "script" not in Tags(page(report)).seen
    assert not re.search(
        r"[\x00-\x08\x1b]",
        "\n".join(
            lines(replace(report, findings=(replace(FINDING, replies=(text,), evidence="", repro=""),), faults=()))
        ),
    )


def test_where_no_command_shows_it_again_none_is_named() -> None:
    report = replace(REPORT, command="", findings=(replace(FINDING, replies=("x",), evidence="", repro=""),))
    assert "again:" not in "\n".join(lines(report))
    assert "<dt>Again" not in page(report)
    assert "Command:" not in page(report)
    assert "again:" not in junit(report)
    [run] = sarif(report)["runs"]
    assert "commandLine" not in run["invocations"][0]
    assert "repro" not in run["results"][0]["properties"]


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(REPORT.to_json()))
    assert read_report(path) == REPORT


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "reach": {}}', "nonsense"])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"gamekeeper audit|Run the audit again"):
        read_report(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reward": None}, "pay of numbers"),
        ({"floor": "0"}, "pay of numbers"),
        ({"replies": []}, "list of replies"),
        ({"replies": "print(1)"}, "list of replies"),
        ({"example": None}, "number of its example"),
        ({"severity": "dreadful"}, "severity that is known"),
    ],
)
def test_a_finding_that_cannot_be_replayed_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    data = REPORT.to_json()
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**data, "findings": [{**data["findings"][0], **change}]}))
    with pytest.raises(DataError, match=said):
        read_report(path)


def test_exit_codes() -> None:
    assert [REPORT.exit_code(s) for s in ("low", "medium", "high", "critical")] == [1, 1, 0, 0]
    assert CLEAN.exit_code("low") == 0
    assert replace(CLEAN, faults=(FAULT,)).exit_code("low") == 1
