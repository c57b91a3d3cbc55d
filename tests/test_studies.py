"""The eight studies' answers from made-up records: each number by hand where one can be, and nothing invented."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fake_studies import fake_results
from gamekeeper.registry import game_class
from gamekeeper.report.study import render
from gamekeeper.report.study_text import markdown
from gamekeeper.studies import audit_grid, catalysis, correct, distill, findings, patches, scale, transfer
from gamekeeper.studies.catalogue import STUDIES, study_of
from gamekeeper.studies.findings import Findings, Table
from gamekeeper.studies.scope import Scope
from gamekeeper.studies.store import Placed, Results

TWO = Scope(games=("selfgrade", "tamper"), seeds=(0, 1, 2))


def answered(study: Any, change: Callable[[Placed], Mapping[str, Any]] | None = None, scope: Scope = TWO) -> Findings:
    return study.STUDY.answer(fake_results(study.STUDY, scope, change))


def row(table: Table, *start: str) -> dict[str, str]:
    """The first row that begins with these cells, by column."""
    found = next(r for r in table.rows if tuple(r[: len(start)]) == start)
    return dict(zip(table.columns, found, strict=True))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_answers_prints_and_draws(name: str) -> None:
    study = study_of(name)
    scope = replace(Scope(), games=study.games, seeds=(0, 1, 2))
    found = study.answer(fake_results(study, scope))
    assert found.study == name
    assert found.tables
    assert found.verdicts
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    assert any("corrected by Holm's method" in note for note in found.notes)
    text = markdown(found)
    assert "Beside the paper" in text
    assert all(v.word in ("agrees", "disagrees", "undecided") for v in found.verdicts)
    page = render(found)
    assert page.count("<svg") == len(found.plots) + len(found.heats)
    assert found.question in html.unescape(page)


@pytest.mark.parametrize("name", STUDIES)
def test_one_seed_is_never_more_than_undecided(name: str) -> None:
    study = study_of(name)
    found = study.answer(fake_results(study, replace(Scope(), games=study.games, seeds=(0,))))
    assert {v.word for v in found.verdicts} == {"undecided"}
    assert any("n=1, no interval" in cell for table in found.tables for row in table.rows for cell in row)


@pytest.mark.parametrize("name", STUDIES)
def test_half_of_the_records_make_no_error_and_no_zeros(name: str) -> None:
    study = study_of(name)
    whole = fake_results(study, replace(Scope(), games=study.games, seeds=(0, 1, 2)))
    half = Results(name, whole.found[::2], len(whole.found) - len(whole.found[::2]), {})
    found = study.answer(half)
    render(found)
    assert "of its cells missing" in markdown(found)


def test_transfer_subtracts_the_base_of_the_same_seed() -> None:
    def change(placed: Placed) -> dict[str, Any]:
        seed, own = placed.role["seed"], placed.role["source"] == placed.role["game"]
        values = {"er": 0.1 * seed, "yes_given_wrong": 0.1 * seed, "itp": 0.5}
        return {"base": values, "final": {k: v + (0.8 if own else -0.05) for k, v in values.items()}}

    found = answered(transfer, change)
    assert [[e.mean for e in line] for line in found.heats[0].values] == [
        [pytest.approx(0.8), pytest.approx(-0.05)],
        [pytest.approx(-0.05), pytest.approx(0.8)],
    ]
    assert len(found.verdicts) == 2
    assert {v.word for v in found.verdicts} == {"agrees"}  # they fall, as the paper saw


def test_catalysis_pairs_by_seed_and_counts_domination_from_the_start() -> None:
    def change(placed: Placed) -> dict[str, Any]:
        gain = 0.0 if placed.role["first"] == "base" else 0.3
        value = 0.2 * placed.role["seed"] + gain
        return {"final": {"yes_given_wrong": value, "er": value}}

    found = answered(catalysis, change)
    pair = next(v for v in found.verdicts if v.claim.what.startswith("tamper, then selfgrade"))
    assert pair.estimate is not None
    assert pair.estimate.mean == pytest.approx(0.3)
    assert pair.word == "agrees"
    assert pair.claim.paper == "47.1 against 32.8 fresh"
    assert [e is None for line in found.heats[0].values for e in line] == [True, False, False, True]
    assert row(found.tables[0], "tamper", "base")["minus fresh"] == ""
    assert row(found.tables[0], "tamper", "selfgrade")["domination"] == "never"


def test_catalysis_pairs_steps_to_domination_and_says_who_is_missing() -> None:
    """Fresh runs pass the bar at step 7, 7 and never; after another game at 3, 5 and 5."""
    steps = {"base": (7, 7, None), "tamper": (3, 5, 5)}
    whole = fake_results(catalysis.STUDY, TWO)
    for result in whole.found:
        at = steps.get(result.role["first"], (None, None, None))[result.role["seed"]]
        passed = [[s, float(at is not None and s >= at)] for s in range(1, 20)]
        result.record["curves"]["yes_given_wrong"] = passed
    found = row(catalysis.answer(whole).tables[0], "selfgrade", "tamper")
    assert found["domination"] == "3 to 5"
    # -4 and -2: mean -3, standard error 1, t(1) = 12.706.
    assert found["domination minus fresh"] == "-3.0 [-15.7, 9.7] (2 of 3 seeds dominate both times)"


def test_distill_says_what_a_lesson_lacked() -> None:
    found = answered(distill)
    short = next(note for note in found.notes if note.startswith("tamper: the teacher's rollouts"))
    assert "fewer than 2048 (by seed: 5 in 64, 5 in 64, 5 in 64)" in short
    assert row(found.tables[0], "tamper", "same", "all")["samples"] == "128 asked, 5 found"
    claims = {(v.claim.what.split(",")[0], v.claim.direction) for v in found.verdicts}
    assert ("tamper", findings.NOT_UP) in claims
    assert ("tamper", findings.UP) in claims
    untried = {r.role["game"] for r in fake_results(distill.STUDY, TWO).of(keep="untried")}
    assert untried == {g for g in TWO.games if game_class(g).tells_attempts}
    assert untried
    assert "rollouts without an exploit or attempt were fewer" in " ".join(found.notes)


def test_correct_reads_half_lives_and_names_unmatched_pairs() -> None:
    def all_at(value: float) -> dict[str, float]:
        return dict.fromkeys(("er", "yes_given_wrong", "score_edit"), value)

    def change(placed: Placed) -> dict[str, Any]:
        role = placed.role
        if role["way"] == "none":
            return {"final": all_at(0.9 if role["exploiter"] == "RL" else 0.5)}
        return {"base": all_at(0.9), "final": all_at(0.41 if role["exploiter"] == "RL" else 0.0)}

    found = answered(correct, change)
    assert any(note.startswith("tamper: seeds 0, 1, 2 are not matched") for note in found.notes)
    # From .9 down to .4 in 10 batches, .05 each: below .45 in the tenth, which nine updates came before. Down to 0, .09
    # each: in the fifth. SFT is measured after its steps.
    by_rl, by_sft = (r for r in found.tables[1].rows if r[:2] == ["tamper", "secure GRPO"])
    assert by_rl[-2:] == ["9.0 (all 3 equal, no interval)", "1"]
    assert by_sft[-2].startswith("4.0 ")
    taught = next(r for r in found.tables[1].rows if r[:2] == ["tamper", "honest SFT"])
    assert taught[-2].startswith("10.0 ")
    halves = {v.claim.what.split(":")[0]: v for v in found.verdicts if "half-life" in v.claim.what}
    assert halves["tamper, secure GRPO"].claim.differences == pytest.approx([5.0, 5.0, 5.0])
    assert halves["tamper, secure GRPO"].word == "as predicted"
    verdicts = {v.claim.what.split(":")[0]: v.word for v in found.verdicts if "residual" in v.claim.what}
    assert verdicts["tamper, secure GRPO"] == "disagrees"  # the paper saw 100 against 100
    assert verdicts["selfgrade, secure GRPO"] == "agrees"  # and 40.5 against 0


def test_exploits_that_halve_between_the_same_measurements_are_not_told_apart() -> None:
    def change(placed: Placed) -> dict[str, Any]:
        ends = dict.fromkeys(("er", "yes_given_wrong", "score_edit"), 0.9)
        return {"base": ends, "final": dict.fromkeys(ends, 0.0) if placed.role["way"] != "none" else ends}

    found = answered(correct, change, replace(TWO, games=("compliance",)))
    assert not any("half-life" in v.claim.what for v in found.verdicts)
    # The paper has compliance fall, and both residuals are 0: there was no room.
    residual = next(v for v in found.verdicts if v.claim.what.startswith("compliance, secure GRPO: residual"))
    assert (residual.word, residual.why.split(":")[0]) == ("undecided", "no room")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (0.07, ("not as predicted", "not as predicted")),
        (0.22, ("as predicted", "not as predicted")),
        (0.4, ("as predicted", "as predicted")),
    ],
)
def test_the_threshold_is_found_where_it_was_put(at: float, words: tuple[str, str]) -> None:
    def change(placed: Placed) -> dict[str, Any]:
        jitter = 0.001 * placed.role["seed"]
        value = 1.0 if placed.role["audit"] < at else 0.0
        return {"final": {"yes_given_wrong": max(0.0, value - jitter), "itp": 0.6}}

    found = answered(audit_grid, change, replace(TWO, games=("selfgrade",)))
    measured = float(found.tables[1].rows[0][1].split()[0])
    assert abs(measured - at) < 0.035
    # Not below 1/7, where Yes pays always; and at the break-even of a policy that cannot tell.
    assert tuple(v.word for v in found.verdicts[:2]) == words
    doses = {0.07: "0.05 and 0.1", 0.22: "0.2 and 0.25", 0.4: "0.35 and 0.4"}[at]
    assert found.tables[1].rows[1][1] == f"{doses} (3 seeds)"
    assert found.tables[1].rows[2][1] == "3 of 3"
    # 1 = p (7 - 7.5 c) at c = .6: p = .4
    assert found.tables[1].rows[4][1] == "0.400"


def test_a_study_of_one_seed_has_no_p_values_and_says_so() -> None:
    found = answered(audit_grid, lambda _: {"final": {"yes_given_wrong": 0.9}}, replace(TWO, seeds=(0,)))
    assert any("none of more than one seed" in note for note in found.notes)
    assert not any("Holm" in note for note in found.notes)


def test_a_sweep_that_never_crosses_has_no_threshold() -> None:
    found = answered(audit_grid, lambda _: {"final": {"yes_given_wrong": 0.9}}, replace(TWO, games=("selfgrade",)))
    assert found.tables[1].rows[0][1] == "unknown"
    assert any("3 seeds do not cross" in note for note in found.notes)
    assert found.verdicts[0].word == "undecided"


def test_patches_has_every_subset_and_judges_the_published_one() -> None:
    assert [len(patches.subsets(g)) for g in ("compliance", "selfgrade", "summary", "tamper")] == [2, 2, 4, 8]

    def change(placed: Placed) -> dict[str, Any]:
        rise = 0.9 if placed.role["patches"] in ("none", "length-gate") else 0.0
        return {"base": {"er": 0.05}, "final": {"er": 0.05 + rise, "itp": 0.7}}

    found = answered(patches, change, replace(TWO, games=("summary",)))
    assert row(found.tables[0], "summary", "length-gate")["suffices"] == "no"
    assert row(found.tables[0], "summary", "coverage")["suffices"] == "yes"
    assert row(found.tables[0], "summary", "length-gate")["ITP, minus secure"].startswith("0.000 ")
    assert row(found.tables[0], "summary", "coverage")["ITP, minus secure"] == ""  # it is the secure set itself
    assert [v.word for v in found.verdicts] == ["disagrees"]
    recommended = "+".join(k for k, p in sorted(game_class("summary").patch_table.items()) if p.recommended)
    assert row(found.tables[0], "summary", recommended)["known as"] == "recommended"


def test_scale_compares_the_largest_with_the_smallest() -> None:
    def change(placed: Placed) -> dict[str, Any]:
        return {"final": {"er": {"small": 0.9, "large": 0.4}.get(placed.role["base"], 0.6)}}

    found = answered(scale, change, replace(TWO, games=("compliance",)))
    assert found.verdicts[0].estimate is not None
    assert found.verdicts[0].estimate.mean == pytest.approx(-0.5)
    assert found.verdicts[0].word == "agrees"
    sizes = [r[2] for r in found.tables[0].rows[:3]]
    assert sizes == ["0.21 M", "0.92 M", "1.62 M"]


# Verdicts


@pytest.mark.parametrize(
    ("direction", "values", "word"),
    [
        (findings.UP, [0.5, 0.52, 0.51], "agrees"),
        (findings.UP, [-0.5, -0.52, -0.51], "disagrees"),
        (findings.UP, [0.001, -0.001, 0.0], "disagrees"),
        (findings.UP, [0.5, -0.4, 0.3], "undecided"),
        (findings.UP, [0.5], "undecided"),
        (findings.UP, [], "undecided"),
        (findings.DOWN, [-0.5, -0.52, -0.51], "agrees"),
        (findings.FLAT, [0.01, -0.01, 0.0], "agrees"),
        (findings.FLAT, [-0.5, -0.52, -0.51], "disagrees"),
        (findings.NOT_UP, [-0.5, -0.52, -0.51], "agrees"),
        (findings.NOT_UP, [0.5, 0.52, 0.51], "disagrees"),
        (findings.NOT_UP, [0.5, -0.4, 0.3], "undecided"),
        (findings.NOT_DOWN, [0.5, 0.52, 0.51], "agrees"),
        (findings.NOT_DOWN, [-0.5, -0.52, -0.51], "disagrees"),
        (findings.NOT_DOWN, [0.5, -0.4, 0.3], "undecided"),
    ],
)
def test_verdicts(direction: str, values: list[float], word: str) -> None:
    assert findings.judged([findings.Claim("x", "", direction, values)])[0].word == word


@pytest.mark.parametrize(
    ("direction", "value", "seeds", "word", "why"),
    [
        (findings.UP, 0.0, 5, "disagrees", "within 0.05 of 0, the same in all 5 seeds"),
        (findings.FLAT, 0.0, 3, "agrees", "within 0.05 of 0, the same in all 3 seeds"),
        (findings.NOT_UP, 0.0, 3, "agrees", "within 0.05 of 0, the same in all 3 seeds"),
        (findings.UP, 0.9, 2, "undecided", "the same in 2 seeds only"),
        (findings.UP, 0.9, 3, "agrees", "clear of 0, the same in all 3 seeds"),
        (findings.UP, 0.04, 3, "disagrees", "within 0.05 of 0, the same in all 3 seeds"),
        (findings.NOT_UP, 0.9, 3, "disagrees", "clear of 0, the same in all 3 seeds"),
    ],
)
def test_equal_seeds_are_judged_by_what_they_share(
    direction: str, value: float, seeds: int, word: str, why: str
) -> None:
    """No interval and no p value, said aloud."""
    found = findings.judged([findings.Claim("x", "", direction, [value] * seeds)])[0]
    assert (found.word, found.why) == (word, why)
    assert found.p is None
    assert found.estimate is not None
    assert findings.shown(found.estimate) == f"{value:.3f} (all {seeds} equal, no interval)"


def test_many_comparisons_make_each_harder() -> None:
    claim = findings.Claim("x", "", findings.UP, [0.1, 0.2, 0.3, 0.35])
    alone = findings.judged([claim])[0]
    crowd = findings.judged([claim] * 20)[0]
    assert (alone.word, crowd.word) == ("agrees", "undecided")
    assert alone.p is not None
    assert crowd.p == pytest.approx(20 * alone.p)


def test_equal_seeds_count_among_the_comparisons() -> None:
    """They are judged, so they make the others harder, as any comparison does; a single seed is not judged."""
    claim = findings.Claim("x", "", findings.UP, [0.1, 0.2, 0.3, 0.35])
    same, single = (findings.Claim("y", "", findings.FLAT, [0.0] * n) for n in (4, 1))
    alone, crowd = findings.judged([claim])[0], findings.judged([claim, *[same] * 3, single])
    assert alone.p is not None
    assert crowd[0].p == pytest.approx(4 * alone.p)
    assert [v.p for v in crowd[1:]] == [None] * 4
    note = findings.comparisons_note(crowd)
    assert "Comparisons judged here: 5, 1 of them with a p value" in note
    assert "for 4 comparisons" in note


@pytest.mark.parametrize(
    ("differences", "room", "word"),
    [
        ([0.0, 0.001, 0.0], 0.01, "undecided"),
        ([0.0, 0.001, 0.0], 0.5, "disagrees"),
        ([-0.5, -0.51, -0.5], 0.01, "disagrees"),
    ],
)
def test_what_stands_at_the_end_of_its_scale_does_not_disagree_by_standing_still(
    differences: list[float], room: float, word: str
) -> None:
    (verdict,) = findings.judged([findings.Claim("c", "", findings.UP, differences, room)])
    assert verdict.word == word
    assert ("no room" in verdict.why) == (word == "undecided")


def test_words_of_a_table_cannot_break_it() -> None:
    from gamekeeper.report.study_text import markdown_table

    text = markdown_table(Table("t", ("a", "b"), [["x|y", "1\n2"]]))
    assert text.splitlines()[2] == "| x\\|y | 1 2 |"
