"""A study's findings as rows of text, as Markdown for the documents, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gamekeeper.report.text import count
from gamekeeper.studies.findings import Findings, Heat, Table, Verdict, shown
from gamekeeper.studies.stats import Estimate

VERDICT_COLUMNS = ("what", "the paper", "direction", "here", "p (Holm)", "verdict")


def verdict_rows(found: Findings) -> list[list[str]]:
    """A row for each claim, in the columns of `VERDICT_COLUMNS`."""
    return [_verdict_row(v) for v in found.verdicts]


def _verdict_row(v: Verdict) -> list[str]:
    p = "-" if v.p is None else "< .001" if v.p < 0.001 else f"{v.p:.3f}"
    return [v.claim.what, v.claim.paper, v.claim.direction, shown(v.estimate), p, f"{v.word} ({v.why})"]


def verdict_table(found: Findings) -> Table:
    return Table("Beside the paper", VERDICT_COLUMNS, verdict_rows(found))


def heat_table(heat: Heat) -> Table:
    """A matrix as a table, for readers of text."""
    rows = [[name, *(_cell(v) for v in values)] for name, values in zip(heat.rows, heat.values, strict=True)]
    return Table(heat.title, (f"{heat.row_name} \\ {heat.column_name}", *heat.columns), rows, heat.note)


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else shown(estimate, digits=2)


def plain(found: Findings) -> dict[str, Any]:
    """JSON values."""
    return asdict(found)


# Markdown


def markdown_table(table: Table) -> str:
    """The table alone, its columns aligned by nobody."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def markdown(found: Findings, level: int = 3) -> str:
    """The whole answer: tables, verdicts beside the paper, notes, and what it was made of."""
    return "\n\n".join(_parts(found, "#" * level))


def _parts(found: Findings, mark: str) -> Iterator[str]:
    for table in found.tables:
        yield f"{mark} {table.title}"
        yield markdown_table(table)
        if table.note:
            yield table.note
    for heat in found.heats:
        yield f"{mark} {heat.title}"
        yield markdown_table(heat_table(heat))
        if heat.note:
            yield heat.note
    if found.verdicts:
        yield f"{mark} Beside the paper"
        yield markdown_table(verdict_table(found))
    yield "\n".join(f"- {note}" for note in found.notes)
    yield made_of(found)


def made_of(found: Findings) -> str:
    """Where and by what the records were made, in a sentence or two."""
    about = found.about
    missing = f", {about['missing']} of its cells missing" if about.get("missing") else ""
    bases = f" and {count(about['bases'], 'base')} that they start from" if about.get("bases") else ""
    parts = [f"{count(int(about.get('cells', 0)), 'cell')}{missing}{bases}"]
    if about.get("seeds"):
        parts.append(f"seeds {', '.join(map(str, sorted(about['seeds'])))}")
    parts += [f"{about['core_s'] / 60:.0f} minutes of work in all"] if about.get("core_s") else []
    parts += _named(about, ("threads", "threads a cell"), ("device", ""), ("torch", "torch"), ("commit", "commit"))
    command = f" Made by: `{about['command']}`." if about.get("command") else ""
    return f"{'; '.join(parts)}.{command}"


def _named(about: Any, *wanted: tuple[str, str]) -> Iterator[str]:
    for key, word in wanted:
        values: Sequence[str] = [v for v in about.get(key) or () if v != "None"]
        if values:
            yield f"{word} {', '.join(values)}".strip()
