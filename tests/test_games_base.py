"""Where games are found and how one is made: registry, patches, parameters, items, defaults."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper import registry
from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.games.base import BaseGame, Game, Patch, chat
from gamekeeper.registry import BUILTIN, game_class, game_names, load_game, outside
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Prompt, Replies, Score, Script

# registry


class Entry:
    """What importlib.metadata hands out for an entry point."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name, self.load = name, load
        self.value, self.dist = "other:Game", type("Dist", (), {"name": "other-package"})()


def announce(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: list(entries) if group == "gamekeeper.games" else [])


def test_the_built_in_games_are_listed_without_importing_one() -> None:
    code = (
        "import sys, gamekeeper.registry as r; assert len(r.game_names()) >= 5; "
        "assert not [m for m in sys.modules if m.startswith('gamekeeper.games')], sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_game_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'tamper'\?.*gamekeeper list"):
        load_game("tampr")


def test_a_game_of_another_package_is_found_and_cannot_take_a_built_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, Entry("toy", lambda: Toy), Entry("arithmetic", lambda: Toy))
    assert game_names() == [*BUILTIN, "toy"]
    assert list(outside()) == ["toy"]
    assert isinstance(load_game("toy"), Toy)
    assert game_class("arithmetic").name == "arithmetic"


def raising(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    "error", [ImportError("no numpy"), AttributeError("no Game"), SyntaxError("bad"), RuntimeError("at import")]
)
def test_a_package_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    announce(monkeypatch, Entry("toy", raising(error)))
    with pytest.raises(UsageError, match=r"'toy' is announced by the package 'other-package' but does not load"):
        load_game("toy")


@pytest.mark.parametrize("thing", [object(), 3, dict, lambda: None])
def test_what_is_no_game_class_is_refused(monkeypatch: pytest.MonkeyPatch, thing: Any) -> None:
    announce(monkeypatch, Entry("toy", lambda: thing))
    with pytest.raises(UsageError, match="not a class derived from"):
        load_game("toy")


def test_an_unfinished_game_class_is_refused_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, Entry("toy", lambda: BaseGame))
    with pytest.raises(UsageError, match=r"does not define make_fields, metrics, prompt, score, scripts"):
        load_game("toy")


def test_arms_are_names_or_lists_of_patches() -> None:
    assert load_game("arithmetic", "flawed").patches == load_game("arithmetic").patches == frozenset()
    assert load_game("selfgrade", "secure").patches == {"audit=1.0"}
    assert (
        load_game("selfgrade", ["audit=0.5"]).patches == load_game("selfgrade", "audit=0.50").patches == {"audit=0.5"}
    )


# games/base: patches and parameters


@dataclass(frozen=True)
class ToyParams:
    size: int = 3


class Toy(BaseGame):
    """Just enough to be made."""

    name = "toy"
    question = "Is it a toy?"
    patch_table: ClassVar = {
        "plain": Patch("no value", recommended=True),
        "rate": Patch("a value", value=0.25, recommended=True),
    }
    Params = ToyParams

    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        return {"n": draw.randrange(10**9), "split": split}

    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        return None if replies else chat("be a toy", str(item.fields["n"]))

    def score(self, item: Item, replies: Replies) -> Score:
        return Score(0.0, 0.0, False, f"{len(replies)} replies to {item.id}")

    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        return {}

    def scripts(self, item: Item) -> list[Script]:
        return []


def test_a_game_keeps_the_contract() -> None:
    assert isinstance(Toy(), Game)


def test_patches_have_one_writing_each() -> None:
    assert Toy(["rate"]).patches == Toy(["rate=0.25"]).patches == Toy(["rate=2.5e-1"]).patches == {"rate=0.25"}
    assert Toy.arm("plain, rate=1") == {"plain", "rate=1.0"}
    assert Toy.arm("secure") == {"plain", "rate=0.25"}
    assert Toy.arm("") == Toy.arm("flawed") == Toy.arm(" , ") == frozenset()
    assert (Toy(["plain"]).has("plain"), Toy(["plain"]).has("rate"), Toy(["rate"]).has("rate")) == (True, False, True)
    assert (
        Toy(["rate=0"]).patch_value("rate"),
        Toy(["plain"]).patch_value("rate"),
        Toy(["plain"]).patch_value("plain"),
    ) == (0.0, None, None)


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ("plan", "Unknown patch of toy 'plan'. Did you mean 'plain'?"),
        ("flawed", "Unknown patch of toy 'flawed'"),
        ("plain=1", "takes no value"),
        ("plain=", "not a number"),
        ("rate=", "not a number"),
        ("rate=half", "not a number"),
        ("rate=nan", "from 0 to 1"),
        ("rate=1e999", "from 0 to 1"),
        ("rate=-0.1", "from 0 to 1"),
        ("rate=1.01", "from 0 to 1"),
        ("=1", "Unknown patch of toy ''"),
    ],
)
def test_bad_patches_are_refused(patch: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Toy([patch])
    assert told in str(caught.value)


def test_a_patch_given_twice_with_two_values_is_refused() -> None:
    with pytest.raises(UsageError, match=r"given twice: rate=0\.25, rate=0\.5"):
        Toy(["rate", "rate=0.5"])
    assert Toy(["rate", "rate=0.25"]).patches == {"rate=0.25"}


@given(st.floats(0, 1))
def test_every_allowed_value_of_a_patch_comes_back(value: float) -> None:
    game = Toy([f"rate={value}"])
    assert game.patch_value("rate") == value
    assert Toy(game.patches).patches == game.patches


def test_parameters_are_checked_by_name() -> None:
    assert Toy(size=5).params == ToyParams(5)
    with pytest.raises(UnknownName, match=r"Unknown parameter of toy 'sise'\. Did you mean 'size'"):
        Toy(sise=5)


def test_items_are_numbered_pure_and_bounded() -> None:
    game = Toy()
    items = game.items("train", 20, 7)
    assert items == Toy(["plain"]).items("train", 20, 7)
    assert items[:5] == game.items("train", 5, 7)
    assert [i.id for i in items[:2]] == ["toy-1-train-7-0", "toy-1-train-7-1"]
    assert (
        len({i.fields["n"] for s in (6, 7, 8) for split in ("train", "test") for i in game.items(split, 20, s)}) == 120
    )
    assert game.items("test", 0, 0) == []
    with pytest.raises(UnknownName, match="split"):
        game.items("valid", 1, 0)
    with pytest.raises(UsageError, match="n >= 0"):
        game.items("test", -1, 0)
    with pytest.raises(UsageError, match="no paper level"):
        Toy(data="x").items("test", 1, 0)


def test_the_defaults_of_a_game() -> None:
    game = Toy()
    item = game.items("train", 1, 0)[0]
    assert game.realize(item, rng("x")) == item
    assert game.score_many([(item, ()), (item, ("a",))]) == [game.score(item, ()), game.score(item, ("a",))]
    assert (game.trains(0), game.primer(rng("x")), list(game.exploits_in([])), game.level) == (True, [], [], "pocket")
    assert Toy(data="x").level == "paper"
