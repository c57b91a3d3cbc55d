"""check_game: every built-in game passes in every arm, and each check fails on a toy game broken in just that way."""

from __future__ import annotations

import json
import pickle
import random
import re
from pathlib import Path
from typing import Any

import pytest

from broken_games import (
    AnyWord,
    AnyWordDeclared,
    Contains,
    Counted,
    CountedByNumber,
    EndsWithAssistant,
    GlobalChance,
    HalfHonest,
    InfiniteReward,
    ItemsByArm,
    Marking,
    Moody,
    NeedsReply,
    NeverEnds,
    NoExploit,
    NoNull,
    NoRewardNoReason,
    NoTurns,
    OneId,
    OtherMany,
    PromptByArm,
    PromptByArmDeclared,
    QuotesRawly,
    RaisesOnNul,
    RawEvidence,
    RewardAndReason,
    RichFacts,
    SeedPlusIndex,
    Slow,
    SplitsMeet,
    TooFew,
    Toy,
    TruthBelowZero,
    Tuples,
    TwoLines,
    Undescribed,
    Undocumented,
    UnknownEmergence,
    Unpicklable,
    WrongPin,
)
from broken_repairs import (
    BlindDetector,
    BlindToExploit,
    CountsFailures,
    Gap,
    GlobalPrimer,
    Harmless,
    HidesUnscored,
    LeakyRepair,
    NoItp,
    NoPrimer,
    NotFinite,
    NothingRecommended,
    OpenPrimer,
    OutOfRange,
    OwnMetric,
    RepairsNothing,
    Sets,
    ShoutingPrimer,
    TruthByArm,
    Undeclared,
    Wagered,
    ZeroForUnknown,
)
from gamekeeper.errors import CheckFailed, CouldNotLook, DataError, UsageError
from gamekeeper.games import conformance, conformance_checks
from gamekeeper.games.base import BaseGame
from gamekeeper.games.conformance import CheckReport, check_game
from gamekeeper.registry import BUILTIN, game_class, load_game
from gamekeeper.types import Item, Replies, Score, Script, to_plain

SLOWER = pytest.mark.slow  # its metrics load libraries that take seconds, in each fresh interpreter that a check starts


