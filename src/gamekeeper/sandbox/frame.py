"""The frames between the caller and a fork server: sizes first, then the bytes.

To the server: a setup (limits and a prelude) as marshal data, and cases, each of a setup that was sent before. It all
comes from the caller itself, and marshal keeps types apart for free. A case's body is read by the case's own process.
From the server: numbers of fixed width and the bytes that the case wrote; nothing in it is parsed by the server.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import struct

# Kinds of frame that a server gets, and what they send with them: the setup's size, or its number and the body's size.
SETUP, CASE = 1, 2
HEAD = struct.Struct("!BII")

# Kinds of frame that a server sends. A number goes with EXITED (exit code) and SIGNALLED (signal). LEAVING follows an
# answer after which the server ends: the next case has not begun, and is not to blame.
GREETING, FAILED, EXITED, SIGNALLED, CPU_TIME, WALL_TIME, OUTPUT, NOT_STARTED, MEMORY, LEAVING = range(10)

# kind, number, CPU seconds, wall seconds; then the sizes of stdout, stderr, claim and note, which follow.
ANSWER = struct.Struct("!BiddIIII")

NOBODY = 2_000_000_000  # user ids from here on belong to no one; a server takes this plus its process id


def note(kind: int, text: str) -> bytes:
    """A frame from the server that holds a note only."""
    data = text.encode("utf-8", "replace")[:4000]
    return ANSWER.pack(kind, 0, 0.0, 0.0, 0, 0, 0, len(data)) + data
