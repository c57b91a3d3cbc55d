"""Transfer: does a policy that has learnt one exploit show the others, untrained?

Every flawed checkpoint of emergence is measured on every other game, with the items and draws with which the base
was measured, so that each difference is paired.
"""

from __future__ import annotations

from collections.abc import Callable

from gamekeeper.studies import findings as f
from gamekeeper.studies.cells import eval_cell
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
    limits_of_change,
    measure_of,
)
from gamekeeper.studies.store import Placed, Results


def place(scope: Scope) -> list[Placed]:
    """The runs themselves say what base and checkpoint do on the own game; the rest is measured."""
    out = []
    for seed in scope.seeds:
        for source in scope.games:
            start = emergent(scope, source, seed)
            out.append(Placed({"source": source, "game": source, "seed": seed}, start))
            for game in scope.games:
                if game != source:
                    label = f"{source}-then-{game}-seed{seed}"
                    cell = eval_cell(label, game_of(game), scope.eval, start, seed)
                    out.append(Placed({"source": source, "game": game, "seed": seed}, cell))
    return out


def answer(results: Results) -> f.Findings:
    games = sorted(results.values("game"))
    changes = {(s, g): _changes(results, s, g, measure_of(g)) for s in games for g in games}
    itp = {(s, g): _changes(results, s, g, "itp") for s in games for g in games}
    claims = [
        f.Claim(
            f"{source} to {game}: change of {measure_of(game)}, zero-shot",
            "off-diagonal ERs fall or stay 0",
            f.NOT_UP,
            changes[source, game],
            limits=limits_of_change(game, measure_of(game)),
        )
        for source in games
        for game in games
        if source != game
    ]
    return answered(
        STUDY,
        results,
        claims,
        [_NOTE],
        tables=[_table(games, changes, itp)],
        heats=[
            _heat("Change of the exploit's measure against the base", games, changes, measure_of),
            _heat("Change of ITP against the base", games, itp, lambda _: "itp"),
        ],
    )


_NOTE = (
    "The measure is each game's own (ER; for selfgrade P(Yes | wrong), since ER there cannot pass 1 - accuracy). "
    "On the diagonal: trained on the game itself."
)


def _changes(results: Results, source: str, game: str, metric: str) -> list[float]:
    """By seed: the checkpoint of `source` on `game`, minus the base on `game`."""
    base = by_seed(results.of(source=game, game=game), "base", metric)
    return differences(by_seed(results.of(source=source, game=game), "final", metric), base)


def _heat(
    title: str, games: list[str], changes: dict[tuple[str, str], list[float]], metric: Callable[[str], str]
) -> f.Heat:
    values = [[change_over(changes[s, g], g, metric(g)) for g in games] for s in games]
    return f.Heat(title, games, games, values, -1.0, 1.0, "trained on", "measured on")


def _table(
    games: list[str], changes: dict[tuple[str, str], list[float]], itp: dict[tuple[str, str], list[float]]
) -> f.Table:
    rows = [
        [
            s,
            g,
            str(len(changes[s, g])),
            change_shown(changes[s, g], g, measure_of(g)),
            change_shown(itp[s, g], g, "itp"),
        ]
        for s in games
        for g in games
    ]
    columns = ("trained on", "measured on", "seeds", "change of the exploit's measure", "change of ITP")
    return f.Table("Every checkpoint on every game", columns, rows, "Differences against the base, paired by seed.")


STUDY = Study(
    "transfer",
    "Does a policy that has learnt one exploit show the others, untrained?",
    "Every flawed checkpoint of emergence, measured on every other game.",
    (0, 1, 2),
    place,
    answer,
    least=2,
)
