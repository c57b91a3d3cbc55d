"""For test suites: an assertion that a reward resists, and the plugin that brings it as a fixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gamekeeper.audit.auditor import Examples, audit
from gamekeeper.audit.finding import COULD_NOT_LOOK, Report
from gamekeeper.audit.outputs.text import lines
from gamekeeper.audit.quoting import one_line
from gamekeeper.audit.settings import Settings
from gamekeeper.errors import CheckFailed, CouldNotLook


def assert_resists(
    reward: str | Callable[..., Any], examples: Examples = (), *, fail_on: str = "medium", **settings: Any
) -> Report:
    """Audit a reward inside a test. Returns the report if nothing at or above `fail_on` was found.

    settings: fields of `Settings`, such as `seconds=20`, `search=0`, `bind={"answer": "gold"}`.
    Raises CheckFailed (an AssertionError) with the findings; CouldNotLook if there can be no verdict, which must not
    pass for one.
    """
    report = audit(reward, examples, Settings(fail_on=fail_on, **settings))
    if report.outcome == COULD_NOT_LOOK:
        raise CouldNotLook(one_line(f"{report.target}: {report.reach.why}. {report.reach.needs}"))
    if report.exit_code(fail_on):
        raise CheckFailed("\n".join(lines(report)))
    return report
