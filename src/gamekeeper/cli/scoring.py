"""`score`: replies from anywhere, scored as training would score them.

Lines are scored in batches and written out batch by batch, so that a kill loses at most one batch: the same command
with the same --out goes on where it stopped. Of a line that is done, its score is held in memory, but not its replies.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TextIO

import typer

from gamekeeper.cli import console, judging, options
from gamekeeper.cli.progress import Meter
from gamekeeper.cli.replies import Episode, Raw, Reader, broken_item, raw_lines
from gamekeeper.errors import CouldNotLook, DataError, GamekeeperError, UsageError
from gamekeeper.types import Score

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

BATCH_LINES = 128
BATCH_BYTES = 8 * 2**20
GROUPS = 100


@dataclass(frozen=True, slots=True)
class Scoring:
    """Which replies, and where their scores go."""

    replies: Annotated[str, typer.Option(metavar="FILE", help="JSON lines of items and replies; - for stdin.")]
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draw chance events (an audit) anew for each line. Default: the item's own.",
            show_default=False,
        ),
    ] = None
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here, not to stdout; rerun to resume.")] = None
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Pass over bad lines and count them.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print the closing summary, on stderr, as JSON too.")] = False

    @property
    def again(self) -> str:
        if self.out is None:
            return "Use --out FILE to be able to go on."
        return f"The same command goes on from there; the scores so far are in {self.out}."


@options.folded(Scoring, options.Played, judging.Tolerant)
def score(name: options.Name, how: Scoring, played: options.Played, rated: judging.Tolerant) -> None:
    """Score replies from a file.

    Prints one JSON line of reward, truth and evidence for each line of the file. A summary follows on stderr.

    A line of the file is {"item": ITEM-OR-ID, "replies": ["first turn", ...]}, the item as `gamekeeper items --json`
    prints it, or its id.

    \b
    Examples:
      gamekeeper score tamper --replies replies.jsonl
      gamekeeper score tamper --replies replies.jsonl --patches secure --out scores.jsonl
      gamekeeper score compliance --data test.parquet --replies said.jsonl --judge http://node:8000/v1 --judge-model M
      my-model < items.jsonl | gamekeeper score summary --replies - --keep-going
    """
    game = played.open(name)
    with ExitStack() as stack:
        stack.enter_context(console.interruptible(how.again))
        stack.enter_context(rated.seated(game))
        source = _open_source(how.replies, stack)
        ledger = Ledger(game, _settings(game, how.seed, played.split))
        sink = ledger.reopen(how.out, stack) if how.out else sys.stdout
        shown_as = "stdin" if how.replies == "-" else how.replies
        reader = Reader(game, shown_as, played.split, how.seed, played.limit)
        stack.callback(reader.close)
        bar = how.out is not None or not sys.stdout.isatty()  # lines and a bar on one screen would mix
        meter = stack.enter_context(Meter(f"score {name}", _size(source), shown=bar))
        _score_all(_Job(game, reader, ledger, sink, meter, how.keep_going, rated.limit(), how.again), source)
    judging.stop_if_blind(ledger.failed, len(ledger.scores), rated.limit(), how.again, at_end=True)
    _conclude(ledger, how.as_json)
    if rated.max_unscored is None:
        _stop_if_none(ledger.failed, len(ledger.scores))


def _settings(game: BaseGame, seed: int | None, split: str) -> str:
    """All but the line that a score depends on."""
    from gamekeeper.types import to_plain

    data = options.digest_of(game.data_file(split)) if game.data else None
    what = [game.name, game.version, sorted(game.patches), to_plain(game.params), data, seed]
    return json.dumps([*what, *([game.judge.name] if game.judge else [])], default=str)


def _open_source(path: str, stack: ExitStack) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    if not Path(path).is_file():
        raise DataError(f"--replies {path!r} is not a file. Give a file of JSON lines, or - for stdin.")
    return stack.enter_context(open(path, "rb"))


def _size(source: BinaryIO) -> int | None:
    """The length of a regular file; of a pipe nobody knows it."""
    try:
        info = os.fstat(source.fileno())
    except (OSError, AttributeError):
        return None
    return info.st_size or None


# What has been scored


@dataclass
class Ledger:
    """The scores so far, without replies and evidence, and which lines they belong to."""

    game: BaseGame
    settings: str
    scores: list[Score] = field(default_factory=list)
    items: list[str] = field(default_factory=list)  # the item of each score
    failed: Counter[str] = field(default_factory=Counter)  # reasons of those that are none
    done: dict[int, str] = field(default_factory=dict)
    bad: int = 0
    met: int = 0  # of the lines in `done`, how many the file still has

    def add(self, item: str, score: Score) -> None:
        self.scores.append(replace(score, evidence=""))
        self.items.append(sys.intern(item))
        self.failed.update([score.unscored] if score.unscored is not None else [])

    def reopen(self, path: Path, stack: ExitStack) -> TextIO:
        """Opens the file to append to, after reading what an earlier call left.

        A torn last line is dropped, and so are lines without a score: the grader failed, and may not fail again.
        """
        if path.exists():
            self._read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(open(path, "a", encoding="ascii"))

    def _read(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"--out {str(path)!r} is not a file. Give the path of a file.")
        whole, unscored = 0, False
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    if not line.startswith(_TORN[: len(line)]):
                        raise _foreign(path, number)
                    break
                unscored |= not self._take(path, number, line)
                whole += len(line)
        os.truncate(path, whole)
        if unscored:
            _drop_unscored(path)

    def _take(self, path: Path, number: int, line: bytes) -> bool:
        """Takes in a line; whether it holds a score."""
        try:
            row = json.loads(line)
            key, digest, item = int(row["line"]), str(row["digest"]), str(row["item"])
            score = Score(row["reward"], row["truth"], row["exploited"], "", row["unscored"], row["facts"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _foreign(path, number) from None
        if score.unscored is not None:
            return False
        self.done[key] = digest
        self.add(item, score)
        return True

    def has(self, raw: Raw) -> bool:
        """Whether the line has been scored; raises UsageError if another text or other settings were."""
        digest = self.done.get(raw.number)
        if digest is None:
            return False
        self.met += 1
        if digest != raw.digest(self.settings):
            raise UsageError(
                f"--out holds scores of other replies or of other settings (line {raw.number} differs). "
                "Give another --out, or remove the file to score afresh."
            )
        return True


_TORN = b'{"line": '  # what a line begins with, however early it was cut off


def _foreign(path: Path, line: int) -> UsageError:
    return UsageError(
        f"--out {str(path)!r} exists, and its line {line} is not a score written here. "
        "Give another --out, or remove the file."
    )


def _drop_unscored(path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    with open(path, "rb") as file, open(part, "wb") as kept:
        kept.writelines(line for line in file if json.loads(line)["unscored"] is None)
    part.replace(path)


# Scoring


@dataclass(frozen=True)
class _Job:
    game: BaseGame
    reader: Reader
    ledger: Ledger
    sink: TextIO
    meter: Meter
    keep_going: bool
    most_unscored: float
    again: str


def _score_all(job: _Job, source: BinaryIO) -> None:
    for batch in _batches(job, source):
        _write(job, batch)
        ledger = job.ledger
        judging.stop_if_blind(ledger.failed, len(ledger.scores), job.most_unscored, job.again)


def _batches(job: _Job, source: BinaryIO) -> Iterator[list[tuple[Raw, Episode]]]:
    """The lines still to be scored; what came before a bad line is handed out before the complaint."""
    batch: list[tuple[Raw, Episode]] = []
    size = 0
    for raw in raw_lines(source):
        try:
            if job.ledger.has(raw):
                continue
            batch.append((raw, job.reader.episode(raw)))
        except UsageError as error:
            if not (job.keep_going and isinstance(error, DataError)):
                yield batch
                raise
            _count_bad(job, error)
        size += len(raw.data or b"")
        if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _count_bad(job: _Job, error: DataError) -> None:
    job.ledger.bad += 1
    console.say(f"passed over: {error}")


def _write(job: _Job, batch: list[tuple[Raw, Episode]]) -> None:
    if not batch:
        return
    lines = []
    try:
        for (raw, episode), score in zip(batch, _scores(job, [e for _, e in batch]), strict=True):
            if score is None:
                continue
            key = {"line": raw.number, "item": episode.item.id, "digest": raw.digest(job.ledger.settings)}
            lines.append(console.to_json({**key, **score.to_json()}) + "\n")
            job.ledger.add(episode.item.id, score)
    finally:
        job.sink.write("".join(lines))
        job.sink.flush()
    job.meter.to(batch[-1][0].end)


def _scores(job: _Job, episodes: list[Episode]) -> Iterator[Score | None]:
    """A score for each, None for an item of the user's that the game cannot read (then counted as a bad line)."""
    heard = iter(_graded(job, [e for e in episodes if e.unheard is None]))
    return (next(heard) if e.unheard is None else Score.failed(e.unheard) for e in episodes)


