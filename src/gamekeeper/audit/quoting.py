"""Texts of others on one line of ours: a reply, an exception, a name that a target chose.

What a grader says of itself must not pass for a line of the report, for a command to a build server that reads the
log, or for an order to the terminal.
"""

from __future__ import annotations

_MOST = 160


def one_line(text: object) -> str:
    """The text with line ends, control and invisible characters written out."""
    told = str(text)
    return told if told.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in told)


def quoted(text: str, most: int = _MOST) -> str:
    """A reply on one line, in quotes: escaped, and cut in the middle if it is long."""
    shown = ascii(text) if not text.isprintable() else repr(text)
    return (
        shown if len(shown) <= most else f"{shown[: most * 2 // 3]} ... {shown[-most // 4 :]} ({len(text)} characters)"
    )
