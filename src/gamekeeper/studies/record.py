"""A run is a directory: what a training run leaves behind, and the only thing that reports and monitors read.

    run.json           schema version, status, resolved config, seed, versions, device, base and final metrics
    metrics.jsonl      one line a record: {"step", "phase", "metrics", "intervals"}; equal runs give equal bytes
    timings.jsonl      the same for what a clock measured (metrics named `*_s`), which no two runs share
    rollouts.parquet   one row an episode; `rollouts/part-STEP-PHASE.parquet` while the run is going on
    checkpoints/       the trainer's; report.html the report's; .lock keeps a second writer out

Steps: record `k` of phase "train" is the batch of the k-th update (k = 1, 2, ...); phase "eval" at step `k`
measures the policy after `k` updates, so step 0 is the base. Killed at any point, the directory stays readable:
whole files are replaced by rename, lines are appended whole, and readers pass over a torn last line. Write a
step's rollouts before its metrics: a record that is there (`has`) then has its rollouts too.

`run.json` may hold any JSON. Keys that readers know: schema, status, error, created, config, seed, versions,
platform, commit, device, threads, wall_s, command, interval (what the intervals are, in words), base and final
({"metrics", "intervals"}), dynamics, own_metrics (metrics of an outside game), and game ({"name", "level", "arm",
"question", "emergence", "bar"}).
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper import __version__
from gamekeeper.errors import RunError, UnknownName, UsageError
from gamekeeper.metrics import TABLE, Metric, declared
from gamekeeper.studies import rollouts as episodes
from gamekeeper.studies.disk import Lines, disk_errors, lock, write_atomic
from gamekeeper.studies.rollouts import Rollout
from gamekeeper.types import to_plain

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Interval", "Record", "Rollout", "Run", "RunWriter", "load_run"]

SCHEMA = 1
PHASES = ("train", "eval")
ENDINGS = ("finished", "failed", "stopped")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Record:
    """One measured batch. A metric whose interval is not known is simply not in `intervals`."""

    step: int
    phase: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)


# Writing


class RunWriter:
    """Writes one run directory. Make one with `create` or `resume`; use it as a context manager or `close` it."""

    def __init__(self, path: Path, info: dict[str, Any], handle: int) -> None:
        self.path = path
        self._info = info
        self._lock = handle
        self._extra = _own_metrics(info)
        self._seen = {(r.step, r.phase): r for r in _records(path / "metrics.jsonl")}
        self._metrics, self._timings = Lines(path / "metrics.jsonl"), Lines(path / "timings.jsonl")

    @classmethod
    def create(
        cls, path: str | Path, config: Mapping[str, Any] | Any, own_metrics: Sequence[Metric] = (), **info: Any
    ) -> RunWriter:
        """Starts a run in a new directory, or in one that holds no run.

        config: the resolved config, a mapping or a dataclass. own_metrics: those that an outside game declares.
        Raises RunError if there is a run already or the directory cannot be written.
        """
        root = Path(path)
        with disk_errors(root):
            _make_room(root)
            handle = lock(root)
            _write_info(root, start := _first_info(config, own_metrics, info))
            return cls(root, start, handle)

    @classmethod
    def resume(cls, path: str | Path, step: int) -> RunWriter:
        """Goes on after `step` updates: records and rollouts of later steps are dropped, a torn line too."""
        run = load_run(path)
        with disk_errors(run.path):
            handle = lock(run.path)
            try:
                _drop_after(run.path, step)
                writer = cls(run.path, dict(run.info), handle)
            except BaseException:  # released and raised again
                os.close(handle)
                raise
        writer.info(status="running", error=None)
        return writer

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the files; the status stays as it is."""
        if self._lock >= 0:
            self._metrics.close()
            self._timings.close()
            with suppress(OSError):
                (self.path / ".lock").unlink()
            os.close(self._lock)
            self._lock = -1

    def has(self, step: int, phase: str) -> bool:
        """Whether a record of this step and phase is there already (after `resume`, say)."""
        return (step, phase) in self._seen

    def metrics(
        self,
        step: int,
        phase: str,
        metrics: Mapping[str, float],
        intervals: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Appends one record, on disk when the call returns. Writing an equal record again changes nothing.

        Raises UnknownName for an undeclared metric or phase, UsageError for a number that is not finite,
        RunError if this step and phase has another record already.
        """
        step = _step(step, phase)
        values = declared(metrics, self._extra)
        timed = {k: v for k, v in values.items() if _by_clock(k)}
        untimed = {k: v for k, v in values.items() if not _by_clock(k)}
        record = Record(step, phase, untimed, self._ranges(intervals or {}))
        if self._is_new(record):
            with disk_errors(self.path):
                if timed:
                    self._timings.add({"step": step, "phase": phase, "metrics": timed})
                self._metrics.add(asdict(record))
            self._seen[step, phase] = record

    def _ranges(self, intervals: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
        lows = declared({k: v[0] for k, v in intervals.items()}, self._extra)
        highs = declared({k: v[1] for k, v in intervals.items()}, self._extra)
        for name, low in lows.items():
            if low > highs[name]:
                raise UsageError(f"The interval of {name!r} is [{low}, {highs[name]}]; the lower end must come first.")
        return {k: (v, highs[k]) for k, v in lows.items()}

    def _is_new(self, record: Record) -> bool:
        before = self._seen.get((record.step, record.phase))
        if before is not None and before != record:
            raise RunError(
                f"{self.path} has another {record.phase} record of step {record.step}. A resumed run must repeat "
                "itself exactly: resume with the same machine and threads, or start afresh in another directory."
            )
        return before is None

    def rollouts(self, step: int, phase: str, rows: Iterable[Rollout]) -> None:
        """Writes the episodes of one step and phase, whole or not at all; a second call replaces the first."""
        name = episodes.part_name(_step(step, phase), phase)
        table = episodes.to_table(step, phase, list(rows))
        with disk_errors(self.path):
            episodes.write_part(self.path, table, name)

    def info(self, **changes: Any) -> None:
        """Rewrites run.json with these keys changed."""
        self._info.update(to_plain(changes))
        with disk_errors(self.path):
            _write_info(self.path, self._info)

    def finish(self, status: str = "finished", **info: Any) -> None:
        """Ends the run. Of a finished one the rollout parts are joined first; others keep them for `resume`."""
        if status not in ENDINGS:
            raise UnknownName("status", status, ENDINGS)
        if status == "finished":
            with disk_errors(self.path):
                episodes.join(self.path)
        self.info(status=status, **info)
        self.close()


def _make_room(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise RunError(f"{root} is a file; a run needs a directory. Give another path.")
    for name in ("run.json", "metrics.jsonl", episodes.PARTS, episodes.WHOLE):
        if (root / name).exists():
            raise RunError(f"{root} already holds a run ({name}). Go on with --resume, or give another path.")
    root.mkdir(parents=True, exist_ok=True)


def _drop_after(root: Path, step: int) -> None:
    for name in ("metrics.jsonl", "timings.jsonl"):
        kept = [line + b"\n" for line, value in _lines(root / name) if value["step"] <= step]
        write_atomic(root / name, b"".join(kept))
    episodes.drop_after(root, step)


def _first_info(config: Any, own_metrics: Sequence[Metric], info: Mapping[str, Any]) -> dict[str, Any]:
    versions = {"gamekeeper": __version__, "python": platform.python_version()}
    return {
        "schema": SCHEMA,
        "status": "running",
        "error": None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": to_plain(config),
        "own_metrics": [_metric_to_json(m) for m in own_metrics],
        "platform": platform.platform(),
        **to_plain(info),
        "versions": {**versions, **info.get("versions", {})},
    }


def _write_info(root: Path, info: Mapping[str, Any]) -> None:
    write_atomic(root / "run.json", (json.dumps(info, indent=1, default=str) + "\n").encode())


def _metric_to_json(metric: Metric) -> dict[str, Any]:
    # JSON has no infinity: an open end is null.
    return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(metric).items()}


def _own_metrics(info: Mapping[str, Any]) -> list[Metric]:
    given = info.get("own_metrics") or ()
    return [Metric(**{**m, "low": _end(m["low"], -math.inf), "high": _end(m["high"], math.inf)}) for m in given]


def _end(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _by_clock(name: str) -> bool:
    return name.endswith("_s")


def _step(step: int, phase: str) -> int:
    if phase not in PHASES:
        raise UnknownName("phase", phase, PHASES)
    if step < 0:
        raise UsageError(f"A step must be 0 or more, got {step}.")
    return int(step)


# Reading


class Run:
    """One run directory, read as it is asked for. Also of a run that is going on, failed or was killed."""

    def __init__(self, path: Path, info: Mapping[str, Any]) -> None:
        self.path = path
        self.info = info

    @property
    def status(self) -> str:
        """running (or killed), finished, failed or stopped."""
        return str(self.info.get("status", "running"))

    @cached_property
    def table(self) -> Mapping[str, Metric]:
        """Every metric that this run may hold: the package's and its game's own."""
        return {**TABLE, **{m.name: m for m in _own_metrics(self.info)}}

    @cached_property
    def metrics(self) -> list[Record]:
        """All records in the order of writing, timings included."""
        timed = {(r.step, r.phase): r.metrics for r in _records(self.path / "timings.jsonl")}
        return [
            Record(r.step, r.phase, {**r.metrics, **timed.get((r.step, r.phase), {})}, r.intervals)
            for r in _records(self.path / "metrics.jsonl")
        ]

    @property
    def base(self) -> Record | None:
        """The evaluation before any update."""
        return next((r for r in self.metrics if r.phase == "eval" and r.step == 0), None)

    @property
    def final(self) -> Record | None:
        """The last evaluation after an update; of a run that is going on, the latest."""
        return next((r for r in reversed(self.metrics) if r.phase == "eval" and r.step > 0), None)

    def series(self, name: str, phase: str = "train") -> list[tuple[int, float]]:
        """(step, value) of one metric, where it is known."""
        return [(r.step, r.metrics[name]) for r in self.metrics if r.phase == phase and name in r.metrics]

    def rollouts(self, rows: Collection[int] | None = None) -> Iterator[Rollout]:
        """Episodes in order, a step at a time; with `rows`, only those with these row numbers."""
        return episodes.read(self.path, rows)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The same as arrow tables, one a step and phase; strings are in the escaped form of `rollouts`."""
        return episodes.tables(self.path, columns)


def load_run(path: str | Path) -> Run:
    """The run in a directory.

    Raises RunError if there is none, if it cannot be read, or if another schema version wrote it.
    """
    root = Path(path)
    file = root / "run.json"
    if not file.is_file():
        raise RunError(_no_run(root))
    try:
        info = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read: {error}. Restore it; the metrics beside it are not lost.") from None
    version = info.get("schema") if isinstance(info, dict) else None
    if version != SCHEMA:
        raise RunError(
            f"{file} has schema version {version!r}; this gamekeeper ({__version__}) reads version {SCHEMA}. "
            "Use the gamekeeper that wrote it, or a newer one."
        )
    return Run(root, info)


def _no_run(root: Path) -> str:
    if not root.exists():
        return f"There is no run at {root}: no such directory. Make one with: gamekeeper run"
    if not root.is_dir():
        return f"{root} is a file, not a run directory. Give the directory that holds run.json."
    inside = sorted(p.parent.name for p in root.glob("*/run.json"))[:5]
    hint = f"Runs inside it: {', '.join(inside)}." if inside else "A run directory holds run.json."
    return f"{root} is not a run directory. {hint}"


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each whole line with its value. What a kill leaves after the last line end is passed over."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            _to_record(value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(
                f"Line {number} of {path} is not a record ({error!r}): it was damaged after it was written. Restore "
                "it, or delete the lines from there on and go on with --resume."
            ) from None
        yield line, value


def _to_record(value: Mapping[str, Any]) -> Record:
    intervals = {k: (float(low), float(high)) for k, (low, high) in value.get("intervals", {}).items()}
    metrics = {k: float(v) for k, v in value["metrics"].items()}
    return Record(_step(int(value["step"]), value["phase"]), value["phase"], metrics, intervals)


def _records(path: Path) -> list[Record]:
    return [_to_record(value) for _, value in _lines(path)]
