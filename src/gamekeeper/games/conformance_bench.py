"""What the conformance checks work on: one game on the bench, its twins in other arms, its episodes played once.

Everything is made on first use and kept, so that a game whose scoring is slow (it runs code, say) is scored once for
all checks that read the scores.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from random import Random
from typing import Any

from gamekeeper.games.base import BaseGame
from gamekeeper.metrics import mean
from gamekeeper.seeds import rng
from gamekeeper.types import Item, Message, Prompt, Score, Script, to_plain

CHANCES = 128  # draws of an item's chance events when a mean over them is needed
HASH_SEEDS = (1, 2)
HASH_ITEMS = 3
PROBE_SECONDS = 300


class NotApplicable(Exception):
    """Raised by a check that does not apply, with the reason."""


@dataclass(frozen=True, slots=True)
class Played:
    """A scripted episode and the score that the game gave it."""

    item: Item
    script: Script
    score: Score


class Bench:
    """One game, `count` items and a seed."""

    def __init__(self, game: BaseGame, count: int, seed: int) -> None:
        self.game, self.count, self.seed = game, count, seed
        self._written: dict[frozenset[str], list[tuple[Item, dict[str, Script]]]] = {}

    # The game and its twins

    @property
    def paper(self) -> bool:
        return self.game.level == "paper"

    @property
    def has_flaw(self) -> bool:
        return bool(self.game.patch_table)

    def is_arm(self, name: str) -> bool:
        return self.game.patches == self.game.arm(name)

    def twin(self, patches: Iterable[str]) -> BaseGame:
        """The same game, data and parameters under other patches."""
        return type(self.game)(patches=frozenset(patches), data=self.game.data, **params_of(self.game))

    def arms(self) -> dict[str, BaseGame]:
        """The flawed and the secure arm and each patch alone."""
        names = ("flawed", "secure", *self.game.patch_table)
        return {name: self.twin(self.game.arm(name)) for name in names}

    def generated(self) -> None:
        if self.paper:
            raise NotApplicable("the items of a data file are given, not generated")

    def scripted(self) -> None:
        """A data file whose replies only a judge can score comes without scripts; a pocket game never does."""
        if not self.scripted_items:
            raise NotApplicable("the game writes no scripts for the items of this data file")

    # Items and episodes

    @cached_property
    def items(self) -> list[Item]:
        return self.game.items("test", self.count, self.seed)

    @cached_property
    def scripted_items(self) -> list[Item]:
        """Those that can be played by script: a row that nothing, or only a judge, can score has no script."""
        return [i for i in self.items if self.game.scripts(i)] if self.paper else self.items

    def chance(self, *path: Any) -> Random:
        return rng("conformance", self.seed, *path)

    @cached_property
    def has_chance(self) -> bool:
        return any(self.game.realize(i, self.chance("probe", n)) != i for i in self.items[:2] for n in range(4))

    def realized(self, draws: int) -> Iterator[Item]:
        """Every item under so many draws of its chance events; once as it is if it has none."""
        for item in self.items:
            if not self.has_chance:
                yield item
            else:
                yield from (self.game.realize(item, self.chance(item.id, k)) for k in range(draws))

    @cached_property
    def played(self) -> list[Played]:
        """Every script of every item, as generated and under a few draws of chance."""
        items = [*self.items, *(self.realized(4) if self.has_chance else ())]
        return play(self.game, [(i, s) for i in items for s in self.game.scripts(i)])

    def script(self, item: Item, name: str, game: BaseGame | None = None) -> Script:
        for script in (game or self.game).scripts(item):
            if script.name == name:
                return script
        raise LookupError(f"the item {item.id} has no script {name!r}")

    def averaged(self, game: BaseGame, name: str, replies_of: BaseGame | None = None) -> list[Played]:
        """A script's episodes over many draws of chance, scored by `game`; the replies may be those of another arm."""
        author = replies_of or game
        if author.patches not in self._written:
            written = [(item, {s.name: s for s in author.scripts(item)}) for item in self.realized(CHANCES)]
            self._written[author.patches] = written
        found = [(item, scripts[name]) for item, scripts in self._written[author.patches] if name in scripts]
        if not found:
            raise LookupError(f"no item has a script {name!r}")
        return play(game, found)

    # Junk

    def junk(self, item: Item) -> dict[str, str]:
        """Replies that no game can take for an answer."""
        prompt = self.game.prompt(item) or ()
        users = [m.content for m in prompt if m.role == "user"]
        return {
            "an empty reply": "",
            "white space": " \n\t\r\n ",
            "the echoed prompt": users[-1] if users else "",
            "an admission": "I do not know",
            "100 kB of words": "la lo ne " * 11_200,
            "NUL bytes": "\x00" * 40,
            "a lone surrogate": "\ud800",
            "numbers that are none": "nan inf -inf 1e999 " + "9" * 6000,
            "10,000 tags": "<think><a>" * 10_000,
            "deep JSON": '{"a":[' * 16_000,
            "deep braces": "\\boxed{" * 14_000,
        }

    @cached_property
    def junk_scores(self) -> list[tuple[Item, str, Score]]:
        """Episodes of nothing but junk: the item, the junk's name and the score."""
        turns = len(self.game.reply_tokens)
        items = (self.scripted_items or self.items)[:2]
        cases = [(item, name, junk) for item in items for name, junk in self.junk(item).items()]
        scores = self.game.score_many([(item, (junk,) * turns) for item, _, junk in cases])
        return [(item, name, score) for (item, name, _), score in zip(cases, scores, strict=True)]

    def strangers(self) -> Iterator[tuple[Item, Script]]:
        """Each item with the honest replies of two other items, where they are not its own too."""
        honest = {i.id: self.script(i, "honest") for i in self.scripted_items}
        for place, item in enumerate(self.scripted_items):
            others = [self.scripted_items[(place + step) % len(self.scripted_items)] for step in (1, 2)]
            for other in others:
                if honest[other.id].replies != honest[item.id].replies:
                    yield item, honest[other.id]


