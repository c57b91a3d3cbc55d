"""Reports: one self-contained page from run directories, and the headline figure as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_report(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Writes the page about one run, or several side by side, to `out` and returns its path."""
    from gamekeeper.report.page import write_report as write

    return write(runs, out)


def headline_svg(runs: Sequence[str | Path]) -> str:
    """The figure "reward and truth part" of these runs as a standalone SVG file."""
    from gamekeeper.report.page import headline_svg as draw

    return draw(runs)


__all__ = ["headline_svg", "write_report"]
