"""How large a study is: games, seeds, and the sizes of its runs; and the cells that several studies share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gamekeeper.config import EvalConfig, GameConfig, RunConfig, SftConfig, TrainConfig
from gamekeeper.metrics import TABLE
from gamekeeper.registry import game_class, game_names
from gamekeeper.studies.cells import Cell, Lesson, pretrain_cell, sft_cell, train_cell
from gamekeeper.studies.findings import Claim, Findings, bounded, comparisons_note, judged, shown
from gamekeeper.studies.stats import Estimate, Interval, over_seeds
from gamekeeper.studies.store import Placed, Results
from gamekeeper.types import to_plain

GAMES = ("compliance", "selfgrade", "summary", "tamper")
ARMS = ("flawed", "secure")
SMALL = {"width": 64, "layers": 3, "heads": 2, "kv_heads": 1, "ffn": 192}
# Games whose ER is a difference of two shares, and so may lie below 0; elsewhere it is a share of the episodes.
_GAPS = ("compliance",)
LARGE = {"width": 160, "layers": 5, "heads": 5, "kv_heads": 1, "ffn": 480}


@dataclass(frozen=True, slots=True)
class Scope:
    """One call's sizes. `model` is the base; samples are the student's, from few to many; steps in updates.

    honest_every, correction_every: steps between measurements of a student that is taught until it matches its teacher,
    and of one that is corrected.
    """

    games: tuple[str, ...] = GAMES
    seeds: tuple[int, ...] = (0, 1, 2)
    model: str = "pocket"
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    samples: tuple[int, ...] = (128, 512, 2048)
    correction_steps: int = 40
    correction_samples: int = 1024
    honest_every: int = 16
    correction_every: int = 4
    pretrain_steps: int = 7000
    less_pretrained: tuple[int, ...] = (3000,)
    audits: tuple[float, ...] = (
        0.0,
        0.05,
        0.1,
        0.12,
        0.14,
        0.16,
        0.18,
        0.2,
        0.25,
        0.3,
        0.35,
        0.4,
        0.425,
        0.45,
        0.475,
        0.5,
    )

    def settings(self) -> dict[str, Any]:
        """All but games and seeds, for the manifest."""
        return {k: v for k, v in to_plain(self).items() if k not in ("games", "seeds")}


# `pocket` is what the results are made with; `quick` shows in minutes that all parts work, and finds nothing out.
SIZES: Mapping[str, Scope] = {
    "pocket": Scope(),
    "quick": Scope(
        train=TrainConfig(steps=4, items_per_step=8, group=4, minibatches=1, warmup_steps=1),
        eval=EvalConfig(items=8, samples=2),
        sft=SftConfig(samples=16, epochs=1),
        samples=(8, 16),
        correction_steps=3,
        correction_samples=16,
        honest_every=1,
        correction_every=1,
        pretrain_steps=30,
        less_pretrained=(10,),
        audits=(0.0, 0.1, 0.2, 0.3),
    ),
}


@dataclass(frozen=True, slots=True)
class Study:
    """A question and the grid that answers it. how: what is run, in a sentence or two.

    games: all that it can be about, unless others are asked for; least: how many it needs to compare anything.
    """

    name: str
    question: str
    how: str
    seeds: tuple[int, ...]
    place: Callable[[Scope], Sequence[Placed]]
    answer: Callable[[Results], Findings]
    games: tuple[str, ...] = field(default=GAMES)
    least: int = 1


def other_settings(study: Study, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels of cells that a manifest names and that this call's settings would make otherwise.

    The study is placed again at this scope, for the games and seeds of the rows. What only the study does not use, or
    what only adds places (further doses, sizes of a lesson), makes no cell another one.
    """
    roles = [row["role"] for row in rows]
    named = {value for role in roles for value in role.values() if isinstance(value, str)}
    games = tuple(dict.fromkeys((*scope.games, *(name for name in game_names() if name in named))))
    seeds = tuple(sorted({*scope.seeds, *(role["seed"] for role in roles if "seed" in role)}))
    now: dict[str, set[str]] = {}
    for placed in study.place(replace(scope, games=games, seeds=seeds)):
        now.setdefault(_role_key(placed.role), set()).add(placed.cell.address)
    return [
        str(row["label"]) for row in rows if row["address"] not in now.get(_role_key(row["role"]), {row["address"]})
    ]


def _role_key(role: Mapping[str, Any]) -> str:
    return json.dumps(dict(role), sort_keys=True)


def same_cells(study: Study, one: Scope, other: Scope) -> bool:
    """Whether two scopes place the same cells: what differs between them has no effect on this study."""
    return {p.cell.address for p in study.place(one)} == {p.cell.address for p in study.place(other)}


# Shared cells


def game_of(name: str, arm: str = "flawed") -> GameConfig:
    return GameConfig(name, tuple(sorted(game_class(name).arm(arm))))


