"""The contract that every room relies on: records, errors, seeds, registry, config, metrics, patches and parameters."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper import errors
from gamekeeper.config import EvalConfig, GameConfig, RunConfig, TrainConfig, from_mapping
from gamekeeper.errors import DataError, GamekeeperError, MissingExtra, UnknownName, UsageError
from gamekeeper.games.base import only_scored
from gamekeeper.metrics import TABLE, Metric, declared, mean, means
from gamekeeper.registry import BUILTIN, game_class, load_game
from gamekeeper.seeds import derive, rng
from gamekeeper.types import Item, Message, Score, Script, to_plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

# types


@given(st.text(), st.text(), st.sampled_from(["train", "test"]), st.dictionaries(st.text(), JSON, max_size=4))
def test_an_item_survives_json_and_pickle(name: str, game: str, split: str, fields: dict[str, Any]) -> None:
    item = Item(name, game, split, fields)
    assert Item.from_json(json.loads(json.dumps(item.to_json()))) == item
    assert pickle.loads(pickle.dumps(item)) == item


def test_having_replaces_fields_in_a_copy() -> None:
    item = Item("a", "g", "test", {"x": 1, "y": 2})
    assert item.having(y=3, z=4).fields == {"x": 1, "y": 3, "z": 4}
    assert item.fields == {"x": 1, "y": 2}


def test_records_are_frozen() -> None:
    for record, name in (
        (Item("a", "g", "test", {}), "id"),
        (Score(1.0, 1.0, False), "reward"),
        (Message("user", ""), "role"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, "other")


def test_scores_pickle_and_turn_into_json() -> None:
    for score in (
        Score(1.0, 0.5, None, "seen", facts={"a": 1, "b": None}),
        Score(0.0, None, True),
        Score.failed("out"),
    ):
        assert pickle.loads(pickle.dumps(score)) == score
        assert json.loads(json.dumps(score.to_json()))["facts"] == dict(score.facts)
    with pytest.raises(TypeError):
        Score(1.0, 1.0, False).facts["late"] = 1  # type: ignore[index]


def test_a_failed_score_claims_nothing() -> None:
    failed = Score.failed("the judge is out")
    assert (failed.reward, failed.truth, failed.exploited, failed.unscored) == (None, None, None, "the judge is out")
    assert only_scored([failed, Score(0.0, 0.0, False)]) == [Score(0.0, 0.0, False)]


def test_records_become_plain_json_values() -> None:
    script = Script("honest", ("a", "b"), 1.0, None, False)
    assert to_plain({"s": script, 1: frozenset({"b", "a"})}) == {
        "s": {"name": "honest", "replies": ["a", "b"], "reward": 1.0, "truth": None, "exploited": False},
        "1": ["a", "b"],
    }
    assert to_plain(RunConfig(GameConfig("toy", ("p",))))["game"] == {
        "name": "toy",
        "patches": ["p"],
        "params": {},
        "data": None,
    }


# errors

EVERY_ERROR: list[GamekeeperError] = [
    UnknownName("game", "tampr", ["tamper", "summary"], "See them with: gamekeeper list"),
    MissingExtra("train", "Training", "torch"),
    *(
        cls("what, allowed, next")
        for cls in (UsageError, DataError, errors.CheckFailed, errors.CouldNotLook, errors.RunError)
    ),
]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda e: type(e).__name__)
def test_errors_pickle_whole_so_that_workers_can_send_them(error: GamekeeperError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.args, back.__dict__) == (type(error), str(error), error.args, error.__dict__)


def test_each_error_is_its_standard_kind_with_its_exit_code() -> None:
    kinds = {
        UsageError: ValueError,
        UnknownName: LookupError,
        DataError: ValueError,
        MissingExtra: ImportError,
        errors.CheckFailed: AssertionError,
        errors.CouldNotLook: RuntimeError,
        errors.RunError: RuntimeError,
    }
    codes = {
        UsageError: 2,
        UnknownName: 2,
        DataError: 2,
        MissingExtra: 2,
        errors.CheckFailed: 1,
        errors.CouldNotLook: 3,
        errors.RunError: 3,
    }
    assert all(issubclass(cls, base) and issubclass(cls, GamekeeperError) for cls, base in kinds.items())
    assert {cls: cls.exit_code for cls in codes} == codes


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    told = str(EVERY_ERROR[0])
    assert told == "Unknown game 'tampr'. Did you mean 'tamper'? Known: summary, tamper. See them with: gamekeeper list"
    assert str(UnknownName("game", "zzz", ["tamper"])) == "Unknown game 'zzz'. Known: tamper."
    assert str(UnknownName("patch", "x", [])) == "Unknown patch 'x'. Known: none."


def test_a_missing_extra_gives_the_install_command() -> None:
    assert "pip install 'gamekeeper[train]'" in str(EVERY_ERROR[1])


# seeds


@given(st.lists(JSON, max_size=4), st.lists(JSON, max_size=4))
def test_a_path_has_one_number_and_another_path_another(path: list[Any], other: list[Any]) -> None:
    number = derive(*path)
    assert number == derive(*path)
    assert 0 <= number < 2**63
    if json.dumps(path, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert derive(*other) != number


def test_the_path_is_taken_whole_and_by_type() -> None:
    assert len({derive("a", "b"), derive("ab"), derive("a", "b", ""), derive("b", "a"), derive(["a", "b"])}) == 5
    assert len({derive(1), derive("1"), derive(True), derive(1.0), derive(None)}) == 5
    assert derive({"a": 1, "b": 2}) == derive({"b": 2, "a": 1})
    assert rng("x", 0).random() != rng("x", 1).random()


def test_derived_numbers_never_change() -> None:
    """A change here changes every item ever made: it is a new version of every game, not a fix."""
    assert derive("tamper", 1, "train", 0, 0) == 3446089987878355983
    assert load_game("arithmetic").items("test", 1, 0)[0].fields["question"] == "what is 9 * 98?"


def test_neighbouring_seeds_share_no_stream() -> None:
    starts = {rng("g", seed, index).random() for seed in range(40) for index in range(40)}
    assert len(starts) == 1600


# metrics


def test_the_table_names_each_metric_once_with_a_formula_and_a_range() -> None:
    assert all(
        name == m.name and m.formula and m.low < m.high and m.better in ("up", "down", "") for name, m in TABLE.items()
    )


def test_every_game_is_measured_by_a_declared_metric() -> None:
    assert all(game_class(name).emergence in TABLE for name in BUILTIN)


def test_undeclared_and_infinite_metrics_are_refused() -> None:
    assert declared({"itp": 1, "er": 0.5}) == {"itp": 1.0, "er": 0.5}
    assert declared({"shouts": 1}, [Metric("shouts", "how many")]) == {"shouts": 1.0}
    with pytest.raises(UnknownName, match="Did you mean 'reward'"):
        declared({"rewards": 1.0})
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(UsageError, match="not a finite number; leave it out"):
            declared({"itp": value})


@given(st.lists(st.floats(-1e6, 1e6) | st.booleans(), min_size=1))
def test_the_mean_lies_between_the_extremes_and_forgets_the_order(values: list[float]) -> None:
    found = mean(values)
    assert found is not None
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9
    assert mean(values[::-1]) == found


def test_of_nothing_there_is_no_mean() -> None:
    assert mean([]) is None
    assert means(a=[1, None, 2], b=[None], c=[], d=[True, False]) == {"a": 1.5, "d": 0.5}


# config


@pytest.mark.parametrize(
    "config",
    [RunConfig(GameConfig("toy", ("a", "b"), {"told": 0.5}, "x")), RunConfig(GameConfig("toy"), TrainConfig(steps=3))],
)
def test_a_resolved_config_reads_back_as_it_was_written(config: RunConfig) -> None:
    assert from_mapping(RunConfig, json.loads(json.dumps(to_plain(config)))) == config
    assert from_mapping(RunConfig, asdict(config)) == config


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"game": {"nam": "x"}}, "Unknown key in game 'nam'. Did you mean 'name'?"),
        ({"gama": {}}, "Unknown key in the config 'gama'. Did you mean 'game'?"),
        ({}, "incomplete"),
        ({"game": {}}, "game is incomplete"),
        ({"game": "tamper"}, "game must be a mapping, got str"),
        ([], "must be a mapping, got list"),
        ({"game": {"name": 3}}, "game.name must be str, got 3"),
        ({"game": {"name": "x", "patches": "secure"}}, "game.patches must be a list"),
        ({"game": {"name": "x", "patches": {"a": 1}}}, "game.patches must be a list"),
        ({"game": {"name": "x", "patches": [1]}}, "game.patches[0] must be str, got 1"),
        ({"game": {"name": "x", "params": [1]}}, "game.params must be a mapping"),
        ({"game": {"name": "x", "data": 3}}, "game.data must be str, got 3"),
        ({"game": {"name": "x"}, "seed": 1.0}, "seed must be int, got 1.0"),
        ({"game": {"name": "x"}, "seed": True}, "seed must be int, got True"),
        ({"game": {"name": "x"}, "seed": "1"}, "seed must be int, got '1'"),
        ({"game": {"name": "x"}, "train": {"learning_rate": "fast"}}, "train.learning_rate must be float"),
        ({"game": {"name": "x"}, "train": {"learning_rate": math.nan}}, "must be a finite number"),
        ({"game": {"name": "x"}, "train": {"learning_rate": 10**400}}, "must be a finite number"),
        ({"game": {"name": "x"}, "train": {"learning_rate": -(10**400)}}, "must be a finite number"),
        ({"game": {"name": "x"}, "train": {"learning_rate": 0}}, "learning_rate must be above 0"),
        ({"game": {"name": "x"}, "train": {"group": 1}}, "group must be at least 2, got 1"),
        ({"game": {"name": "x"}, "train": {"items_per_step": 0}}, "items_per_step must be at least 1"),
        ({"game": {"name": "x"}, "train": {"steps": -1}}, "steps must be at least 0"),
        ({"game": {"name": "x"}, "train": {"kl": -0.5}}, "kl must be 0 (off) or more"),
        ({"game": {"name": "x"}, "train": {"precision": "fp16"}}, "Unknown precision 'fp16'"),
        ({"game": {"name": "x"}, "eval": {"top_p": 0}}, "top_p must be above 0"),
        ({"game": {"name": "x"}, "eval": {"top_p": 1.5}}, "top_p must be above 0 and at most 1"),
        ({"game": {"name": "x"}, "eval": {"temperature": -1}}, "temperature must be 0 (greedy) or more"),
        ({"game": {"name": "x"}, "eval": {"top_k": -1}}, "top_k must be at least 0"),
        ({"game": {"name": "x"}, "eval": {"samples": 0}}, "samples must be at least 1"),
    ],
)
def test_bad_configs_are_refused_with_the_place_and_what_is_allowed(data: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(RunConfig, data)
    assert told in str(caught.value)


@given(JSON)
def test_no_json_value_makes_reading_a_config_fail_in_another_way(data: Any) -> None:
    for cls in (RunConfig, TrainConfig, EvalConfig, GameConfig):
        try:
            from_mapping(cls, data)
        except UsageError:
            continue


def test_whole_numbers_do_for_fractions() -> None:
    assert from_mapping(TrainConfig, {"learning_rate": 1}).learning_rate == 1.0
    assert isinstance(from_mapping(EvalConfig, {"top_p": 1}).top_p, float)
