"""Which game a folder is about, as JSON: what a worker on another machine needs to open it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamekeeper.config import from_mapping
from gamekeeper.errors import DataError
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import load_game
from gamekeeper.rewards.endpoint import EndpointJudge, JudgeSettings
from gamekeeper.rewards.verdicts import default_folder
from gamekeeper.types import to_plain

FILE = "game.json"


@dataclass(frozen=True, slots=True)
class GameSpec:
    """A game with its repairs and parameters. data: the file that its rows came from, for the record alone.

    reply_tokens: most new tokens of each turn. judge: {"url", "model"} of the server that rates replies, or empty.
    """

    name: str
    version: int
    patches: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    reply_tokens: tuple[int, ...] = ()
    judge: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> BaseGame:
        """The game, with its judge if it has one. Raises DataError if the installed game is of another version."""
        # A data file makes a game of the paper level; items bring their own fields, so it need not be there.
        game = load_game(self.name, self.patches, data=self.data, **self.params)
        if game.version != self.version:
            raise DataError(
                f"The folder was written for version {self.version} of the game {self.name!r}, and version "
                f"{game.version} is installed here. Export it again."
            )
        if self.judge:
            game.judge = EndpointJudge(JudgeSettings(self.judge["url"], self.judge["model"]), default_folder())
        return game

    def write(self, folder: Path) -> Path:
        path = folder / FILE
        path.write_text(json.dumps(to_plain(self), indent=1) + "\n")
        return path


def spec_of(game: BaseGame, reply_tokens: tuple[int, ...], judge: Mapping[str, Any]) -> GameSpec:
    patches, params = tuple(sorted(game.patches)), to_plain(game.params)
    data = str(game.data.resolve()) if game.data else None
    return GameSpec(game.name, game.version, patches, params, data, reply_tokens, judge)


def read_spec(path: Path) -> GameSpec:
    """Raises DataError for a file that is missing or not one that `write` made."""
    try:
        return from_mapping(GameSpec, json.loads(path.read_text()), str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as the game of an export: {error}. Export it again.") from error
