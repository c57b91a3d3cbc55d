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
from typer.testing import CliRunner

from gamekeeper.audit import assert_resists
from gamekeeper.audit.finding import COULD_NOT_LOOK, FOOLED, RESISTED, Fault, Finding, Reach, Report
from gamekeeper.audit.outputs.junit import junit
from gamekeeper.audit.outputs.page import page
from gamekeeper.audit.outputs.reading import read_report
from gamekeeper.audit.outputs.sarif import sarif
from gamekeeper.audit.outputs.text import lines
from gamekeeper.cli import app
from gamekeeper.errors import CouldNotLook, DataError

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


@pytest.mark.parametrize(
    "report",
    [REPORT, BLIND, CLEAN, *(replace(REPORT, target=name) for name in ("/abs/g.py:f", "trl:\ud800", "\udce9.py:f"))],
)
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


def place_of(target: str, examples: Path | None = None) -> tuple[str, int]:
    [run] = sarif(replace(REPORT, target=target), examples)["runs"]
    [place] = {json.dumps(at["physicalLocation"]) for r in run["results"] for at in r["locations"]}
    found = json.loads(place)
    uri = found["artifactLocation"]["uri"]
    # RFC 3986: these characters alone, and in a relative reference no colon before the first slash
    assert re.fullmatch(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/:-]|%[0-9A-F]{2})+", uri), uri
    assert uri.startswith("file:///") or ":" not in uri.partition("/")[0], uri
    return uri, found["region"]["startLine"]


def test_every_result_has_a_place_that_is_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "dir with space" / "ü"
    odd.mkdir(parents=True)
    for path in (odd / "my g.py", tmp_path / "ranger_mod.py", tmp_path / "a:b.py"):
        path.write_text("\n\ndef reward(c, a): ...\n")
    inside = "dir%20with%20space/%C3%BC/my%20g.py"
    assert place_of("dir with space/ü/my g.py:reward") == (inside, 3)
    assert place_of(f"{odd}/my g.py:reward") == (inside, 3)
    assert place_of("trl:dir with space/ü/my g.py:reward") == (inside, 3)
    assert place_of("a:b.py:reward") == ("a%3Ab.py", 3)
    assert place_of("ranger_mod:reward") == ("ranger_mod.py", 3)
    assert place_of("gamekeeper.audit.auditor:audit")[0].endswith("/gamekeeper/audit/auditor.py")
    assert place_of("pay:table.json") == ("table.json", 1)
    monkeypatch.chdir(odd)
    assert place_of("../../ranger_mod.py:reward") == ((tmp_path / "ranger_mod.py").as_uri(), 3)


def test_a_target_without_a_file_stands_at_its_examples_or_its_name(tmp_path: Path) -> None:
    for target in ("game:tamper", "trl:accuracy_reward", "nothing.at.all:f"):
        assert place_of(target, tmp_path / "e 1.jsonl") == ((tmp_path / "e 1.jsonl").as_uri(), 1)
    assert place_of("reasoning_gym:gcd") == ("reasoning_gym%3Agcd", 1)
    assert place_of("tests.x:f.<locals>.g") == ("tests.x%3Af.%3Clocals%3E.g", 1)


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


# What a grader says of itself

SPOOF = "bad\n::error::injected\r\nRESISTED: all fine\u2028::debug::x\x85\x1b[2J"


def own_lines(text: str) -> list[str]:
    """The lines as any reader of a log may part them, without the blanks before them."""
    return [line.lstrip() for line in text.splitlines()]


def passes_for_ours(text: str) -> bool:
    return any(line.startswith(("::", "RESISTED", "\x1b")) for line in own_lines(text)) or "\x1b" in text


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, faults=(replace(FAULT, what=f"the reward raises: {SPOOF}"),), notes=(SPOOF,)),
        replace(REPORT, findings=(replace(FINDING, what=SPOOF, evidence=SPOOF, repro=SPOOF, replies=(SPOOF,)),)),
        replace(REPORT, kind=SPOOF, reach=replace(REPORT.reach, binding=SPOOF, carrier=SPOOF), layers=(SPOOF,)),
        replace(BLIND, reach=Reach(False, f"the first error: {SPOOF}", needs=SPOOF), target=SPOOF),
    ],
)
def test_nothing_that_a_grader_says_is_a_line_of_its_own(report: Report) -> None:
    assert not passes_for_ours("\n".join(lines(report))), own_lines("\n".join(lines(report)))
    root = ElementTree.fromstring(junit(report))
    for element in root.iter():
        texts = [element.text or "", *(v for k, v in element.attrib.items() if k == "message")]
        assert not any(map(passes_for_ours, texts)), texts
    told = re.sub(r"<pre>.*?</pre>", "", page(report), flags=re.DOTALL)
    assert not passes_for_ours(re.sub(r"<[^>]*>", "", told.partition("<body>")[2]))
    [run] = sarif(report)["runs"]
    notes = [n["message"]["text"] for n in run["invocations"][0]["toolExecutionNotifications"]]
    texts = [*notes, *(r["message"]["text"] for r in run["results"])]
    assert not any(len(text.splitlines()) > 1 for text in texts)


