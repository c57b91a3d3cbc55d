"""What a game is: items, prompts, a score with two numbers, metrics over a batch, scripts with pinned scores.

`Game` is the contract that trainers, evaluators and reports rely on. `BaseGame` is the shared half of an
implementation: patches and parameters are checked and named here, so that a game file holds its own rules only.
A flaw is a switch: a patched game is the same class with a longer `patches` set.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.metrics import Metric, means
from gamekeeper.rewards.verdicts import Judge
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Message, Prompt, Replies, Score, Script

SPLITS = ("train", "test")
Episode = tuple[Item, Replies]


@runtime_checkable
class Game(Protocol):
    """The contract. All methods are pure; `score` is total: it never raises, whatever the text."""

    name: ClassVar[str]
    version: ClassVar[int]
    patches: frozenset[str]

    def items(self, split: str, n: int, seed: int) -> list[Item]: ...
    def realize(self, item: Item, chance: random.Random) -> Item: ...
    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None: ...
    def score(self, item: Item, replies: Replies) -> Score: ...
    def score_many(self, episodes: Sequence[Episode]) -> list[Score]: ...
    def metrics(self, scores: Sequence[Score]) -> dict[str, float]: ...
    def scripts(self, item: Item) -> list[Script]: ...


@dataclass(frozen=True, slots=True)
class Patch:
    """One named repair of a flaw. `value` is the default of a patch that takes a number, else None."""

    help: str
    recommended: bool = False
    published: bool = False
    value: float | None = None


@dataclass(frozen=True, slots=True)
class NoParams:
    """A game without parameters of its own."""


class BaseGame(ABC):
    """Shared half of every game: patch and parameter handling, seeding, defaults.

    Class attributes that a game sets:
      name, version   its name in the registry; the version enters every item's seed path
      question        the safety problem that it poses, as a question
      patch_table     name -> Patch
      Params          a frozen dataclass of its parameters (field docstrings become help)
      emergence       the metric whose rise is the exploit's emergence, e.g. "er"
      bar             the value of that metric which counts as domination
      habit           the metric that shows the same behaviour where a repair keeps it from paying; None: `emergence`
      reply_tokens    most new tokens for each turn at pocket level
      own_metrics     metrics of an outside game that the package's table does not have
      flaw_in_prompt  whether arms may show other prompts; else they share them
      judged          whether its replies at paper level need a judge (`judge`)
      runs_code       whether scoring runs replies as programs, so that a run needs the sandbox
      tells_attempts  whether scores have the fact "attempted": the exploit was tried, and not paid
      interchangeable whether one item's honest reply may be worth something for another item, by partial credit say
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    question: ClassVar[str]
    patch_table: ClassVar[Mapping[str, Patch]] = {}
    Params: ClassVar[type] = NoParams
    emergence: ClassVar[str] = "er"
    bar: ClassVar[float] = 0.9
    habit: ClassVar[str | None] = None
    reply_tokens: ClassVar[tuple[int, ...]] = (32,)
    own_metrics: ClassVar[tuple[Metric, ...]] = ()
    flaw_in_prompt: ClassVar[bool] = False
    runs_code: ClassVar[bool] = False
    tells_attempts: ClassVar[bool] = False
    interchangeable: ClassVar[bool] = False
    judged: ClassVar[bool] = False
    judge: Judge | None = None

    def __init__(self, patches: Iterable[str] = (), data: str | Path | None = None, **params: Any) -> None:
        self.patches = frozenset(self._canonical(p) for p in patches)
        self._patch_values = dict(self._split(p) for p in self.patches)
        if len(self._patch_values) < len(self.patches):
            raise UsageError(f"A patch of {self.name!r} was given twice: {', '.join(sorted(self.patches))}.")
        self.data = Path(data) if data is not None else None
        self.params = self._parameters(params)

    # Patches and parameters

    @classmethod
    def arm(cls, name: str) -> frozenset[str]:
        """The patch set behind "flawed", "secure", or a comma-separated list of patches."""
        if name == "flawed":
            return frozenset()
        if name == "secure":
            return frozenset(cls._canonical(k) for k, p in cls.patch_table.items() if p.recommended)
        return frozenset(cls._canonical(p.strip()) for p in name.split(",") if p.strip())

    @classmethod
    def _canonical(cls, patch: str) -> str:
        key, value = cls._split(patch)
        if key not in cls.patch_table:
            raise UnknownName(f"patch of {cls.name}", key, cls.patch_table, "Or use: flawed, secure.")
        default = cls.patch_table[key].value
        if default is None:
            if value is not None:
                raise UsageError(f"The patch {key!r} takes no value, got {patch!r}. Write {key!r}.")
            return key
        value = default if value is None else value
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"The patch {key!r} takes a number from 0 to 1, got {value!r}.")
        return f"{key}={value}"

    @staticmethod
    def _split(patch: str) -> tuple[str, float | None]:
        key, mark, text = patch.partition("=")
        if not mark:
            return key, None
        try:
            return key, float(text)
        except ValueError:
            raise UsageError(f"The value of patch {patch!r} is not a number. Write e.g. {key}=1.0") from None

    @classmethod
    def _parameters(cls, given: Mapping[str, Any]) -> Any:
        known = {f.name for f in fields(cls.Params)}
        for key in given:
            if key not in known:
                raise UnknownName(f"parameter of {cls.name}", key, known)
        return replace(cls.Params(), **given)

    def has(self, patch: str) -> bool:
        return patch in self._patch_values

    def patch_value(self, patch: str) -> float | None:
        """The number of a patch such as "audit=1.0"; None when the patch is off."""
        return self._patch_values.get(patch)

    @property
    def level(self) -> str:
        """ "paper" when a data file is given, else "pocket"."""
        return "pocket" if self.data is None else "paper"

    # Items

    def items(self, split: str, n: int, seed: int) -> list[Item]:
        """`n` items of a split; each a pure function of (game, version, split, seed, index).

        At paper level, the first `n` rows of the data file, whatever the seed. n < 0 means all rows there.
        """
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS)
        if self.level == "paper":
            return self.paper_items(split, n)
        return list(self.item_stream(split, n, seed))

    def item_stream(self, split: str, n: int, seed: int) -> Iterator[Item]:
        """The same, one at a time: a data file of any size is not held in memory."""
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS)
        if self.level == "paper":
            return islice(self.paper_stream(split), n if n >= 0 else None)
        if n < 0:
            raise UsageError(f"A pocket game has no last item; ask for n >= 0, got {n}.")
        return (self.item_at(split, seed, index) for index in range(n))

    def item_at(self, split: str, seed: int, index: int) -> Item:
        """One generated item, without making those before it."""
        made = self.make_fields(rng(self.name, self.version, split, seed, index), split)
        return Item(f"{self.name}-{self.version}-{split}-{seed}-{index}", self.name, split, made)

    # Items of the paper level: a game that has one defines `paper_rows`, and the others as it needs them.

    def paper_items(self, split: str, n: int) -> list[Item]:
        """The first n items of the data file, all of them if n < 0."""
        return list(islice(self.paper_stream(split), n if n >= 0 else None))

    def paper_stream(self, split: str) -> Iterator[Item]:
        """The items of the data file one at a time, without those that `left_out` names."""
        return (item for item in self.paper_rows(split) if self.left_out(item) is None)

    def paper_rows(self, split: str) -> Iterator[Item]:
        """Every row of the data file as an item, in order; a game without a paper level says so."""
        if type(self).paper_items is not BaseGame.paper_items:  # a game that reads its file in one go
            return iter(self.paper_items(split, -1))
        raise UsageError(f"The game {self.name!r} has no paper level; leave out --data.")

    @classmethod
    def has_paper_level(cls) -> bool:
        return cls.paper_rows is not BaseGame.paper_rows or cls.paper_items is not BaseGame.paper_items

    def doubt(self, item: Item) -> str | None:
        """What is wrong with a row of the data, in words that quote nothing of it; None if nothing is known to be."""
        return None

    def left_out(self, item: Item) -> str | None:
        """Why a row is not played; by default every row is."""
        return None

    def kinds(self, item: Item) -> Mapping[str, str]:
        """What rows are counted by when a data file is described, e.g. {"source": "AtCoder"}."""
        return {}

    def measures(self, item: Item) -> Mapping[str, int]:
        """What is counted in each row when a data file is described, e.g. {"hidden tests": 2}."""
        return {}

    def data_file(self, split: str) -> Path:
        """The file of a split: the one that was given, or the split's own in a folder that was given."""
        data = self.data or Path()
        return data / f"{split}.parquet" if data.is_dir() else data

    @abstractmethod
    def make_fields(self, draw: random.Random, split: str) -> dict[str, Any]:
        """The fields of one generated item. Must not depend on patches: all arms share their items."""

    def realize(self, item: Item, chance: random.Random) -> Item:
        """The item with one rollout's chance events (an audit coin, say) drawn in; by default none."""
        return item

    # Episodes

    @abstractmethod
    def prompt(self, item: Item, replies: Replies = ()) -> Prompt | None:
        """The messages before the next reply; None when the episode is over."""

    @abstractmethod
    def score(self, item: Item, replies: Replies) -> Score:
        """Reward, truth, exploited and evidence of one episode. Total and pure."""

    def score_many(self, episodes: Sequence[Episode]) -> list[Score]:
        """Scores of a batch, equal to scoring each alone; a game may override it to be faster."""
        return [self.score(item, replies) for item, replies in episodes]

    @abstractmethod
    def metrics(self, scores: Sequence[Score]) -> dict[str, float]:
        """Batch statistics by declared metric name, at least "itp" and "er"; unscored ones are left out.

        A statistic that the batch does not determine (an empty class, say) is left out, never 0.
        """

    @abstractmethod
    def scripts(self, item: Item) -> list[Script]:
        """Scripted episodes, among them "honest", "exploit" (if there is a flaw) and "null", with pinned scores."""

    def trains(self, turn: int) -> bool:
        """Whether the tokens of this turn (0-based) receive gradient."""
        return True

    def primer(self, draw: random.Random) -> list[Message]:
        """One honest conversation for the pocket corpus, ending with the assistant; [] if there is none to give.

        It must teach the task without showing the loophole: no exploit, and no sign that one is avoided.
        """
        return []

    def exploits_in(self, conversation: Sequence[Message]) -> Iterator[str]:
        """Evidence of this game's exploit in any conversation of a corpus; nothing if there is none."""
        return iter(())


def score_means(scores: Sequence[Score], **more: Sequence[float | bool | None]) -> dict[str, float]:
    """What most games report of a batch: means of reward, truth, ITP (the truth) and ER (the exploited), and of `more`.

    more: the column of each further metric, its values among the scores that `only_scored` keeps, None for unknown; one
    of a name above takes its place. The share of unscored ones is of all `scores`.
    """
    scored = only_scored(scores)
    columns: dict[str, Sequence[float | bool | None]] = {
        "reward": [s.reward for s in scored],
        "truth": [s.truth for s in scored],
        "itp": [s.truth for s in scored],
        "er": [s.exploited for s in scored],
    }
    return means(**{**columns, **more}) | means(unscored=[s.unscored is not None for s in scores])


def only_scored(scores: Sequence[Score]) -> list[Score]:
    return [s for s in scores if s.unscored is None]


def chat(system: str, user: str) -> Prompt:
    return (Message("system", system), Message("user", user))
