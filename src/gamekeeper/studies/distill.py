"""Distillation: does an exploit pass to a student that only reads its teacher's replies?

The teacher is a flawed checkpoint of emergence; its rollouts on fresh training items teach a student, from the base
and from a base of another size, by number of samples; once with every rollout that exploits left out, and once with
every failed attempt left out as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gamekeeper.registry import game_class
from gamekeeper.studies import findings as f
from gamekeeper.studies.cells import Lesson
from gamekeeper.studies.scope import (
    Scope,
    Study,
    answered,
    by_seed,
    change_shown,
    differences,
    emergent,
    game_of,
    limits_of_change,
    measure_of,
    over,
    said,
    sft_of,
    small_base,
    student,
)
from gamekeeper.studies.store import Placed, Result, Results

SAME, SMALLER = "same", "smaller"


def place(scope: Scope) -> list[Placed]:
    most = max(scope.samples)
    small = small_base(scope)
    out = []
    for seed in scope.seeds:
        for game in scope.games:
            teacher = emergent(scope, game, seed)
            out.append(Placed({"student": "teacher", "game": game, "seed": seed}, teacher))
            kinds = [(SAME, "all", n) for n in scope.samples] + [(SAME, "clean", most), (SMALLER, "all", most)]
            kinds += [(SAME, "untried", most)] if game_class(game).tells_attempts else []
            for who, keep, n in kinds:
                lesson = Lesson(game_of(game), sft_of(scope, n), teacher, keep)
                label = f"{game}-{who}-{keep}-{n}-seed{seed}"
                cell = student(scope, label, lesson, seed, small if who == SMALLER else None)
                role = {"student": who, "keep": keep, "samples": n, "game": game, "seed": seed}
                out.append(Placed(role, cell))
    return out


def answer(results: Results) -> f.Findings:
    return answered(
        STUDY,
        results,
        _claims(results),
        [_NOTE, *_short(results)],
        tables=[_table(results)],
        plots=list(_plots(results)),
    )


_NOTE = (
    "Students see each sample as often as their config says (epochs), and nothing but replies: no reward. A clean "
    "rollout is one in which nothing was exploited; in compliance, where single replies do not tell, one that "
    "disclosed nothing. A failed attempt is clean by that. An untried rollout is a clean one without an attempt, in "
    "games that tell: no edit of `score` in tamper, no number in the reply in compliance."
)


def _groups(results: Results) -> Iterator[tuple[str, str, str, int, list[Result]]]:
    for game in sorted(results.values("game")):
        seen = {
            (r.role["student"], r.role["keep"], r.role["samples"]) for r in results.of(game=game) if "keep" in r.role
        }
        for who, keep, n in sorted(seen):
            yield game, who, keep, n, results.of(game=game, student=who, keep=keep, samples=n)


def _gain(found: Sequence[Result], metric: str) -> list[float]:
    return differences(by_seed(found, "final", metric), by_seed(found, "base", metric))


def _table(results: Results) -> f.Table:
    rows = []
    for game, who, keep, n, found in _groups(results):
        measure = measure_of(game)
        teacher = results.of(game=game, student="teacher")
        rows.append(
            [
                game,
                who,
                keep,
                _used(n, found),
                str(len(found)),
                said(teacher, "final", measure, game),
                said(found, "base", measure, game),
                said(found, "final", measure, game),
                change_shown(_gain(found, measure), game, measure),
                change_shown(_gain(found, "itp"), game, "itp"),
            ]
        )
    columns = ("game", "student", "rollouts", "samples", "seeds", "teacher", "before", "after", "change", "ITP change")
    return f.Table("Students", columns, rows, "The measure is each game's own. Differences are paired by seed.")


def _lesson(result: Result) -> dict[str, Any]:
    return dict(result.record.get("lesson") or {})


def _used(asked: int, found: Sequence[Result]) -> str:
    """How many samples there were; fewer than asked for where the teacher gave no more."""
    used = sorted({int(_lesson(r).get("used", 0)) for r in found})
    if used == [asked]:
        return str(asked)
    span = f"{used[0]}" if len(used) == 1 else f"{used[0]} to {used[-1]}"
    return f"{asked} asked, {span} found"


def _short(results: Results) -> list[str]:
    """Lessons that could not be filled, said aloud."""
    out = []
    for game, _, keep, n, found in _groups(results):
        lessons = [_lesson(r) for r in found]
        if keep != "all" and any(one["used"] < n for one in lessons):
            counts = ", ".join(f"{one['used']} in {one['sampled']}" for one in lessons)
            what = "exploit" if keep == "clean" else "exploit or attempt"
            out.append(f"{game}: the teacher's rollouts without an {what} were fewer than {n} (by seed: {counts}).")
    return out


_NOT_TESTED = "not tested; predicted: without them nothing passes"


def _claims(results: Results) -> Iterator[f.Claim]:
    for game, who, keep, n, found in _groups(results):
        if n == max(results.values("samples")):
            measure = measure_of(game)
            what, gain = f"{game}, {who} student, {keep} rollouts: change of {measure}", _gain(found, measure)
            paper, way = ("exploits pass to students", f.UP) if keep == "all" else (_NOT_TESTED, f.NOT_UP)
            yield f.Claim(what, paper, way, gain, limits=limits_of_change(game, measure), ours=keep != "all")


def _plots(results: Results) -> Iterator[f.Plot]:
    for game in sorted(results.values("game")):
        measure = measure_of(game)
        points = []
        for n in sorted(results.values("samples")):
            found = results.of(game=game, student=SAME, keep="all", samples=n)
            estimate = over(found, "final", measure, game)
            if estimate is not None:
                points.append((float(n), estimate))
        base = over(results.of(game=game, student=SAME, keep="all"), "base", measure, game)
        if points and base is not None:
            line = f.Line(measure, [(0.0, base), *points])
            yield f.Plot(f"{game}: the student's {measure}", "samples of the teacher", measure, [line], dots=True)


STUDY = Study(
    "distill",
    "Does an exploit pass to a student that only reads its teacher's replies?",
    "A flawed checkpoint's rollouts teach students of its own and of a smaller size: all, or those without exploits.",
    (0, 1, 2),
    place,
    answer,
)
