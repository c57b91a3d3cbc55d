"""Trackers: each record of a run goes to TensorBoard, Trackio or Weights & Biases as well, on this machine.

`metrics.jsonl` is always written and is what reports read; a tracker is a second place to look. All three write
below the run directory and need no account and no network: wandb runs offline unless WANDB_MODE says otherwise.
Metrics are named phase/name ("train/er", "eval/itp"), steps are the record's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from gamekeeper.adapters.library import fitting, need
from gamekeeper.errors import UnknownName
from gamekeeper.types import to_plain

PROJECT = "gamekeeper"


class Tracker(Protocol):
    """A place that records go to."""

    def __call__(self, step: int, phase: str, metrics: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


def named(phase: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{phase}/{name}": value for name, value in metrics.items()}


class TensorBoard:
    """Event files in `tensorboard/`: tensorboard --logdir RUN/tensorboard"""

    def __init__(self, out: Path, config: Any) -> None:
        need("tensorboard", "The tracker tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(out / "tensorboard"))

    def __call__(self, step: int, phase: str, metrics: Mapping[str, float]) -> None:
        for name, value in named(phase, metrics).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Trackio:
    """A database in `trackio/` (or TRACKIO_DIR), one for both arms: TRACKIO_DIR=RUN/trackio trackio show

    Trackio keeps to one folder a process, that of the first run.
    """

    def __init__(self, out: Path, config: Any) -> None:
        home = out.resolve().parent if _is_arm(out) else out.resolve()
        os.environ.setdefault("TRACKIO_DIR", str(home / "trackio"))  # read when the library is imported, so now
        self._library = need("trackio", "The tracker trackio")
        with redirect_stdout(sys.stderr):
            self._run = self._library.init(project=PROJECT, name=run_name(out), config=to_plain(config), resume="allow")

    def __call__(self, step: int, phase: str, metrics: Mapping[str, float]) -> None:
        self._library.log(named(phase, metrics), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._library.finish()


class Wandb:
    """An offline run in `wandb/`; `wandb sync` sends it later if you wish."""

    def __init__(self, out: Path, config: Any) -> None:
        library = need("wandb", "The tracker wandb")
        mode = os.environ.get("WANDB_MODE", "offline")
        out.mkdir(parents=True, exist_ok=True)
        self._run = library.init(
            project=PROJECT, name=run_name(out), dir=str(out), config=to_plain(config), mode=mode, reinit="create_new"
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def __call__(self, step: int, phase: str, metrics: Mapping[str, float]) -> None:
        # Evaluations share a step with the batch before them, which wandb's own counter would refuse.
        self._run.log({**named(phase, metrics), "step": step})

    def close(self) -> None:
        self._run.finish()


TRACKERS: Mapping[str, Any] = {"tensorboard": TensorBoard, "trackio": Trackio, "wandb": Wandb}


def run_name(out: Path) -> str:
    """The folder's name, with its parent's if it is one arm of a comparison."""
    path = out.resolve()
    return f"{path.parent.name}-{path.name}" if _is_arm(out) else path.name


def _is_arm(out: Path) -> bool:
    return out.resolve().name in ("flawed", "secure")


def check_tracker(name: str) -> None:
    """Raises UnknownName for a tracker that is not known, MissingExtra or WrongVersion for one that cannot be used."""
    if name not in TRACKERS:
        raise UnknownName("tracker", name, TRACKERS)
    fitting(name, f"The tracker {name}")


@contextmanager
def tracking(names: list[str], out: Path, config: Any) -> Iterator[list[Tracker]]:
    """The trackers by name, open for one run."""
    with ExitStack() as stack:
        opened = []
        for name in names:
            tracker = TRACKERS[name](out, config)
            stack.callback(tracker.close)
            opened.append(tracker)
        yield opened
