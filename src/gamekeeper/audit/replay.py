"""Old findings against the grader of now: is what was paid for still paid for?

The reach comes first again, for a grader that pays nothing is no repair; then the isolation that an audit would ask
for, since a reply out of a report is an attack as much as one that was just made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gamekeeper.audit.auditor import Examples, limits_of, spec_of
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.finding import Finding, Reach, Report
from gamekeeper.audit.isolation import too_open
from gamekeeper.audit.judge import NOTABLE, gain
from gamekeeper.audit.mining import mine
from gamekeeper.audit.reach import survey
from gamekeeper.audit.scene import Scene
from gamekeeper.audit.settings import Settings
from gamekeeper.audit.target import Target
from gamekeeper.audit.targets import open_target


@dataclass(frozen=True, slots=True)
class Replay:
    """An old finding against the target of now. closed: what it gains now is no longer notable."""

    finding: Finding
    reward: float | None
    gain: float
    closed: bool
    error: str = ""


def verify_fix(
    target: str | Callable[..., Any], old: Report, examples: Examples = (), settings: Settings | None = None
) -> tuple[Reach, list[Replay]]:
    """Replay the findings of an old report, if the target is reached and shut in well enough."""
    settings = settings or Settings()
    given = as_examples(examples)
    with_target = open_target(target, spec_of(given, settings), limits_of(settings))
    try:
        rows = list(given)[: settings.most_examples] or with_target.examples()
        found = survey(with_target, rows, mine(with_target.source()), settings.seed)
        if not found.reach.reached:
            return found.reach, []
        if refusal := too_open(with_target, found.scenes, settings):
            return replace(found.reach, reached=False, why=refusal[0], needs=refusal[1]), []
        scenes = {s.index: s for s in found.scenes}
        return found.reach, [_replayed(with_target, f, scenes) for f in old.findings]
    finally:
        with_target.close()


def _replayed(target: Target, finding: Finding, scenes: Mapping[int, Scene]) -> Replay:
    scene = scenes.get(finding.example)
    if scene is None or finding.family in ("incentive", "data"):
        return Replay(finding, None, 0.0, False, "it cannot be replayed as a reply; run the audit again")
    [paid] = target.grade([(scene.index, finding.replies)], alone=True)
    if paid.reward is None:
        return Replay(finding, None, 0.0, True, paid.error or paid.end)
    now = gain(scene, paid.reward)
    return Replay(finding, paid.reward, round(now, 4), now < NOTABLE)
