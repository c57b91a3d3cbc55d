"""What makes a class a game: one public check, for our games, a user's games and the tests of both.

`check_game` plays a game's own scripts, feeds it junk, rebuilds it in its other arms and in fresh interpreters, and
reports a list of named checks (`CHECKS`), each passed, failed with the reason, or not applicable
with the reason. A game that raises where it must not is a failed check, not a traceback.

At paper level (a game with `data`) the rows are given, not generated, so the checks of generation do not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gamekeeper.errors import CheckFailed, CouldNotLook, DataError, MissingExtra, UsageError
from gamekeeper.games import conformance_checks as basics
from gamekeeper.games import conformance_flaws as flaws
from gamekeeper.games.base import BaseGame
from gamekeeper.games.conformance_bench import Bench, NotApplicable

CHECKS: Mapping[str, Callable[[Bench], basics.Problems]] = {
    "described": basics.described,
    "items-pure": basics.items_pure,
    "items-json": basics.items_json,
    "items-apart": basics.items_apart,
    "chance-pure": basics.chance_pure,
    "arms-share": basics.arms_share,
    "prompts-form": basics.prompts_form,
    "scripts-pinned": basics.scripts_pinned,
    "honest-is-true": basics.honest_is_true,
    "scores-formed": basics.scores_formed,
    "scores-pure": basics.scores_pure,
    "pickles": basics.pickles,
    "junk-survives": basics.junk_survives,
    "junk-worthless": basics.junk_worthless,
    "metrics-declared": basics.metrics_declared,
    "metrics-skip-unscored": basics.metrics_skip_unscored,
    "exploit-pays": flaws.exploit_pays,
    "secure-holds": flaws.secure_holds,
    "truth-is-one": flaws.truth_is_one,
    "hash-seeds": flaws.hash_seeds,
    "primer-honest": flaws.primer_honest,
    "detector-sees": flaws.detector_sees,
}
_SHOWN = 3  # problems quoted for one check


@dataclass(frozen=True, slots=True)
class Check:
    """One check's outcome. ok is None where the check does not apply; `why` then says the reason."""

    name: str
    demands: str
    ok: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All checks of one game in one arm."""

    game: str
    patches: tuple[str, ...]
    level: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.ok is False)

    def raise_for_failures(self) -> None:
        """Raises CheckFailed with every failed check and its reason, if there is one."""
        if self.failures:
            arm = ", ".join(self.patches) or "no patch"
            told = "\n".join(f"  {c.name}: {c.why}\n    (demanded: {c.demands})" for c in self.failures)
            raise CheckFailed(
                f"The game {self.game!r} ({arm}) fails {len(self.failures)} of {len(self.checks)} checks:\n{told}"
            )


def check_game(game: BaseGame, *, items: int = 8, seed: int = 0) -> CheckReport:
    """Whether `game`, in the patches that it has on, is what every part of the package takes a game to be.

    items: how many items each check plays; code-running games take a second or so an item.
    Raises UsageError if `game` is no game at all, DataError if its data file cannot be read, CouldNotLook if its
    grader is out of reach, MissingExtra if a library that it needs is not installed. Whatever else goes wrong in the
    game is a failed check of the report.
    """
    if not isinstance(game, BaseGame):
        raise UsageError(
            f"check_game checks an instance of a BaseGame subclass, got {game!r}. "
            "Make one with gamekeeper.registry.load_game, or call your class."
        )
    if isinstance(items, bool) or not isinstance(items, int) or items < 2:
        raise UsageError(f"check_game needs at least 2 items to compare, got {items!r}.")
    bench = Bench(game, items, seed)
    checks = tuple(_run(name, check, bench) for name, check in CHECKS.items())
    return CheckReport(game.name, tuple(sorted(game.patches)), game.level, checks)


def _run(name: str, check: Callable[[Bench], basics.Problems], bench: Bench) -> Check:
    demands = (check.__doc__ or "").strip()
    try:
        problems = list(dict.fromkeys(islice(check(bench), 50)))
    except NotApplicable as reason:
        return Check(name, demands, None, str(reason))
    except (CouldNotLook, MissingExtra):
        raise
    except Exception as error:  # what an outside game raises is what the check reports
        if bench.paper and isinstance(error, DataError):
            raise
        return Check(name, demands, False, f"the game raised {_told(error)}")
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return Check(name, demands, not problems, "; ".join(problems[:_SHOWN]) + more)


def _told(error: Any) -> str:
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
    return f"{type(error).__name__}: {str(error)[:200]} (at {where})"
