"""The frames between the caller and a fork server: sizes first, then the bytes.

To the server: one case as marshal data. It comes from the caller itself, and marshal keeps types apart for free.
From the server: numbers of fixed width and the bytes that the case wrote; nothing in it is parsed by the server.

Standard library only, and no import of the package: the fork server imports this file on its own.
"""

from __future__ import annotations

import struct

# Kinds of frame that a server sends. A number goes with EXITED (exit code) and SIGNALLED (signal).
GREETING, FAILED, EXITED, SIGNALLED, CPU_TIME, WALL_TIME, OUTPUT, NOT_STARTED = range(8)

CASE = struct.Struct("!I")
# kind, number, CPU seconds, wall seconds; then the sizes of stdout, stderr, claim and note, which follow.
ANSWER = struct.Struct("!BiddIIII")

NOBODY = 2_000_000_000  # user ids from here on belong to no one; a server takes this plus its process id


def answer(kind: int, number: int = 0, times: tuple[float, float] = (0.0, 0.0), texts: tuple[bytes, ...] = ()) -> bytes:
    """A frame from the server; `texts` are stdout, stderr, claim and note, of which later ones may be left out."""
    texts += (b"",) * (4 - len(texts))
    return ANSWER.pack(kind, number, *times, *[len(text) for text in texts]) + b"".join(texts)


def note(kind: int, text: str) -> bytes:
    """A frame that holds a note only."""
    return answer(kind, texts=(b"", b"", b"", text.encode("utf-8", "replace")[:1000]))