def single_patches(name: str) -> list[str]:
    """Patches that are an arm of their own: neither the flawed arm nor the secure one."""
    cls = game_class(name)
    return [p for p in cls.patch_table if cls.arm(p) != cls.arm("secure")]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the one check that starts fresh interpreters."""
    monkeypatch.setattr(conformance, "CHECKS", {k: v for k, v in conformance.CHECKS.items() if k != "hash-seeds"})


@pytest.mark.parametrize("arm", ["flawed", "secure"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOWER) if n == "summary" else n for n in BUILTIN])
def test_every_built_in_game_passes_flawed_and_secure(name: str, arm: str) -> None:
    check_game(load_game(name, arm)).raise_for_failures()


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("name", "patch"), [(n, p) for n in BUILTIN for p in single_patches(n)])
def test_every_built_in_game_passes_with_each_patch_alone(name: str, patch: str) -> None:
    check_game(load_game(name, patch), items=4).raise_for_failures()


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("arm", ["flawed", "secure"])
@pytest.mark.slow
def test_selfgrade_passes_on_the_papers_data(shared: Path, arm: str) -> None:
    report = check_game(
        load_game("selfgrade", arm, data=shared / "paper_data" / "self_grading" / "test.parquet"), items=4
    )
    report.raise_for_failures()
    assert report.level == "paper"
    assert {c.name for c in report.checks if c.ok is None} >= {"items-apart", "primer-honest", "detector-sees"}


def failed(game: BaseGame, **options: Any) -> set[str]:
    return {c.name for c in check_game(game, **options).failures}


def test_the_toy_passes_every_check_that_applies_to_its_arm() -> None:
    for arm, apart in (("flawed", "secure-holds"), ("secure", "exploit-pays")):
        report = check_game(Toy(Toy.arm(arm)))
        assert report.ok, report.failures
        assert {c.name for c in report.checks if c.ok is None} == {apart}
        assert len({c.name for c in report.checks}) == len(report.checks) == len(conformance.CHECKS)


BROKEN: list[tuple[type[Toy], str, set[str]]] = [
    (Undescribed, "flawed", {"described"}),
    (UnknownEmergence, "flawed", {"described"}),
    (NoTurns, "flawed", {"described"}),
    (Undocumented, "flawed", {"described"}),
    (Counted, "flawed", {"items-pure", "arms-share"}),
    (CountedByNumber, "flawed", {"items-pure"}),
    (TooFew, "flawed", {"items-pure"}),
    (Tuples, "flawed", {"items-json", "chance-pure"}),
    (OneId, "flawed", {"items-apart"}),
    (SplitsMeet, "flawed", {"items-apart"}),
    (SeedPlusIndex, "flawed", {"items-apart"}),
    (GlobalChance, "flawed", {"chance-pure", "arms-share"}),
    (ItemsByArm, "flawed", {"arms-share"}),
    (PromptByArm, "flawed", {"arms-share"}),
    (PromptByArmDeclared, "flawed", set()),
    (EndsWithAssistant, "flawed", {"prompts-form"}),
    (NeverEnds, "flawed", {"prompts-form"}),
    (QuotesRawly, "flawed", {"prompts-form"}),
    (WrongPin, "flawed", {"scripts-pinned"}),
    (NoNull, "flawed", {"scripts-pinned", "junk-worthless"}),
    (NoExploit, "flawed", {"scripts-pinned", "exploit-pays", "detector-sees"}),
    (HalfHonest, "flawed", {"honest-is-true"}),
    (InfiniteReward, "flawed", {"scores-formed"}),
    (TruthBelowZero, "flawed", {"scores-formed"}),
    (TwoLines, "flawed", {"scores-formed"}),
    (RawEvidence, "flawed", {"scores-formed"}),
    (RichFacts, "flawed", {"scores-formed"}),
    (NoRewardNoReason, "flawed", {"scores-formed"}),
    (RewardAndReason, "flawed", {"scores-formed"}),
    (Moody, "flawed", {"scores-pure"}),
    (Marking, "flawed", {"scores-pure"}),
    (OtherMany, "flawed", {"scores-pure"}),
    (Unpicklable, "flawed", {"pickles"}),
    (RaisesOnNul, "flawed", {"junk-survives", "junk-worthless", "scores-formed"}),
    (NeedsReply, "flawed", {"junk-survives"}),
    (Contains, "flawed", {"junk-worthless"}),
    (AnyWord, "flawed", {"junk-worthless"}),
    (AnyWordDeclared, "flawed", set()),
    (Undeclared, "flawed", {"metrics-declared"}),
    (OwnMetric, "flawed", set()),
    (OutOfRange, "flawed", {"metrics-declared"}),
    (NotFinite, "flawed", {"metrics-declared", "metrics-skip-unscored"}),
    (NoItp, "flawed", {"metrics-declared"}),
    (CountsFailures, "flawed", {"metrics-skip-unscored"}),
    (HidesUnscored, "flawed", {"metrics-skip-unscored"}),
    (ZeroForUnknown, "flawed", {"metrics-skip-unscored"}),
    (Harmless, "flawed", {"exploit-pays"}),
    (BlindToExploit, "flawed", {"exploit-pays"}),
    (RepairsNothing, "secure", {"secure-holds"}),
    (LeakyRepair, "secure", {"secure-holds"}),
    (LeakyRepair, "flawed", set()),
    (NothingRecommended, "flawed", {"secure-holds"}),
    (TruthByArm, "flawed", {"exploit-pays", "truth-is-one"}),
    (ShoutingPrimer, "flawed", {"primer-honest"}),
    (OpenPrimer, "flawed", {"primer-honest"}),
    (GlobalPrimer, "flawed", {"primer-honest"}),
    (BlindDetector, "flawed", {"detector-sees"}),
    (NoPrimer, "flawed", set()),
    (Gap, "flawed", set()),
    (Gap, "secure", set()),
    (Wagered, "flawed", set()),
    (Wagered, "secure", set()),
]


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("cls", "arm", "expected"), BROKEN, ids=[f"{c.__name__}-{a}" for c, a, _ in BROKEN])
def test_each_check_fails_on_a_game_broken_in_its_way_and_only_there(
    cls: type[Toy], arm: str, expected: set[str]
) -> None:
    assert failed(cls(cls.arm(arm))) == expected


def test_every_check_is_shown_failing_somewhere() -> None:
    shown = {name for _, _, names in BROKEN for name in names} | {"hash-seeds"}
    assert shown == set(conformance.CHECKS)


@pytest.mark.usefixtures("quickly")
def test_a_slow_score_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance_checks, "JUNK_SECONDS", 0.02)
    report = check_game(Slow())
    why = next(c.why for c in report.failures if c.name == "junk-survives")
    assert re.search(r"10,000 tags: score took [0-9.]+ s, more than 0\.02 s", why)


def test_what_depends_on_the_hash_seed_is_found_in_fresh_interpreters() -> None:
    assert "hash-seeds" in failed(Sets())


def test_a_class_that_fresh_interpreters_cannot_import_is_said_to_be_so() -> None:
    class Local(Toy):
        pass

    why = {c.name: (c.ok, c.why) for c in check_game(Local()).checks}
    assert why["hash-seeds"][0] is None
    assert "define it at the top of a module file" in why["hash-seeds"][1]


# The report


class Raising(Toy):
    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        raise KeyError("words")


class OutOfReach(Toy):
    def score(self, item: Item, replies: Replies) -> Score:
        raise CouldNotLook("The judge does not answer. Start it.")


class Unreadable(Toy):
    def items(self, split: str, n: int, seed: int) -> list[Item]:
        raise DataError("The data file is no parquet file.")


@pytest.mark.usefixtures("quickly")
def test_a_game_that_raises_is_a_failed_report_not_a_traceback() -> None:
    report = check_game(Raising())
    assert not report.ok
    items = next(c for c in report.checks if c.name == "items-pure")
    assert items.ok is False
    assert items.why.startswith("the game raised KeyError: 'words' (at ")
    assert "test_conformance.py" in items.why


class Judged(Toy):
    """Replies to the rows of a data file that only a judge could score: no scripts, no scores."""

    def paper_items(self, split: str, n: int) -> list[Item]:
        return [Item(f"row-{k}", self.name, split, {"word": f"word {k}"}) for k in range(n)]

    def score(self, item: Item, replies: Replies) -> Score:
        return Score.failed("no judge")

    def scripts(self, item: Item) -> list[Script]:
        return []


@pytest.mark.slow
def test_at_paper_level_without_scripts_what_needs_them_does_not_apply() -> None:
    report = check_game(Judged(data="x.parquet"))
    report.raise_for_failures()
    without = {c.name for c in report.checks if c.ok is None and "writes no scripts" in c.why}
    assert without >= {"scripts-pinned", "honest-is-true", "junk-worthless", "metrics-declared", "exploit-pays"}
    assert "junk-survives" not in without
    assert {"scripts-pinned", "exploit-pays"} <= failed(Judged())


def test_a_grader_out_of_reach_and_a_bad_data_file_are_the_callers_errors() -> None:
    with pytest.raises(CouldNotLook, match="judge"):
        check_game(OutOfReach())
    with pytest.raises(DataError, match="no parquet"):
        check_game(Unreadable(data="x.parquet"))
    assert "items-pure" in failed(Unreadable())


@pytest.mark.parametrize("wrong", [Toy, None, "tamper", object()])
def test_what_is_no_game_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="instance of a BaseGame subclass"):
        check_game(wrong)


@pytest.mark.parametrize("items", [1, 0, -3, True, 2.5, None])
def test_too_few_items_are_refused(items: Any) -> None:
    with pytest.raises(UsageError, match="at least 2 items"):
        check_game(Toy(), items=items)


@pytest.mark.usefixtures("quickly")
def test_failures_are_raised_together_and_each_says_what_was_demanded() -> None:
    report = check_game(NoExploit())
    with pytest.raises(CheckFailed) as caught:
        report.raise_for_failures()
    told = str(caught.value)
    assert told.startswith("The game 'toy' (no patch) fails 3 of ")
    assert "lacks the script exploit" in told
    assert "demanded: Scripts get the scores that they pin" in told
    assert "(and 5 more)" in told
    check_game(Toy()).raise_for_failures()


@pytest.mark.usefixtures("quickly")
def test_the_report_is_plain_data() -> None:
    report = check_game(WrongPin(["no-shouting"]))
    assert json.loads(json.dumps(to_plain(report)))["patches"] == ["no-shouting"]
    assert pickle.loads(pickle.dumps(report)) == report
    assert isinstance(report, CheckReport)
    assert all(c.demands.endswith(".") and "\n" not in c.demands for c in report.checks)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.slow
def test_the_games_of_sums_pass_whatever_the_seed(seed: int) -> None:
    for name in ("arithmetic", "selfgrade"):
        assert failed(load_game(name), seed=seed, items=6) == set()
