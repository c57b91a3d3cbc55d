"""Which studies there are: an explicit list; nothing is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from gamekeeper.errors import UnknownName

if TYPE_CHECKING:
    from gamekeeper.studies.scope import Study

STUDIES: Mapping[str, str] = {
    "emergence": "gamekeeper.studies.emergence",
    "transfer": "gamekeeper.studies.transfer",
    "catalysis": "gamekeeper.studies.catalysis",
    "distill": "gamekeeper.studies.distill",
    "correct": "gamekeeper.studies.correct",
    "audit-grid": "gamekeeper.studies.audit_grid",
    "patches": "gamekeeper.studies.patches",
    "scale": "gamekeeper.studies.scale",
}


def study_of(name: str) -> Study:
    """Raises UnknownName with the nearest name."""
    if name not in STUDIES:
        raise UnknownName("study", name, STUDIES, "See them with: gamekeeper study")
    return import_module(STUDIES[name]).STUDY
