"""The report as JUnit XML: a case for each family of attacks, failed if a finding of it counts, and for each fault."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from gamekeeper.audit.finding import COULD_NOT_LOOK, Fault, Finding, Report, severity_rank
from gamekeeper.audit.outputs.text import fault_lines, finding_lines
from gamekeeper.audit.quoting import one_line

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, fail_on: str = "medium") -> str:
    """An XML document. "Could not look" is an error, not a failure, and never a pass."""
    if report.outcome == COULD_NOT_LOOK:
        cases = [_case(report, "reach", _element("error", report.reach.why, one_line(report.reach.needs)))]
        return _document(report, cases, failures=0, errors=1)
    named: dict[str, list[Finding | Fault]] = {name: [] for name in report.families}
    every: list[Finding | Fault] = [*report.findings, *report.faults]
    for found in every:
        named.setdefault(found.family if isinstance(found, Finding) else found.id, []).append(found)
    cases, failures = [_case(report, "reach", "")], 0
    for name, group in named.items():
        counted = [f for f in group if severity_rank(f.severity) >= severity_rank(fail_on)]
        failures += bool(counted)
        body = (
            _element("failure", counted[0].what, _told(group))
            if counted
            else _element("system-out", None, _told(group))
            if group
            else ""
        )
        cases.append(_case(report, name, body))
    return _document(report, cases, failures, 0)


def _told(group: list[Finding | Fault]) -> str:
    return "\n".join(line for f in group for line in (finding_lines(f) if isinstance(f, Finding) else fault_lines(f)))


def _case(report: Report, name: str, body: str) -> str:
    owner = _attribute("gamekeeper.audit." + report.target)
    return f"<testcase classname={owner} name={_attribute(name)}>{body}</testcase>"


def _element(name: str, message: str | None, text: str) -> str:
    told = f" message={_attribute(one_line(message))}" if message is not None else ""
    return f"<{name}{told}>{_text(text)}</{name}>"


def _document(report: Report, cases: list[str], failures: int, errors: int) -> str:
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}" time="{report.seconds:g}"'
    head = f"<testsuite name={_attribute('gamekeeper audit ' + report.target)} {counts}>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>'
        + head
        + "\n"
        + "\n".join(cases)
        + "\n</testsuite></testsuites>\n"
    )


def _text(text: str) -> str:
    clean = _FORBIDDEN.sub("\ufffd", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))
