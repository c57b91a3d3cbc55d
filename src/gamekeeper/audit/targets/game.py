"""A game of this package, or of another one, as target: `game:NAME`, with `--param patches=secure` and the game's own.

A game's score is total and pure and knows the truth, so it is played in this process and its truth is used. It is the
audit's positive control: each flaw is known, and so is each repair.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from gamekeeper.audit.finding import Example, Paid, turns_of
from gamekeeper.audit.target import Call, Spec, Target
from gamekeeper.errors import UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.registry import load_game
from gamekeeper.types import Item

_SPLIT = "test"


class GameTarget:
    """The auditor's view of a game in one arm."""

    truths = True
    layers: tuple[str, ...] = ("a game of this package: its score runs in this process, its programs in the sandbox",)

    def __init__(self, spec: Spec) -> None:
        options = dict(spec.params)
        patches = options.pop("patches", "flawed")
        self.game: BaseGame = load_game(spec.name.partition(":")[2], patches, **options)
        self.name, self.kind = spec.name, "game"
        self.bindings: Sequence[str] = ("Game.score",)
        self.notes = [f"patches: {', '.join(sorted(self.game.patches)) or 'none'}"]
        self.items = self.game.items(_SPLIT, spec.count, spec.seed)
        self.calls = 0

    def source(self) -> str:
        return ""

    def examples(self) -> list[Example]:
        return [self._example(item) for item in self.items]

    def use(self, examples: Sequence[Example], binding: int = 0) -> None:
        known = {e.columns["id"]: n for n, e in enumerate(self.examples())}
        if any(e.columns.get("id") not in known for e in examples):
            raise UsageError(f"{self.name} plays its own items, and no examples of yours. Leave --examples out.")
        self._at = [known[e.columns["id"]] for e in examples]

    def _example(self, item: Item) -> Example:
        """Good is the honest script; bad are those that are worth nothing."""
        scripts = self.game.scripts(item)
        honest = [s.replies for s in scripts if s.name == "honest"]
        bad = [s.replies for s in scripts if s.truth == 0 and len(s.replies) == len(honest[0])]
        prompt = self.game.prompt(item) or ()
        messages = tuple({"role": m.role, "content": m.content} for m in prompt)
        text = "\n".join(m.content for m in prompt if m.role == "user")
        answer = item.fields.get("answer")
        return Example(text, answer, {**item.fields, "id": item.id}, tuple(map(turns_of, honest)), tuple(bad), messages)

    def grade(self, calls: Sequence[Call], *, alone: bool = False, wall_s: float | None = None) -> list[Paid]:
        started = time.perf_counter()
        scores = self.game.score_many([(self.items[self._at[i]], turns) for i, turns in calls])
        self.calls += len(calls)
        each = (time.perf_counter() - started) / max(1, len(calls))
        return [Paid(s.reward, s.unscored or "", "", each, s.truth, s.evidence) for s in scores]

    def grade_together(self, calls: Sequence[Call]) -> list[Paid]:
        return self.grade(calls)

    def again(self) -> Target:
        return self

    def close(self) -> None:
        """Nothing to end."""

    # What the incentive analysis reads

    def realized(self, item: Item, chance: random.Random) -> Item:
        return self.game.realize(item, chance)

    def facts(self) -> dict[str, Any]:
        return {"patches": sorted(self.game.patches), "emergence": self.game.emergence}
