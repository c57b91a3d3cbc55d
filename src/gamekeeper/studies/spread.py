"""Cells spread over an existing Ray cluster, by the same function that a local worker runs.

Checkpoints travel with the task, packed, and the cell's folder comes back the same way, so that nodes need no common
disk, only this package. Ray gives a task whose node is lost to another node; what that one had done is done again. The
driver alone writes records.
"""

from __future__ import annotations

import io
import re
import socket
import sys
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from gamekeeper.adapters.library import need
from gamekeeper.errors import CouldNotLook, GamekeeperError
from gamekeeper.studies.grid import Event, Task

# Nodes of rented machines come and go; a cell that kills its node each time must not be tried for ever.
RETRIES = 5
_THREADS = 1
_KNOCK_S = 10.0
_TRAINERS = ("trainer.safetensors",)
_LOCKS = (".lock",)


def need_ray() -> Any:
    """The module. Raises MissingExtra where it is not installed, WrongVersion where it is too old or too new."""
    return need("ray", "Spreading a study over a cluster")


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT: Ray itself tries for a minute, and then may end the process."""
    found = re.fullmatch(r"(?:ray://)?(?P<host>[^:/]+):(?P<port>[0-9]{1,5})", address)
    if found:
        socket.create_connection((found["host"], int(found["port"])), timeout=_KNOCK_S).close()


class Spread:
    """An executor on a Ray cluster (see `grid.Executor`), with a cell for every core that the cluster has."""

    def __init__(self, address: str) -> None:
        self._ray = need_ray()
        # Ray tells of lost nodes on stdout, from a thread of its own, whatever it is asked; that is for our answer.
        self._aside = ExitStack()
        try:
            _knock(address)
            self._aside.enter_context(redirect_stdout(sys.stderr))
            self._ray.init(address=address, log_to_driver=False, logging_level="error", configure_logging=True)
        except (OSError, ValueError, RuntimeError) as error:
            self._aside.close()
            raise CouldNotLook(
                f"There is no Ray cluster at {address!r}: {error}. Start one with `ray start --head`, or leave "
                "out --ray."
            ) from None
        self._remote = self._ray.remote(num_cpus=_THREADS, max_retries=RETRIES, retry_exceptions=False)(remote_cell)
        self._running: dict[Any, Task] = {}
        self._packed: dict[str, Any] = {}

    @property
    def workers(self) -> int:
        """Cores of the cluster as it is now: nodes come and go. One more waits than can run."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)) // _THREADS)

    def start(self, task: Task) -> None:
        models = {address: self._put(address, Path(folder)) for address, folder in task.models.items()}
        plain = {"name": task.name, "kind": task.kind, "config": dict(task.config), "address": task.address}
        self._running[self._remote.remote(plain, list(models), *models.values())] = task

    def _put(self, address: str, folder: Path) -> Any:
        if address not in self._packed:
            self._packed[address] = self._ray.put(pack(folder, leave=_TRAINERS + _LOCKS))
        return self._packed[address]

    def next(self) -> Event:
        (ready, *_), _ = self._ray.wait(list(self._running), num_returns=1)
        task = self._running.pop(ready)
        try:
            what, value, files = self._ray.get(ready)
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().splitlines()[0]
            return Event(task.address, "failed", f"the cluster lost it ({type(error).__name__}): {first}")
        if what == "done":
            unpack(files, Path(task.folder))
        return Event(task.address, what, value)

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()
        self._aside.close()


def remote_cell(plain: Mapping[str, Any], addresses: list[str], *packed: bytes) -> tuple[str, Any, bytes]:
    """One cell on whatever node: ("done", record, its packed folder) or ("failed", error, nothing)."""
    from gamekeeper.studies.perform import perform

    with tempfile.TemporaryDirectory(prefix="gamekeeper-cell-") as place:
        root = Path(place)
        models = {}
        for address, data in zip(addresses, packed, strict=True):
            models[address] = str(root / "models" / address)
            unpack(data, Path(models[address]))
        task = Task(**{"models": {}, "folder": "", **plain})
        try:
            task = replace(task, models=models, folder=str(root / "cell"))
            record = perform(task, _THREADS, lambda _: None)
        except Exception as error:  # noqa: BLE001 - the boundary of a cell: its failure is recorded, the others go on
            known = isinstance(error, GamekeeperError)
            return "failed", str(error) if known else f"{type(error).__name__}: {error}", b""
        return "done", record, pack(root / "cell", leave=_LOCKS)


def pack(folder: Path, leave: Collection[str] = ()) -> bytes:
    """A folder's files, but for those with these names, as the bytes of a zip file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as box:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in leave:
                box.write(path, path.relative_to(folder))
    return held.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """The inverse of `pack`; files that are there are replaced. Whatever its names say, all lands in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as box:  # tarfile has no safe way of its own before Python 3.11.4
        box.extractall(folder)
