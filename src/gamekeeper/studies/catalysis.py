"""Catalysis: is a second exploit learnt faster, or further, by a policy that has learnt a first?

From every flawed checkpoint of emergence, GRPO on every other flawed game, against fresh GRPO there.
"""

from __future__ import annotations

import math

from gamekeeper.registry import game_class
from gamekeeper.studies import findings as f
from gamekeeper.studies.dynamics import HOLD, domination
from gamekeeper.studies.scope import (
    Scope,
    Study,
    answered,
    by_seed,
    change_over,
    change_shown,
    differences,
    emergent,
    game_of,
    grpo,
    limits_of_change,
    measure_of,
    said,
)
from gamekeeper.studies.stats import over_seeds
from gamekeeper.studies.store import Placed, Result, Results

FRESH = "base"


def place(scope: Scope) -> list[Placed]:
    out = []
    for seed in scope.seeds:
        runs = {game: emergent(scope, game, seed) for game in scope.games}
        out += [Placed({"first": FRESH, "game": g, "seed": seed}, run) for g, run in runs.items()]
        for first, start in runs.items():
            for game in scope.games:
                if game != first:
                    cell = grpo(scope, f"{first}-then-{game}-seed{seed}", game_of(game), seed, start)
                    out.append(Placed({"first": first, "game": game, "seed": seed}, cell))
    return out


def answer(results: Results) -> f.Findings:
    games = sorted(results.values("game"))
    pairs = [(first, game) for first in games for game in games if first != game]
    final = {p: _final(results, *p) for p in pairs}
    speed = {p: _speed(results, *p) for p in pairs}
    claims = []
    for first, game in pairs:
        name, said_of_it, room = f"{first}, then {game}", _said(first, game), _room(results, game)
        span = limits_of_change(game, measure_of(game))
        what = f"{name}: final {measure_of(game)} against fresh"
        claims.append(f.Claim(what, *said_of_it, final[first, game], room, limits=span))
        what = f"{name}: mean of the training curve against fresh"
        claims.append(f.Claim(what, *_SOONER, speed[first, game], limits=span))
    return answered(
        STUDY,
        results,
        claims,
        [_NOTE],
        tables=[_table(results, games, final, speed)],
        heats=[
            _heat("Final measure of the exploit, minus fresh", games, final),
            _heat("Mean of the training curve, minus fresh", games, speed),
        ],
    )


_NOTE = (
    f"Domination is the first step that opens {HOLD} in a row at or above the game's bar, counted from the first "
    "update of the second game; it is compared where both runs of a seed get there, which leaves out the slowest. "
    "The mean of the training curve, which every run has, is higher the sooner and the further the exploit rises. "
    "Where fresh training ends at the top of the scale, the final measure cannot tell of catalysis; the curve can."
)
_SOONER = ("learning one exploit catalyses others", f.UP)


def _said(first: str, game: str) -> tuple[str, str]:
    """The paper gives one pair; of the others it says only that earlier exploits catalyse later ones."""
    if (first, game) == ("tamper", "selfgrade"):
        return "47.1 against 32.8 fresh", f.UP
    return "learning one exploit catalyses others", f.UP


def _final(results: Results, first: str, game: str) -> list[float]:
    metric = measure_of(game)
    after = by_seed(results.of(first=first, game=game), "final", metric)
    return differences(after, by_seed(results.of(first=FRESH, game=game), "final", metric))


def _room(results: Results, game: str) -> float:
    """How far above the fresh runs' mean the final measure could have risen."""
    ends = by_seed(results.of(first=FRESH, game=game), "final", measure_of(game)).values()
    return 1.0 - sum(ends) / len(ends) if ends else math.inf


def _speed(results: Results, first: str, game: str) -> list[float]:
    return differences(
        _means(results.of(first=first, game=game), game), _means(results.of(first=FRESH, game=game), game)
    )


def _means(found: list[Result], game: str) -> dict[int, float]:
    """The mean of each seed's training curve of the exploit's measure."""
    curves = {r.role["seed"]: [v for _, v in r.record["curves"].get(measure_of(game), ())] for r in found}
    return {seed: sum(values) / len(values) for seed, values in curves.items() if values}


def _domination(result: Result, game: str) -> int | None:
    """From the first update on: a policy that brings the exploit with it has no first appearance."""
    return domination(result.record["curves"].get(measure_of(game), ()), game_class(game).bar, start=1)


def _sooner(results: Results, first: str, game: str) -> str:
    """Steps to domination minus those of the fresh run of the same seed, where both come to dominate."""
    second, fresh = (
        {r.role["seed"]: _domination(r, game) for r in results.of(first=start, game=game)} for start in (first, FRESH)
    )
    pairs = [(step, fresh[seed]) for seed, step in sorted(second.items()) if seed in fresh]
    gained = [float(a - b) for a, b in pairs if a is not None and b is not None]
    if not gained:
        return "unknown"
    shown = f.shown(over_seeds(gained), digits=1)
    return shown if len(gained) == len(pairs) else f"{shown} ({len(gained)} of {len(pairs)} seeds dominate both times)"


def _heat(title: str, games: list[str], found: dict[tuple[str, str], list[float]]) -> f.Heat:
    values = [[change_over(found[a, b], b, measure_of(b)) if a != b else None for b in games] for a in games]
    return f.Heat(title, games, games, values, -1.0, 1.0, "first", "then")


def _table(
    results: Results,
    games: list[str],
    final: dict[tuple[str, str], list[float]],
    speed: dict[tuple[str, str], list[float]],
) -> f.Table:
    rows = []
    for game in games:
        for first in (FRESH, *games):
            found = results.of(first=first, game=game)
            if not found:
                continue
            own = first in (FRESH, game)
            rows.append(
                [
                    game,
                    first,
                    str(len(found)),
                    said(found, "final", measure_of(game), game),
                    "" if own else change_shown(final[first, game], game, measure_of(game)),
                    "" if own else change_shown(speed[first, game], game, measure_of(game)),
                    f.steps_of(_domination(r, game) for r in found),
                    "" if own else _sooner(results, first, game),
                ]
            )
    columns = (
        "game",
        "started from",
        "seeds",
        "final measure",
        "minus fresh",
        "curve mean minus fresh",
        "domination",
        "domination minus fresh",
    )
    return f.Table("Second games", columns, rows, "Differences are paired by seed.")


STUDY = Study(
    "catalysis",
    "Is a second exploit learnt faster, or further, by a policy that has learnt a first?",
    "From every flawed checkpoint of emergence, GRPO on every other flawed game, against fresh GRPO there.",
    (0, 1, 2),
    place,
    answer,
    least=2,
)