def grpo(scope: Scope, label: str, game: GameConfig, seed: int, start: Cell | None = None) -> Cell:
    """A GRPO run at the scope's sizes."""
    return train_cell(label, RunConfig(game, scope.train, scope.eval, scope.model, seed), start)


def emergent(scope: Scope, game: str, seed: int, arm: str = "flawed") -> Cell:
    """A run of the emergence study: from the base, on one arm."""
    return grpo(scope, f"{game}-{arm}-seed{seed}", game_of(game, arm), seed)


def small_base(scope: Scope) -> Cell:
    """The base of another size, which distillation teaches and scale compares."""
    return pretrain_cell("base-small", SMALL, scope.pretrain_steps)


def student(scope: Scope, label: str, lesson: Lesson, seed: int, base: Cell | str | None = None) -> Cell:
    """A student fine-tuned from a base."""
    return sft_cell(label, lesson, scope.eval, scope.model if base is None else base, seed)


def sft_of(scope: Scope, samples: int, measure_every: int = 0) -> SftConfig:
    return replace(scope.sft, samples=samples, measure_every=measure_every)


# Shared readings


def measure_of(game: str) -> str:
    """The metric whose rise is the exploit's emergence."""
    return game_class(game).emergence


def habit_of(game: str) -> str:
    """The metric that shows the exploit's behaviour on a repaired game too, where it may be no exploit any more."""
    return game_class(game).habit or measure_of(game)


def ends(record: Mapping[str, Any], when: str, metric: str) -> float | None:
    """One measurement of a record, "base" or "final"; None if it was not made."""
    value = ((record.get(when) or {}).get("metrics") or {}).get(metric)
    return None if value is None else float(value)


def by_seed(results: Sequence[Any], when: str, metric: str) -> dict[int, float]:
    """One measurement of each seed."""
    found = {r.role["seed"]: ends(r.record, when, metric) for r in results}
    return {seed: value for seed, value in found.items() if value is not None}


def limits(game: str, metric: str) -> Interval:
    """The lowest and the highest value that a metric can have in a game."""
    low, high = TABLE[metric].low, TABLE[metric].high
    return (0.0, high) if metric == "er" and game not in _GAPS else (low, high)


def over(results: Sequence[Any], when: str, metric: str, game: str) -> Estimate | None:
    """One measurement over the seeds of some results; its interval does not leave the metric's range."""
    found = over_seeds(list(by_seed(results, when, metric).values()))
    return None if found is None else bounded(found, *limits(game, metric))


def said(results: Sequence[Any], when: str, metric: str, game: str) -> str:
    """The same in words."""
    return shown(over(results, when, metric, game))


def limits_of_change(game: str, metric: str) -> Interval:
    """The lowest and the highest difference that two values of a metric can have."""
    low, high = limits(game, metric)
    return low - high, high - low


def differences(after: Mapping[int, float], before: Mapping[int, float]) -> list[float]:
    """after - before for each seed that both know, in the order of seeds."""
    return [after[s] - before[s] for s in sorted(after) if s in before]


def change_over(values: Sequence[float], game: str, metric: str) -> Estimate | None:
    """The mean of paired differences of a metric; its interval holds no difference that cannot be."""
    found = over_seeds(values)
    return None if found is None else bounded(found, *limits_of_change(game, metric))


def change_shown(values: Sequence[float], game: str, metric: str) -> str:
    """The same in words."""
    return shown(change_over(values, game, metric))


def answered(
    study: Study, results: Results, claims: Iterable[Claim], notes: Sequence[str], **shown_as: Any
) -> Findings:
    """What a study found: its claims judged, its notes and one on how often it compared, where its records come from.

    shown_as: its tables, plots and heat maps.
    """
    verdicts = judged(list(claims))
    told = [*notes, comparisons_note(verdicts), *_other_starts(results)]
    return Findings(study.name, study.question, verdicts=verdicts, notes=told, about=about_of(results), **shown_as)


def _other_starts(results: Results) -> list[str]:
    """Cells that started from a checkpoint that was made again and is not quite the recorded one, said aloud."""
    found = sorted({r.record["label"] for r in results.found if r.record.get("started_from_other")})
    if not found:
        return []
    return [
        f"{', '.join(found)}: started from a checkpoint that was made again, on another machine or with other threads, "
        "and differs from its record. Differences against that record are not quite paired."
    ]


def about_of(results: Results) -> dict[str, Any]:
    """Where and by what a study's records were made."""
    records = [r.record for r in results.found]
    made = {k: sorted({str(r.get(k)) for r in records}) for k in ("commit", "threads", "device", "platform")}
    torch = sorted({str((r.get("versions") or {}).get("torch")) for r in records})
    bases = [r for r in results.besides if r["kind"] == "pretrain"]
    seconds = sum(float(r.get("wall_s") or 0.0) for r in (*records, *bases))
    about = {**made, "torch": torch, "cells": len(records), "missing": results.missing, "core_s": round(seconds)}
    about["bases"] = len(bases)
    return {**about, "command": results.about.get("command"), "seeds": results.values("seed")}
