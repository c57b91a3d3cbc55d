"""Every error that a user can meet, and the exit code that goes with it.

GamekeeperError
  UsageError        (ValueError)   exit 2: the call is wrong: unknown name, bad value, unknown key
    UnknownName     (LookupError)          a name that is not in a known list; names the nearest
    DataError                              a file that is missing, truncated or not of the stated form
  MissingExtra      (ImportError)  exit 2: an optional dependency is absent; gives the install command
  WrongVersion      (ImportError)  exit 2: an optional dependency is too old or too new; gives the range
  CheckFailed       (AssertionError) exit 1: a check or an audit found something
  CouldNotLook      (RuntimeError) exit 3: nothing can be said: too much unscored, no isolation, no reach
  RunError          (RuntimeError) exit 3: a run directory that cannot be used or went wrong

Each message says what was wrong, what is allowed, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class GamekeeperError(Exception):
    """Base of all errors that the package raises on purpose; `exit_code` is for the command line."""

    exit_code = 2

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with its message, which is not what every __init__ here takes.
        return (_rebuilt, (type(self), self.args, dict(self.__dict__)))


def _rebuilt(cls: type[GamekeeperError], args: tuple[Any, ...], state: dict[str, Any]) -> GamekeeperError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UsageError(GamekeeperError, ValueError):
    """The call itself is wrong."""


class UnknownName(UsageError, LookupError):
    """A name outside a known list."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        options = sorted(known)
        near = get_close_matches(name, options, n=1, cutoff=0.5)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        allowed = ", ".join(options) or "none"
        super().__init__(f"Unknown {kind} {name!r}.{guess} Known: {allowed}.{' ' + hint if hint else ''}")
        self.kind, self.name, self.nearest = kind, name, near[0] if near else None

    def __str__(self) -> str:
        return str(self.args[0])


class DataError(UsageError):
    """A file or a value in it that cannot be read as what it should be."""


class MissingExtra(GamekeeperError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str, module: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {module!r}, which is not installed. "
            f"Install it with: pip install 'gamekeeper[{extra}]'"
        )
        self.extra = extra


class WrongVersion(GamekeeperError, ImportError):
    """An optional dependency is installed in a version that is not supported. `found` is "name version"."""

    def __init__(self, extra: str, needed_for: str, found: str, supported: str) -> None:
        super().__init__(
            f"{needed_for} cannot use {found}: versions {supported} are supported. "
            f"Install one of them with: pip install 'gamekeeper[{extra}]'"
        )
        self.extra = extra


class CheckFailed(GamekeeperError, AssertionError):
    """A check found something; the message lists what."""

    exit_code = 1


class CouldNotLook(GamekeeperError, RuntimeError):
    """No verdict is possible; silence would be read as a clean bill."""

    exit_code = 3


class RunError(GamekeeperError, RuntimeError):
    """A run that cannot start, go on or be read."""

    exit_code = 3
