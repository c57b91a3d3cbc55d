"""gamekeeper's own audit on one case, with the help that the others get: bindings, and right replies where handed over.

Run bench/audit_corpus.py with `--replies good` to hand the right replies over, and without to see how it does alone.
"""

from __future__ import annotations

import os

import gamekeeper
from gamekeeper.audit import COULD_NOT_LOOK, Settings, audit
from gamekeeper.audit.examples import read_examples
from gamekeeper.errors import GamekeeperError

SECONDS = float(os.environ.get("AUDIT_SECONDS", "60"))
ABOUT = {
    "version": f"gamekeeper {gamekeeper.__version__}",
    "called": f"gamekeeper.audit.audit(FILE:ENTRY, examples, Settings(bind, seconds={SECONDS:g})), all else by default",
    "fooled": "the report's outcome, whatever the severity of its findings",
    "could not look": "the report's outcome",
}


def look(case: object) -> tuple[str, str]:
    settings = Settings(seconds=SECONDS, bind=case.about["bind"])
    try:
        report = audit(f"{case.file}:{case.entry}", read_examples(case.examples), settings)
    except GamekeeperError as error:  # the call is wrong: exit code 2 of the command line
        return COULD_NOT_LOOK, str(error)
    found = [f"{f.severity} {f.id} {f.gain:g}" for f in report.findings]
    return report.outcome, "; ".join(found) or report.reach.why
