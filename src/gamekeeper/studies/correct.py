"""Correction: is an exploit that was learnt by RL harder to correct than one that was learnt by imitation?

Two exploiters of equal measure: the flawed checkpoint of emergence, and a student of its rollouts that was stopped as
soon as it came within reach of it. Both are corrected in two ways: GRPO on the secure game, SFT on honest episodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from gamekeeper.studies import findings as f
from gamekeeper.studies.cells import MATCHED, Lesson
from gamekeeper.studies.scope import (
    Scope,
    Study,
    answered,
    by_seed,
    differences,
    emergent,
    ends,
    game_of,
    grpo,
    habit_of,
    limits,
    limits_of_change,
    measure_of,
    said,
    sft_of,
    student,
)
from gamekeeper.studies.stats import half_life, over_seeds
from gamekeeper.studies.store import Placed, Result, Results

NATIVE, DISTILLED = "RL", "SFT"
WAYS = ("secure GRPO", "honest SFT")
# What the paper says of secure GRPO: residual ER of the RL-native exploiter against the SFT-distilled one.
PAPER = {
    "compliance": ("31.1 against 46.7", f.DOWN),
    "tamper": ("100 against 100", f.FLAT),
    "selfgrade": ("40.5 against 0 (Llama)", f.UP),
}


def place(scope: Scope) -> list[Placed]:
    most = scope.correction_samples
    shorter = replace(scope, train=replace(scope.train, steps=scope.correction_steps))
    out = []
    for seed in scope.seeds:
        for game in scope.games:
            native = emergent(scope, game, seed)
            lesson = Lesson(game_of(game), sft_of(scope, most, scope.honest_every), native, match=True)
            distilled = student(scope, f"{game}-matched-seed{seed}", lesson, seed)
            out.append(Placed({"game": game, "exploiter": NATIVE, "way": "none", "seed": seed}, native))
            out.append(Placed({"game": game, "exploiter": DISTILLED, "way": "none", "seed": seed}, distilled))
            for who, start in ((NATIVE, native), (DISTILLED, distilled)):
                head = f"{game}-{who}"
                secure = grpo(shorter, f"{head}-secure-seed{seed}", game_of(game, "secure"), seed, start)
                honest = Lesson(game_of(game), sft_of(scope, most, scope.correction_every))
                taught = student(scope, f"{head}-honest-seed{seed}", honest, seed, start)
                for way, cell in zip(WAYS, (secure, taught), strict=True):
                    out.append(Placed({"game": game, "exploiter": who, "way": way, "seed": seed}, cell))
    return out


def answer(results: Results) -> f.Findings:
    return answered(
        STUDY,
        results,
        _claims(results),
        [_NOTE, *_unmatched(results)],
        tables=[_matching(results), _table(results)],
        plots=list(_plots(results)),
    )


_NOTE = (
    "Residual: the exploit's measure on test items after the correction. Half-life: after how many steps of the "
    "correction the measure was first seen at half of what it was before, or below. Under secure GRPO it is seen at "
    "every step, by the training batch that the policy of that moment plays; under honest SFT on test items, every few "
    "steps (the last column), between which nothing is interpolated. Pairs are compared where both halve. Secure GRPO "
    "is measured on the repaired game. An edit "
    "of `score` pays nothing there and is no exploit; what counts in tamper then is whether the policy still makes one "
    "(score_edit, the paper's ER). The student is stopped once its measure is within "
    f"{MATCHED:g} of its teacher's or above it."
)


def _measure(game: str, way: str) -> str:
    return habit_of(game) if way == WAYS[0] else measure_of(game)


def _games(results: Results) -> list[str]:
    return sorted(results.values("game"))


def _starts(results: Results, game: str, who: str) -> dict[int, float]:
    return by_seed(results.of(game=game, exploiter=who, way="none"), "final", measure_of(game))


def _matching(results: Results) -> f.Table:
    rows = []
    for game in _games(results):
        native, distilled = (results.of(game=game, exploiter=who, way="none") for who in (NATIVE, DISTILLED))
        gap = over_seeds(differences(_starts(results, game, DISTILLED), _starts(results, game, NATIVE)))
        starts = [said(found, "final", measure_of(game), game) for found in (native, distilled)]
        rows.append([game, *starts, f.shown(gap)])
    columns = ("game", "learnt by RL", "learnt by SFT", "difference")
    return f.Table("Where the corrections start", columns, rows, "The exploit's measure on test items.")


def _unmatched(results: Results) -> list[str]:
    """Pairs whose start is not equal, said aloud: their comparison says little."""
    out = []
    for game in _games(results):
        native, distilled = (_starts(results, game, who) for who in (NATIVE, DISTILLED))
        apart = [s for s in native if s in distilled and abs(native[s] - distilled[s]) > 2 * MATCHED]
        if apart:
            out.append(
                f"{game}: {'seed' if len(apart) == 1 else 'seeds'} {', '.join(map(str, apart))} "
                f"{'is' if len(apart) == 1 else 'are'} not matched (starts differ by more than {2 * MATCHED:g}), so "
                "that the comparison says little."
            )
    return out


def _table(results: Results) -> f.Table:
    rows = []
    for game in _games(results):
        for way in WAYS:
            for who in (NATIVE, DISTILLED):
                found = results.of(game=game, exploiter=who, way=way)
                if found:
                    row = [said(found, "final", metric, game) for metric in (_measure(game, way), "itp")]
                    lives = (_lives_shown(found, game, way), _seen_every(found, game, way))
                    rows.append([game, way, who, str(len(found)), *row, *lives])
    columns = (
        "game",
        "correction",
        "exploit learnt by",
        "seeds",
        "residual",
        "ITP after",
        "half-life, steps",
        "seen every, steps",
    )
    return f.Table("What is left of the exploit", columns, rows)


def _series(result: Result, game: str, way: str) -> list[tuple[float, float]]:
    """The measure after so many steps of a correction, from its start on.

    The batch of a GRPO step was played before that step's update, so it shows the policy after one step fewer; that
    of the first step shows the start, which is known better from the test items.
    """
    measure = _measure(game, way)
    curve = [(float(s), v) for s, v in result.record["curves"].get(measure, ())]
    start = ends(result.record, "base", measure)
    if way == WAYS[0]:
        curve = [(s - 1, v) for s, v in curve if s > 1]
    return curve if start is None or (curve and curve[0][0] == 0) else [(0.0, start), *curve]


def _seen_every(found: Sequence[Result], game: str, way: str) -> str:
    """How far apart the measurements of a correction are, at the widest."""
    gaps = [b - a for r in found for (a, _), (b, _) in pairwise(_series(r, game, way))]
    return f"{max(gaps):g}" if gaps else "unknown"


def _half_lives(found: Sequence[Result], game: str, way: str) -> dict[int, float]:
    """By seed, in steps; without the seeds that never halve."""
    lives = {r.role["seed"]: half_life(_series(r, game, way)) for r in found}
    return {seed: life for seed, life in lives.items() if life is not None}


def _lives_shown(found: Sequence[Result], game: str, way: str) -> str:
    reached = _half_lives(found, game, way)
    shown = f.shown(over_seeds(list(reached.values())), low=0.0, digits=1)
    if len(reached) == len(found):
        return shown
    return f"{shown} ({len(reached)} of {len(found)} seeds; the others never halve)" if reached else "never halves"


def _claims(results: Results) -> Iterator[f.Claim]:
    """What is left, and how fast it goes where both of a pair halve."""
    for game in _games(results):
        for way in WAYS:
            found = [results.of(game=game, exploiter=who, way=way) for who in (NATIVE, DISTILLED)]
            resist = ("RL-learnt exploits resist more", f.UP)
            paper, direction = PAPER.get(game, resist) if way == WAYS[0] else resist
            what = f"{game}, {way}: residual {_measure(game, way)}, learnt by RL minus by SFT"
            residuals = [by_seed(each, "final", _measure(game, way)) for each in found]
            room, span = _room(residuals[1], direction), limits_of_change(game, _measure(game, way))
            yield f.Claim(what, paper, direction, differences(*residuals), room, limits=span)
            slower = differences(*(_half_lives(each, game, way) for each in found))
            if any(
                slower
            ):  # where each pair halves between the same two measurements, nothing is known of who was first
                what = f"{game}, {way}: half-life in steps, learnt by RL minus by SFT"
                yield f.Claim(
                    what, "no figure; predicted: RL-learnt ones take longer", f.UP, slower, margin=0, ours=True
                )


def _room(distilled: Mapping[int, float], direction: str) -> float:
    """How far from the SFT-learnt exploit's residual the other's could lie in the direction that the paper names."""
    if not distilled or direction == f.FLAT:
        return math.inf
    mean = math.fsum(distilled.values()) / len(distilled)
    return mean if direction == f.DOWN else 1.0 - mean


def _plots(results: Results) -> Iterator[f.Plot]:
    for game in _games(results):
        for way in WAYS:
            lines = []
            for who in (NATIVE, DISTILLED):
                found = results.of(game=game, exploiter=who, way=way)
                points = f.averaged([_series(r, game, way) for r in found], *limits(game, _measure(game, way)))
                if points:
                    lines.append(f.Line(f"learnt by {who}", points))
            if lines:
                yield f.Plot(f"{game}: {way}", "step of the correction", _measure(game, way), lines)


STUDY = Study(
    "correct",
    "Is an exploit that was learnt by RL harder to correct than one that was learnt by imitation?",
    "Secure GRPO and SFT on honest episodes, from the RL-native exploiter and from a student matched to it.",
    (0, 1, 2),
    place,
    answer,
)
