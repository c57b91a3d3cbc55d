"""Options of the verbs that may need a judge, and the end of a run whose grader failed too often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.types import Score

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

Url = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="URL",
        help="OpenAI-compatible server that rates replies. Its key: GAMEKEEPER_JUDGE_KEY.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None, typer.Option("--judge-model", metavar="NAME", help="The judge's model.", show_default=False)
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--judge-cache",
        metavar="DIR",
        help="Where verdicts are kept. Default: gamekeeper/verdicts in the user's cache folder.",
        show_default=False,
    ),
]
MostUnscored = Annotated[
    float | None,
    typer.Option(
        "--max-unscored",
        metavar="SHARE",
        help="Stop when more than this share is unscored. Default: 0.1 with --judge or a served model, else 1.",
        show_default=False,
    ),
]
JUDGED_SHARE = 0.1
_ENOUGH = 20
"""A share of fewer episodes says nothing before the end."""


@dataclass(frozen=True)
class Asked:
    """What the options say of a judge."""

    judge: Url = None
    judge_model: Model = None
    judge_cache: Cache = None

    def __post_init__(self) -> None:
        if self.judge is None and (self.judge_model is not None or self.judge_cache is not None):
            raise UsageError("--judge-model and --judge-cache belong to a judge; give its address with --judge URL.")

    def check(self, game: BaseGame) -> None:
        """Raises UsageError where replies are yet to be made and nobody is there to rate them."""
        if game.judged and game.level == "paper" and self.judge is None:
            raise UsageError(
                f"At paper level a judge rates the replies to {game.name!r}: give --judge URL --judge-model NAME."
            )

    @contextmanager
    def seated(self, game: BaseGame) -> Iterator[None]:
        """The game with the judge that was asked for, if any was."""
        if self.judge is None:
            yield
            return
        from gamekeeper.rewards.endpoint import EndpointJudge, JudgeSettings
        from gamekeeper.rewards.verdicts import default_folder

        if not game.judged:
            raise UsageError(f"The game {game.name!r} needs no judge; leave out --judge.")
        if game.level == "pocket":
            raise UsageError(f"At pocket level {game.name!r} needs no judge; leave out --judge, or give --data.")
        if not self.judge_model:
            raise UsageError("--judge needs --judge-model NAME, the name of the model on that server.")
        judge = EndpointJudge(JudgeSettings(self.judge, self.judge_model), self.judge_cache or default_folder())
        game.judge = judge
        try:
            yield
        finally:
            judge.close()


@dataclass(frozen=True)
class Tolerant(Asked):
    """The same for a verb that ends when too many replies could not be scored."""

    max_unscored: MostUnscored = None

    def __post_init__(self) -> None:
        Asked.__post_init__(self)
        share = self.max_unscored
        if share is not None and not 0 <= share <= 1:
            raise UsageError(f"--max-unscored must be a share from 0 to 1, got {share!r}.")

    def limit(self, served: bool = False) -> float:
        """The largest share. served: the model that is measured is on a server, which may fail as a judge may."""
        if self.max_unscored is not None:
            return self.max_unscored
        return JUDGED_SHARE if served or self.judge is not None else 1.0


def stop_if_blind(failed: Counter[str], total: int, limit: float, go_on: str, at_end: bool = False) -> None:
    """Raises CouldNotLook when too many of the scores, of which `failed` counts the reasons, are none."""
    share = failed.total() / total if total else 0.0
    if share <= limit or (total < _ENOUGH and not at_end):
        return
    reason, _ = failed.most_common(1)[0]
    raise CouldNotLook(
        f"{failed.total()} of {total} replies are unscored ({share:.0%}; at most {limit:.0%} is allowed by "
        f"--max-unscored). Most often: {reason}. {go_on}"
    )


def reasons(scores: Iterable[Score]) -> Counter[str]:
    """How often each reason left a score out."""
    return Counter(s.unscored for s in scores if s.unscored is not None)