def play(game: BaseGame, episodes: list[tuple[Item, Script]]) -> list[Played]:
    scores = game.score_many([(item, script.replies) for item, script in episodes])
    return [Played(item, script, score) for (item, script), score in zip(episodes, scores, strict=True)]


def mean_reward(played: list[Played]) -> float | None:
    return mean([p.score.reward for p in played if p.score.reward is not None])


def params_of(game: BaseGame) -> dict[str, Any]:
    return {f.name: getattr(game.params, f.name) for f in fields(game.params)}


def contents(item: Item, prompt: Prompt | None) -> str:
    """What the policy sees of an item: two items that look the same are the same task, whatever their coins."""
    return json.dumps([to_plain(m) for m in prompt], sort_keys=True) if prompt else canonical(item.fields)


def canonical(value: Any) -> str:
    return json.dumps(to_plain(value), sort_keys=True, allow_nan=False)


def conversation(game: BaseGame, item: Item, replies: tuple[str, ...], turn: int) -> list[Message]:
    """The messages of one turn, with its reply."""
    return [*(game.prompt(item, replies[:turn]) or ()), Message("assistant", replies[turn])]


# Fresh interpreters


def digests(bench: Bench) -> dict[str, str]:
    """The digest of items, prompts and scores here and under two values of PYTHONHASHSEED, by where it was made."""
    cls = type(bench.game)
    if "<locals>" in cls.__qualname__ or cls.__module__ == "__main__":
        raise NotApplicable(f"{cls.__qualname__} cannot be imported elsewhere; define it at the top of a module file")
    call = {
        "module": cls.__module__,
        "qualname": cls.__qualname__,
        "patches": sorted(bench.game.patches),
        "data": str(bench.game.data.resolve()) if bench.game.data else None,
        "params": to_plain(params_of(bench.game)),
        "count": min(bench.count, HASH_ITEMS),
        "seed": bench.seed,
    }
    with ExitStack() as probes:  # they run while this process works the same out
        asked = {f"PYTHONHASHSEED={s}": probes.enter_context(_probe(call, s)) for s in HASH_SEEDS}
        here = digest(bench.game, call["count"], bench.seed)
        return {"this process": here} | {where: _answer(process) for where, process in asked.items()}


def digest(game: BaseGame, count: int, seed: int) -> str:
    found: list[Any] = []
    for split in ("train", "test"):
        for item in game.items(split, count, seed):
            scripts = game.scripts(item)
            scores = game.score_many([(item, s.replies) for s in scripts])
            found += [item.to_json(), game.prompt(item), scripts, [s.to_json() for s in scores], game.metrics(scores)]
    return hashlib.sha256(canonical(found).encode()).hexdigest()


def _probe(call: dict[str, Any], hash_seed: int) -> subprocess.Popen[str]:
    import os

    code = "from gamekeeper.games.conformance_bench import print_digest; print_digest()"
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(call))
    process.stdin.close()
    process.stdin = None
    return process


def _answer(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"no answer within {PROBE_SECONDS} s"
    if process.returncode:
        return "failed: " + (err.strip().splitlines() or ["no message"])[-1]
    return out.strip()


def print_digest() -> None:
    """The other end of `digests`: reads the call from stdin, prints the digest."""
    call = json.load(sys.stdin)
    cls: Any = import_module(call["module"])
    for name in call["qualname"].split("."):
        cls = getattr(cls, name)
    game = cls(patches=call["patches"], data=call["data"], **call["params"])
    print(digest(game, call["count"], call["seed"]))
