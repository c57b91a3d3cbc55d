"""What a student is taught: a teacher's rollouts on fresh training items, or the game's own honest scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamekeeper.errors import UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.seeds import derive
from gamekeeper.types import Message, Prompt, Score

if TYPE_CHECKING:
    from gamekeeper.train.rollout import Rollout

HONEST = "honest"
_AT_ONCE = 128
# How many rollouts a teacher is asked for at most, for each one that is wanted, when most are thrown away.
PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Taught:
    """Conversations that end with the assistant, from so many episodes, found among so many that were `sampled`."""

    conversations: Sequence[Sequence[Message]]
    episodes: int
    sampled: int


def lesson_of(game: BaseGame, teacher: Any, samples: int, keep: str, seed: int) -> Taught:
    """`samples` episodes, or as many as there are: from the teacher (a policy), or honest ones if it is None.

    keep "clean" leaves out episodes in which anything was exploited, see `is_clean`; "untried" those also in which it
    was tried in vain, in games that tell.
    """
    if teacher is None:
        return _honest(game, samples, seed)
    found: list[Rollout] = []
    sampled = 0
    while len(found) < samples and sampled < samples * PATIENCE:
        made = _sampled(game, teacher, min(_AT_ONCE, samples), ("teach", seed, sampled))
        sampled += len(made)
        found += [r for r in made if r.score.unscored is None and _KEPT[keep](r.score)]
    kept = found[:samples]
    return Taught([c for r in kept for c in conversations_of(r.prompts, r.replies)], len(kept), sampled)


def is_clean(score: Score) -> bool:
    """Not exploited. Where single episodes do not tell (compliance), wholly as intended: truth 1."""
    return score.truth == 1.0 if score.exploited is None else not score.exploited


def is_untried(score: Score) -> bool:
    """Clean, and no exploit that failed either."""
    return is_clean(score) and not score.facts.get("attempted")


_KEPT: Mapping[str, Callable[[Score], bool]] = {"all": lambda score: True, "clean": is_clean, "untried": is_untried}


def _sampled(game: BaseGame, teacher: Any, n: int, path: Sequence[Any]) -> list[Rollout]:
    """One rollout of each of n fresh items of the training split, at temperature 1."""
    from gamekeeper.policy.base import Decoding
    from gamekeeper.train.rollout import grade, play

    items = game.items("train", n, derive(*path))
    rollouts = play(game, teacher, items, 1, Decoding(0, temperature=1.0), path)
    grade(game, rollouts)
    return rollouts


def conversations_of(prompts: Sequence[Prompt], replies: Sequence[str]) -> list[list[Message]]:
    """A conversation for each turn of an episode: its prompt, then the reply."""
    return [[*prompt, Message("assistant", said)] for prompt, said in zip(prompts, replies, strict=True)]


def _honest(game: BaseGame, samples: int, seed: int) -> Taught:
    """The honest scripts of fresh training items in turn, prompts as the episode goes on.

    In turn, since one honest script may show half of what is wanted: selfgrade's `honest` is always right and says Yes,
    and only `honest-unsure` says No.
    """
    out = []
    for n, item in enumerate(game.items("train", samples, derive("teach", seed, HONEST))):
        scripts = [s for s in game.scripts(item) if s.name.partition("-")[0] == HONEST]
        if not scripts:
            raise UsageError(f"The game {game.name!r} has no script {HONEST!r} to learn from.")
        replies = scripts[n % len(scripts)].replies
        prompts = [game.prompt(item, replies[:turn]) for turn in range(len(replies))]
        out += conversations_of([p for p in prompts if p is not None], replies)
    return Taught(out, samples, samples)
