"""Messages between the auditor and its child: JSON with a length in front, on plain file descriptors."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any

_HEAD = struct.Struct(">I")
_MOST = 1 << 28
_LONGEST_MS = (1 << 31) - 1  # 24 days; poll(2) takes no more


class Silent(Exception):
    """The other end did not answer in time ("timeout"), is gone ("died"), or what came is no message ("garbled")."""


def send(fd: int, message: Any) -> None:
    data = json.dumps(message, default=repr).encode()
    left = memoryview(_HEAD.pack(len(data)) + data)
    while left:
        left = left[os.write(fd, left) :]


def receive(fd: int, seconds: float | None = None) -> Any:
    """The next message. Raises Silent at the deadline, at the end of the stream, or on what is no message."""
    until = None if seconds is None else time.monotonic() + seconds
    (size,) = _HEAD.unpack(_exactly(fd, _HEAD.size, until))
    if size > _MOST:
        raise Silent("garbled")
    try:
        return json.loads(_exactly(fd, size, until))
    except (ValueError, RecursionError):
        raise Silent("garbled") from None


def _exactly(fd: int, size: int, until: float | None) -> bytes:
    held = bytearray()
    while len(held) < size:
        if until is not None:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(min(max(0.0, until - time.monotonic()) * 1000, _LONGEST_MS)):
                raise Silent("timeout")
        piece = os.read(fd, min(1 << 20, size - len(held)))
        if not piece:
            raise Silent("died")
        held += piece
    return bytes(held)
