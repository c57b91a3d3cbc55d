"""Which libraries the adapters are for, in which versions, and a plain word where one is absent, too old or too new.

The ranges are those of the extras in pyproject.toml (a test compares them); the versions that the adapters were
tested with stand in docs/records/adapters.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from gamekeeper import extras
from gamekeeper.errors import MissingExtra, UnknownName, WrongVersion


@dataclass(frozen=True, slots=True)
class Library:
    """A library and the versions that its adapter can use: at_least <= version < below."""

    distribution: str
    module: str
    at_least: str
    below: str

    @property
    def range(self) -> str:
        """As pip writes it."""
        return f">={self.at_least},<{self.below}"


LIBRARIES: Mapping[str, Library] = {
    "trl": Library("trl", "trl", "1.16", "1.17"),
    "lora": Library("peft", "peft", "0.18", "0.22"),
    "verl": Library("verl", "verl", "0.9.1", "0.10"),
    "tensorboard": Library("tensorboard", "tensorboard", "2.16", "3"),
    "trackio": Library("trackio", "trackio", "0.40", "1"),
    "wandb": Library("wandb", "wandb", "0.19", "1"),
    "inspect": Library("inspect_ai", "inspect_ai", "0.3.285", "0.4"),
    "verifiers": Library("verifiers", "verifiers", "0.4", "0.5"),
    "openenv": Library("openenv", "openenv", "0.10", "0.11"),
    "ray": Library("ray", "ray", "2.30", "3"),
}


def need(extra: str, what: str, table: Mapping[str, Library] = LIBRARIES) -> ModuleType:
    """The library behind an extra, imported. what: who needs it, as the start of a sentence.

    Raises MissingExtra if it is not installed, WrongVersion if its version is outside the range.
    """
    return extras.need(extra, what, fitting(extra, what, table).module)


def fitting(extra: str, what: str, table: Mapping[str, Library] = LIBRARIES) -> Library:
    """The library behind an extra, not imported. Raises as `need` does."""
    if extra not in table:
        raise UnknownName("extra", extra, table)
    wanted = table[extra]
    try:
        found = version(wanted.distribution)
    except PackageNotFoundError:
        raise MissingExtra(extra, what, wanted.distribution) from None
    if not release(wanted.at_least) <= release(found) < release(wanted.below):
        raise WrongVersion(extra, what, f"{wanted.distribution} {found}", wanted.range)
    return wanted


def release(text: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: "0.3.0rc1" -> (0, 3)."""
    found = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(n) for n in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
