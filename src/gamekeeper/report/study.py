"""One self-contained page about a study, made from its findings."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from gamekeeper import __version__
from gamekeeper.report import study_figures as figures
from gamekeeper.report.page import asset, environment, policy
from gamekeeper.report.study_text import (
    heat_table,
    made_of,
    markdown,
    markdown_table,
    plain,
    verdict_table,
)
from gamekeeper.report.svg import text_of
from gamekeeper.report.text import count, listed
from gamekeeper.studies.disk import disk_errors, write_atomic
from gamekeeper.studies.findings import Findings

_WHOLE = re.compile(r"\[[^\[\]<>]{1,24}, [^\[\]<>]{1,24}\]|\(n=1, no interval\)|no interval|all \d+ equal")
_CODE = re.compile(r"`([^`]+)`")

__all__ = ["markdown", "plain", "render", "write_study"]


def write_study(found: Findings, out: str | Path) -> Path:
    """Writes the page to `out` and returns its path. Raises RunError where it cannot be written."""
    target = Path(out)
    if target.is_dir():
        target = target / f"{found.study}.html"
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, render(found).encode("utf-8"))
    return target


def render(found: Findings) -> str:
    """The page as text."""
    from markupsafe import Markup

    def whole(text: str) -> Markup:
        return Markup(unbroken(text))

    css = asset("page.css") + asset("figure.css") + asset("study.css")
    verdicts = verdict_table(found)
    rows = [(v.word, row) for v, row in zip(found.verdicts, verdicts.rows, strict=True)]
    context: dict[str, Any] = {
        "policy": policy(css),
        "css": Markup(css),
        "version": __version__,
        "found": found,
        "cells": count(int(found.about.get("cells", 0)), "cell"),
        "tally": tally(found),
        "plots": [(p.title, Markup(figures.plot(p)), p.note) for p in found.plots],
        "heats": [(h.title, Markup(figures.heat_map(h)), markdown_table(heat_table(h)), h.note) for h in found.heats],
        "tables": [(t, markdown_table(t)) for t in found.tables],
        "verdicts": {"columns": verdicts.columns, "rows": rows, "text": markdown_table(verdicts)},
        "made_of": made_of(found),
        "whole": whole,
    }
    return environment().get_template("study.html").render(context)


def unbroken(text: str) -> str:
    """Text as markup, in which an interval or a command in backticks stays on one line or in its own type."""
    marked = _WHOLE.sub(r'<span class="whole">\g<0></span>', text_of(text))
    return _CODE.sub(r"<code>\1</code>", marked)


def tally(found: Findings) -> str:
    """How many of the claims agree, disagree or are undecided."""
    if not found.verdicts:
        return ""
    words = Counter(v.word for v in found.verdicts)
    one = {
        "agrees": "holds here too",
        "disagrees": "does not",
        "as predicted": "is as we predicted",
        "not as predicted": "is not as we predicted",
        "undecided": "cannot be decided",
    }
    more = {**one, "agrees": "hold here too", "disagrees": "do not"}
    more |= {"as predicted": "are as we predicted", "not as predicted": "are not as we predicted"}
    said = listed([f"{words[w]} {(one if words[w] == 1 else more)[w]}" for w in one if words[w]])
    return f"Of {count(len(found.verdicts), 'claim')}, {said}."
