"""The report as SARIF 2.1.0, which code hosts show beside the lines of a pull request."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from gamekeeper.audit.finding import COULD_NOT_LOOK, Fault, Finding, Report
from gamekeeper.audit.outputs.text import quoted

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
_SECURITY = {"low": "3.0", "medium": "5.0", "high": "8.0", "critical": "9.5"}


def sarif(report: Report) -> dict[str, Any]:
    """One run with a rule for each cause and a result for each finding and fault."""
    found: list[Finding | Fault] = [*report.findings, *report.faults]
    rules = {_rule_id(f): f for f in found}
    names = list(rules)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(report, rules)},
                "results": [_result(report, f, names.index(_rule_id(f))) for f in found],
                "invocations": [_invocation(report)],
                "columnKind": "unicodeCodePoints",
                "properties": {
                    "outcome": report.outcome,
                    "seed": report.seed,
                    "examples": report.examples,
                    "calls": report.calls,
                },
            }
        ],
    }


def _rule_id(found: Finding | Fault) -> str:
    return found.id.partition(":")[0]


def _driver(report: Report, rules: dict[str, Finding | Fault]) -> dict[str, Any]:
    return {
        "name": "gamekeeper audit",
        "version": report.version or "0",
        "rules": [
            {
                "id": name,
                "shortDescription": {"text": name},
                "fullDescription": {"text": _general(f)},
                "help": {"text": f.fix},
                "defaultConfiguration": {"level": _LEVELS[f.severity]},
                "properties": {
                    "security-severity": _SECURITY[f.severity],
                    "tags": ["reward-hacking", *getattr(f, "catalogue", ())],
                },
            }
            for name, f in rules.items()
        ],
    }


def _general(found: Finding | Fault) -> str:
    return found.what.partition(",")[0].partition(":")[0] if isinstance(found, Fault) else found.what


def _result(report: Report, found: Finding | Fault, rule: int) -> dict[str, Any]:
    text = found.what
    properties: dict[str, Any] = {"severity": found.severity, "example": found.example}
    if isinstance(found, Finding):
        text += f". Reply {quoted(found.reply)} is paid {found.reward:g}, an honest one {found.honest_reward:g}."
        properties |= {
            "attack": found.id,
            "reply": found.reply.encode("utf-8", "backslashreplace").decode(),
            "reward": found.reward,
            "honestReward": found.honest_reward,
            "gain": found.gain,
            "share": found.share,
            **({"repro": found.repro} if found.repro else {}),
        }
    return {
        "ruleId": _rule_id(found),
        "ruleIndex": rule,
        "level": _LEVELS[found.severity],
        "message": {"text": f"{text} Change: {found.fix}"},
        "locations": [_location(report)],
        "partialFingerprints": {
            "target/v1": hashlib.sha256(f"{report.target}\n{_rule_id(found)}".encode()).hexdigest()[:32]
        },
        "properties": properties,
    }


def _location(report: Report) -> dict[str, Any]:
    """The target's file if it is one; else its name alone."""
    path, _, function = report.target.rpartition(":")
    logical = [{"fullyQualifiedName": report.target, "kind": "function"}]
    if not path.endswith(".py"):
        return {"logicalLocations": logical}
    place = {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": _line(path, function)}}
    return {"physicalLocation": place, "logicalLocations": logical}


def _uri(path: str) -> str:
    given = Path(path)
    return given.as_uri() if given.is_absolute() else given.as_posix()


def _line(path: str, function: str) -> int:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return 1
    name = function.rpartition(".")[2]
    starts = (f"def {name}(", f"class {name}", f"async def {name}(")
    return next((n for n, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith(starts)), 1)


def _invocation(report: Report) -> dict[str, Any]:
    looked = report.outcome != COULD_NOT_LOOK
    notes = (
        []
        if looked
        else [{"level": "error", "message": {"text": f"could not look: {report.reach.why}. {report.reach.needs}"}}]
    )
    command = {"commandLine": report.command} if report.command else {}
    return {"executionSuccessful": looked, **command, "toolExecutionNotifications": notes}