def _graded(job: _Job, episodes: list[Episode]) -> Iterable[Score | None]:
    try:
        return job.game.score_many([(e.item, e.replies) for e in episodes])
    except GamekeeperError:  # a judge out of reach, say: no item is to blame
        raise
    except Exception:  # noqa: BLE001 - games are total over replies, not over items: find the one to blame
        return (_one_score(job, e) for e in episodes)


def _one_score(job: _Job, episode: Episode) -> Score | None:
    try:
        return job.game.score(episode.item, episode.replies)
    except GamekeeperError:
        raise
    except Exception as error:  # the user's item: a game may fail on it in any way
        if not episode.own:
            raise
        complaint = DataError(f"{job.reader.source}:{episode.number}: {broken_item(error)}")
        if not job.keep_going:
            raise complaint from error
        _count_bad(job, complaint)
        return None


# The end


def _conclude(ledger: Ledger, as_json: bool) -> None:
    if ledger.met < len(ledger.done):
        raise UsageError(
            f"--out holds {len(ledger.done) - ledger.met} scored lines that --replies does not have (any more). "
            "Give another --out, or remove the file to score afresh."
        )
    if not ledger.scores:
        raise CouldNotLook(f"No line was scored; {ledger.bad} bad lines were passed over.")
    summary = _summary(ledger)
    if as_json:
        console.say(console.to_json(summary))
        return
    resumed = f", {ledger.met} of them by an earlier call" if ledger.met else ""
    console.say(f"{summary['scored']} replies scored{resumed}")
    if ledger.bad:
        console.say(f"{ledger.bad} BAD LINES PASSED OVER")
    for reason, count in summary["unscored"].items():
        console.say(f"{count} UNSCORED: {reason}")
    console.print_table(
        ("metric", ">value", "interval"), console.metric_rows(summary["metrics"], summary["intervals"]), sys.stderr
    )


def _stop_if_none(failed: Counter[str], total: int) -> None:
    """Raises CouldNotLook where there were replies and not one has a score."""
    if failed.total() == total > 0:
        raise CouldNotLook(f"Not one of {total} replies could be scored. Most often: {failed.most_common(1)[0][0]}.")


def _summary(ledger: Ledger) -> Mapping[str, Any]:
    return {
        "scored": len(ledger.scores) - ledger.failed.total(),
        "bad_lines": ledger.bad,
        "unscored": dict(ledger.failed),
        "metrics": ledger.game.metrics(ledger.scores),
        "intervals": _intervals(ledger),
    }


def _intervals(ledger: Ledger) -> dict[str, tuple[float, float]]:
    """95% intervals, by deleting one item at a time, or one of `GROUPS` groups of items where there are more."""
    from gamekeeper.studies.stats import over_items

    by_item: dict[str, list[Score]] = {}
    for item, score in zip(ledger.items, ledger.scores, strict=True):
        by_item.setdefault(item, []).append(score)
    return over_items(list(by_item.values()), ledger.game.metrics, ledger.game.own_metrics, GROUPS)
