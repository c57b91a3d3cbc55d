"""Scale: do larger models exploit more, and more competent ones?

The flawed games from bases of three sizes, all pretrained in the same way; and from bases of the shipped size that
were pretrained for fewer steps, and so are less competent.
"""

from __future__ import annotations

from collections.abc import Iterator

from gamekeeper.errors import UsageError
from gamekeeper.studies import findings as f
from gamekeeper.studies.cell_records import read_json
from gamekeeper.studies.cells import Cell, pretrain_cell, shipped_base
from gamekeeper.studies.grid import parameters
from gamekeeper.studies.scope import (
    LARGE,
    SMALL,
    Scope,
    Study,
    answered,
    by_seed,
    differences,
    emergent,
    game_of,
    grpo,
    limits_of_change,
    measure_of,
    over,
    said,
    small_base,
)
from gamekeeper.studies.store import Placed, Result, Results

SHIPPED = "shipped"


def bases(scope: Scope) -> dict[str, tuple[Cell | None, float, int]]:
    """name -> the cell that makes it (None: the shipped one), its weights, its steps of pretraining."""
    large = pretrain_cell("base-large", LARGE, scope.pretrain_steps)
    out: dict[str, tuple[Cell | None, float, int]] = {
        "small": (small_base(scope), parameters(SMALL), scope.pretrain_steps),
        SHIPPED: (None, parameters({}), _shipped_steps()),
        "large": (large, parameters(LARGE), scope.pretrain_steps),
    }
    for steps in scope.less_pretrained:
        out[f"after {steps} steps"] = (pretrain_cell(f"base-{steps}", {}, steps), parameters({}), steps)
    return out


def _shipped_steps() -> int:
    """How long the shipped base was pretrained, whatever the sizes of this call."""
    return int(read_json(shipped_base() / "pretrain.json")["config"]["steps"])


def place(scope: Scope) -> list[Placed]:
    if scope.model != "pocket":
        raise UsageError("The study 'scale' compares bases that it makes with the shipped one. Leave out --model.")
    out = []
    for seed in scope.seeds:
        for name, (base, weights, steps) in bases(scope).items():
            for game in scope.games:
                label = f"{game}-from-{name.replace(' ', '-')}-seed{seed}"
                cell = emergent(scope, game, seed) if base is None else grpo(scope, label, game_of(game), seed, base)
                role = {"base": name, "weights": weights, "pretrained": steps, "game": game, "seed": seed}
                out.append(Placed(role, cell))
    return out


def answer(results: Results) -> f.Findings:
    return answered(
        STUDY,
        results,
        _claims(results),
        [_NOTE],
        tables=[_table(results)],
        plots=list(_plots(results)),
    )


_NOTE = (
    "Sizes differ in width and depth alone, competence in steps of pretraining alone; one base of each, so that what "
    "is said of a size is said of that base: the intervals are over seeds of the training in the game, not over bases."
)


def _found(results: Results, game: str, base: str) -> list[Result]:
    return results.of(game=game, base=base)


def _table(results: Results) -> f.Table:
    rows = []
    for game in sorted(results.values("game")):
        measure = measure_of(game)
        for base in results.values("base"):
            found = _found(results, game, base)
            if found:
                role = found[0].role
                read = (("base", "itp"), ("base", measure), ("final", measure), ("final", "itp"))
                shown = [said(found, when, metric, game) for when, metric in read]
                landmarks = f.steps_of((r.record.get("dynamics") or {}).get("domination") for r in found)
                size = f"{role['weights'] / 1e6:.2f} M"
                rows.append([game, base, size, str(role["pretrained"]), str(len(found)), *shown, landmarks])
    columns = (
        "game",
        "base",
        "weights",
        "pretrained, steps",
        "seeds",
        "ITP of the base",
        "measure, base",
        "measure, trained",
        "ITP, trained",
        "domination",
    )
    return f.Table("Bases", columns, rows)


def _claims(results: Results) -> Iterator[f.Claim]:
    """The paper's one figure is compliance at 4B and 8B; each game's largest against smallest is judged."""
    for game in sorted(results.values("game")):
        metric = measure_of(game)
        large, small = (by_seed(_found(results, game, name), "final", metric) for name in ("large", "small"))
        paper = "ER 55.8 at 4B, 24.7 at 8B" if game == "compliance" else "nearly every model learns its exploit"
        way = f.DOWN if game == "compliance" else f.FLAT
        what, span = f"{game}: {metric} after training, large minus small", limits_of_change(game, metric)
        yield f.Claim(what, paper, way, differences(large, small), limits=span)


def _plots(results: Results) -> Iterator[f.Plot]:
    for key, names, x in (
        ("weights", ("small", SHIPPED, "large"), "weights, millions"),
        (
            "pretrained",
            (*[b for b in results.values("base") if b.startswith("after")], SHIPPED),
            "steps of pretraining",
        ),
    ):
        lines = []
        for game in sorted(results.values("game")):
            points = []
            for name in names:
                found = _found(results, game, name)
                estimate = over(found, "final", measure_of(game), game)
                if estimate is not None:
                    at = float(found[0].role[key])
                    points.append((at / 1e6 if key == "weights" else at, estimate))
            if points:
                lines.append(f.Line(game, sorted(points, key=lambda p: p[0])))
        if lines:
            yield f.Plot(f"The exploit's measure after training, by {x}", x, "measure", lines, dots=True)


STUDY = Study(
    "scale",
    "Do larger models exploit more, and more competent ones?",
    "The flawed games from bases of three sizes, and from bases that were pretrained for fewer steps.",
    (0, 1, 2),
    place,
    answer,
)
