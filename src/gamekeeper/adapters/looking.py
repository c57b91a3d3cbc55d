"""What is looked at before hours are spent on a run or an export, line by line.

Something wrong is a line as well, so that one call shows all that would go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gamekeeper.errors import GamekeeperError


@dataclass(frozen=True, slots=True)
class Line:
    """One thing looked at. wrong: it would stop the run or spoil it."""

    what: str
    found: str
    wrong: bool = False


Look = tuple[str, Callable[[], Iterator[Line]]]
"""What is looked at, and the look."""


def looked(looks: Sequence[Look], foreign: type[Exception] = GamekeeperError) -> list[Line]:
    """The lines of each look. An error ends its own look alone, with a line that says it is wrong.

    foreign: errors of a library that are findings too.
    """
    lines: list[Line] = []
    for what, look in looks:
        try:
            for line in look():
                lines.append(line)  # noqa: PERF402 - what was found before an error stays
        except GamekeeperError as error:
            lines.append(Line(what, str(error), wrong=True))
        except foreign as error:
            lines.append(Line(what, f"{type(error).__name__}: {error}", wrong=True))
    return lines
