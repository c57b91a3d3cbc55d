"""The report as SARIF 2.1.0, which code hosts show beside the lines of a pull request."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gamekeeper.audit.finding import COULD_NOT_LOOK, Fault, Finding, Report
from gamekeeper.audit.outputs.text import general
from gamekeeper.audit.quoting import one_line, quoted
from gamekeeper.audit.targets.places import file_of, line_of

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
_SECURITY = {"low": "3.0", "medium": "5.0", "high": "8.0", "critical": "9.5"}


def sarif(report: Report, examples: Path | None = None) -> dict[str, Any]:
    """One run with a rule for each cause and a result for each finding and fault.

    examples: their file, where results stand whose target is in no file.
    """
    found: list[Finding | Fault] = [*report.findings, *report.faults]
    rules = {_rule_id(f): f for f in found}
    names, place = list(rules), _location(report, examples)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(report, rules)},
                "results": [_result(report, f, names.index(_rule_id(f)), place) for f in found],
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
                "fullDescription": {"text": one_line(general(f))},
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


def _result(report: Report, found: Finding | Fault, rule: int, place: dict[str, Any]) -> dict[str, Any]:
    text = one_line(found.what)
    properties: dict[str, Any] = {"severity": found.severity, "example": found.example}
    if isinstance(found, Finding):
        text += f". Reply {quoted(found.reply)} is paid {found.reward:g}, an honest one {found.honest_reward:g}."
        properties |= {
            "attack": found.id,
            "reply": _bytes(found.reply).decode(),
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
        "locations": [place],
        "partialFingerprints": {
            "target/v1": hashlib.sha256(_bytes(f"{report.target}\n{_rule_id(found)}")).hexdigest()[:32]
        },
        "properties": properties,
    }


def _location(report: Report, examples: Path | None) -> dict[str, Any]:
    """The target's line. A target without a file stands at its examples, or at its name: hosts ask for a place."""
    path = file_of(report.target, os.getcwd())
    line = line_of(path, report.target.rpartition(":")[2]) if path is not None else 1
    if path is not None or examples is not None:
        artifact: dict[str, Any] = {"uri": _uri(path or examples or Path())}
    else:
        artifact = {
            "uri": quote(_bytes(report.target), safe=""),
            "description": {"text": "The target, which is in no file."},
        }
    return {
        "physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line}},
        "logicalLocations": [{"fullyQualifiedName": one_line(report.target), "kind": "function"}],
    }


def _bytes(text: str) -> bytes:
    """In UTF-8, with halves of characters written out: replies hold them, and names of files that are not in UTF-8."""
    return text.encode("utf-8", "backslashreplace")


def _uri(path: Path) -> str:
    """From the working folder where the path is inside it, as hosts find files by their place in the checkout."""
    full, here = Path(os.path.abspath(path)), Path.cwd()
    return quote(os.fsencode(full.relative_to(here))) if full.is_relative_to(here) else full.as_uri()


def _invocation(report: Report) -> dict[str, Any]:
    looked = report.outcome != COULD_NOT_LOOK
    notes = (
        []
        if looked
        else [
            {
                "level": "error",
                "message": {"text": one_line(f"could not look: {report.reach.why}. {report.reach.needs}")},
            }
        ]
    )
    command = {"commandLine": report.command} if report.command else {}
    return {"executionSuccessful": looked, **command, "toolExecutionNotifications": notes}