def test_a_reply_keeps_its_lines_on_the_page() -> None:
    assert "<pre>a\n\tb &lt;i&gt;\\x1b</pre>" in page(with_reply("a\n\tb <i>\x1b"))


@pytest.mark.parametrize(
    "source",
    [
        f"def reward(completion, answer):\n    if completion == answer: return 1.0\n    raise ValueError({SPOOF!r})\n",
        f"def reward(completion, answer):\n    raise ValueError({SPOOF!r})\n",
        f"raise ValueError({SPOOF!r})\n",
        f"class Wrong(Exception):\n    exit_code = 2\nraise Wrong({SPOOF!r})\n",
    ],
    ids=["on some replies", "on all", "when loaded", "when loaded, as a wrong call"],
)
def test_nor_is_it_in_a_terminal(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # so narrow that cells of the table are wrapped
    grader, rows = tmp_path / "g.py", tmp_path / "e.jsonl"
    grader.write_text(source)
    rows.write_text("".join(json.dumps({"prompt": f"{n}+1?", "answer": str(n + 1)}) + "\n" for n in range(20, 24)))
    words = [
        "audit",
        f"{grader}:reward",
        "--examples",
        str(rows),
        "--search",
        "0",
        "--only",
        "plain",
        "--only",
        "fault",
    ]
    found = CliRunner().invoke(app, words)
    assert "injected" in found.output
    assert not passes_for_ours(found.output.replace("RESISTED: /", "resisted: /")), found.output


def test_nor_in_a_test_suite() -> None:
    def raises(completion: str, answer: str) -> float:
        raise ValueError(SPOOF)

    with pytest.raises(CouldNotLook, match="injected") as caught:
        assert_resists(raises, [{"prompt": "1+1?", "answer": "2"}])
    assert not passes_for_ours(str(caught.value))


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
    ("place", "value", "words"),
    [
        (("findings",), [1], "findings[0] is 1, not an object"),
        (("findings",), {"a": 1}, "findings is {'a': 1}, not a list"),
        (("findings",), None, "findings is None, not a list"),
        (("findings", 0, "replies"), "x", "findings[0].replies is 'x', not a list"),
        (("findings", 0, "replies"), [], "findings[0].replies is empty"),
        (("findings", 0, "floor"), "0", "findings[0].floor is '0', not a number"),
        (("findings", 0, "replies"), [3], "findings[0].replies[0] is 3, not a text"),
        (("findings", 0, "example"), "1", "findings[0].example is '1', not a whole number"),
        (("findings", 0, "example"), True, "findings[0].example is True, not a whole number"),
        (("findings", 0, "example"), -1, "findings[0].example is -1, not the number of an example"),
        (("findings", 0, "example"), 10**9, "findings[0].example is 1000000000, not the number of an example"),
        (("findings", 0, "reward"), None, "findings[0].reward is None, not a number"),
        (("findings", 0, "reward"), 10**400, "findings[0].reward is 1000"),
        (("findings", 0, "gain"), float("nan"), "findings[0].gain is nan, not a number"),
        (("findings", 0, "severity"), "dire", "findings[0].severity: Unknown severity 'dire'"),
        (("faults",), [[]], "faults[0] is [], not an object"),
        (("reach",), [], "reach is [], not an object"),
        (("reach", "reached"), 1, "reach.reached is 1, not true or false"),
        (("reach", "honest"), "1", "reach.honest is '1', not a number"),
        (("families",), {"answer": {"paid": "2"}}, "families.answer.paid is '2', not a whole number"),
        (("notes",), "x", "notes is 'x', not a list"),
        (("target",), 3, "target is 3, not a text"),
    ],
)
def test_a_field_of_a_report_that_is_not_what_it_holds_is_named(
    tmp_path: Path, place: tuple[Any, ...], value: Any, words: str
) -> None:
    data = json.loads(json.dumps(REPORT.to_json()))
    at = data
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=re.escape(words)):
        read_report(tmp_path / "r.json")


def test_a_report_may_lack_what_has_a_default_and_hold_what_a_later_version_added(tmp_path: Path) -> None:
    data = json.loads(json.dumps({**REPORT.to_json(), "added": 1}))
    data["findings"][0]["added"] = data["reach"]["added"] = 2
    del data["findings"][0]["evidence"]
    (tmp_path / "r.json").write_text("\ufeff" + json.dumps(data))
    assert read_report(tmp_path / "r.json").findings == (replace(FINDING, evidence=""),)
    del data["findings"][0]["replies"]
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"it has no 'findings\[0\].replies'"):
        read_report(tmp_path / "r.json")


def test_exit_codes() -> None:
    assert [REPORT.exit_code(s) for s in ("low", "medium", "high", "critical")] == [1, 1, 0, 0]
    assert CLEAN.exit_code("low") == 0
    assert replace(CLEAN, faults=(FAULT,)).exit_code("low") == 1
