"""A worker process: reads tasks from stdin, does them one after the other, writes news to stdout, as JSON lines.

It leaves at once when stdin ends: the grid that asked for the work is gone. What is printed by anything inside goes to
stderr, since stdout is the wire.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import Any, BinaryIO

from gamekeeper.errors import GamekeeperError
from gamekeeper.studies.grid import Task
from gamekeeper.studies.perform import perform


def serve(threads: int, wire: BinaryIO) -> None:
    """Work until stdin ends."""
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    while True:
        _one(Task(**tasks.get()), threads, wire)


def _read(tasks: SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        tasks.put(json.loads(line))
    os._exit(0)  # also in the midst of a step: the checkpoint that is there serves the next call


def _one(task: Task, threads: int, wire: BinaryIO) -> None:
    try:
        record = perform(task, threads, lambda share: _say(wire, task, "at", share))
    except Exception as error:  # noqa: BLE001 - the boundary of a cell: its failure is recorded, the others go on
        traceback.print_exc()
        known = isinstance(error, GamekeeperError)
        _say(wire, task, "failed", str(error) if known else f"{type(error).__name__}: {error}")
    else:
        _say(wire, task, "done", record)


def _say(wire: BinaryIO, task: Task, what: str, value: Any) -> None:
    try:
        text = json.dumps({"address": task.address, "what": what, "value": value}, allow_nan=False)
    except ValueError as error:
        text = json.dumps({"address": task.address, "what": "failed", "value": f"its record is no JSON: {error}"})
    wire.write(text.encode() + b"\n")
    wire.flush()


def main() -> None:
    # A copy of stdout that children do not inherit; what they or we print goes to stderr.
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(int(sys.argv[1]), wire)


if __name__ == "__main__":
    main()
