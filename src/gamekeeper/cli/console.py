"""Results go to stdout, all else to stderr, and no text can break or steer either.

Text from files, models and users is never read as markup, and its control characters are shown, not sent: a reply
that holds an escape sequence must not repaint the terminal of the person who reads it. JSON is plain ASCII, so that
it survives any locale.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import threading
import traceback
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from gamekeeper.errors import GamekeeperError

if TYPE_CHECKING:
    from rich.console import Console

DEBUG = "GAMEKEEPER_DEBUG"
BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended
INTERRUPTED = 130
TERMINATED = 143
BUG = 3


class Interrupted(GamekeeperError):
    """The person pressed Ctrl-C; the message says how to go on."""

    exit_code = INTERRUPTED


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Turns Ctrl-C into a clean end that says what to do next."""
    try:
        yield
    except _Asked:
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted. {how_to_go_on}") from None


class Terminated(GamekeeperError):
    """Somebody asked this process to end, by SIGTERM."""

    exit_code = TERMINATED


class _Asked(KeyboardInterrupt):
    """SIGTERM on its way up; no handler of ordinary errors stops it."""


@contextmanager
def terminable(how_to_go_on: str = "Nothing was left behind; start it again.") -> Iterator[None]:
    """Turns SIGTERM into an exception, so that children end and scratch folders go; exit code 143."""

    def ask(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Asked

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    except _Asked:
        raise Terminated(f"Ended by SIGTERM. {how_to_go_on}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def prepare_streams() -> None:
    """Makes the standard streams unable to fail on a character that they do not know."""
    for stream, errors in (
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
        (sys.stdin, "surrogateescape"),
    ):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):  # closed, or already read from
                reconfigure(errors=errors)


def abandon_stdout() -> None:
    """After a broken pipe: nothing more can be printed, and the interpreter must not try at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Plain text


def visible(text: str) -> str:
    """The text with control characters and lone surrogates written out; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _written(c) for c in text)


def _written(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def out(text: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(visible(text) + "\n")


def say(text: str = "") -> None:
    """A message beside the result."""
    sys.stdout.flush()
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def number(value: float | None) -> str:
    """A number for people: three decimals, or "-" for none."""
    return "-" if value is None else f"{value:.3f}"


# JSON


def to_json(value: Any) -> str:
    """One line of strict JSON in ASCII; a number that is not finite becomes null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def print_json(value: Any) -> None:
    sys.stdout.write(to_json(value) + "\n")


# Tables


def rich_console(stream: TextIO | None = None) -> Console:
    """A rich console that reads no markup; colours follow the terminal, NO_COLOR and FORCE_COLOR."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, highlight=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], stream: TextIO | None = None) -> None:
    """A plain table; columns whose name starts with ">" are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    sys.stdout.flush()
    rich_console(stream).print(table)


def metric_rows(metrics: Mapping[str, float], intervals: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of a table of metrics, each with its interval if it has one."""
    shown = {k: f"[{low:.3f}, {high:.3f}]" for k, (low, high) in intervals.items()}
    return [(k, number(v), shown.get(k, "-")) for k, v in metrics.items()]


# Errors


def show_error(message: str) -> None:
    """One paragraph on stderr that starts with "error:"."""
    from rich.text import Text

    sys.stdout.flush()
    console = rich_console(sys.stderr)
    console.print(Text.assemble(("error:", "bold red"), " ", visible(message)), soft_wrap=True)


def show_bug(error: BaseException, typed: Sequence[str]) -> None:
    """What an exception that nobody foresaw looks like: short, with the traceback kept for a report."""
    from gamekeeper import __version__

    trace = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {error}"[:300]
    if os.environ.get(DEBUG):
        say(trace)
        where = "The traceback is above."
    else:
        where = _keep(f"gamekeeper {__version__}, Python {sys.version}\narguments: {list(typed)}\n\n{trace}")
    show_error(
        f"This is a bug in gamekeeper, not in your call. {what}. {where} Please report it with the command you ran."
    )


def _keep(text: str) -> str:
    try:
        handle, path = tempfile.mkstemp(prefix="gamekeeper-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return f"See the traceback with {DEBUG}=1."
    return f"The traceback is in {path}; {DEBUG}=1 shows it here."
