"""The checks of what every game is: its description, items, prompts, scripts, scores and metrics.

Each check is a function that yields what is wrong with the game on the bench, and nothing if all is well. Its
docstring is what it demands; a check that does not apply raises NotApplicable.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Iterator

from gamekeeper.errors import GamekeeperError, MissingExtra
from gamekeeper.games.base import SPLITS, BaseGame, only_scored
from gamekeeper.games.conformance_bench import (
    Bench,
    canonical,
    contents,
)
from gamekeeper.metrics import TABLE, declared
from gamekeeper.types import Item, Message, Prompt, Score

Problems = Iterator[str]
TOLERANCE = 1e-9
JUNK_SECONDS = 1.0
ROLES = ("system", "user", "assistant")

# What the game says of itself


def described(bench: Bench) -> Problems:
    """It has a name, a version, its safety problem as a question, and reply lengths."""
    game = bench.game
    if not (isinstance(game.name, str) and game.name and game.name == game.name.strip().lower()):
        yield f"name is {game.name!r}; give a short lower-case name"
    if not (isinstance(game.version, int) and game.version >= 1):
        yield f"version is {game.version!r}; give a whole number from 1"
    if not getattr(game, "question", "").strip().endswith("?"):
        yield "question does not end with a question mark; state the safety problem as a question"
    if not game.reply_tokens or min(game.reply_tokens) < 1:
        yield f"reply_tokens is {game.reply_tokens!r}; give at least one number above 0, one for each turn"
    known = {*TABLE, *(m.name for m in game.own_metrics)}
    if game.emergence not in known:
        yield f"emergence names the metric {game.emergence!r}, which is not declared"
    yield from (f"the patch {name!r} has no help" for name, patch in game.patch_table.items() if not patch.help.strip())


# Items


def items_pure(bench: Bench) -> Problems:
    """Items are a pure function of split, seed and index, and do not depend on how many are asked for."""
    game, n = bench.game, bench.count
    for split in SPLITS:
        first = game.items(split, n, bench.seed)
        if len(first) != n and not bench.paper:
            yield f"items({split!r}, {n}, {bench.seed}) gave {len(first)} items"
        if game.items(split, n, bench.seed) != first:
            yield f"two calls for the same {split} items differ"
        if game.items(split, max(n // 2, 1), bench.seed) != first[: max(n // 2, 1)]:
            yield f"the first {split} items change with the number asked for"
        yield from (
            f"{i.id} says game {i.game!r}, split {i.split!r}" for i in first if (i.game, i.split) != (game.name, split)
        )


def items_json(bench: Bench) -> Problems:
    """Items survive a round trip through JSON."""
    for item in bench.items:
        text = json.dumps(item.to_json(), allow_nan=False)
        if Item.from_json(json.loads(text)) != item:
            yield f"{item.id} changes on its way through JSON; keep lists, not tuples, and text keys"


def items_apart(bench: Bench) -> Problems:
    """Ids are unique; train and test share no task; neighbouring seeds are not the same tasks shifted."""
    bench.generated()
    game, n, seed = bench.game, bench.count, bench.seed
    train, test, next_seed = game.items("train", n, seed), bench.items, game.items("test", n, seed + 1)
    ids = [i.id for i in (*train, *test, *next_seed)]
    if len(set(ids)) < len(ids):
        yield f"{len(ids) - len(set(ids))} of {len(ids)} ids are used twice"
    seen = {
        name: {contents(i, game.prompt(i)) for i in group}
        for name, group in (("train", train), ("test", test), ("next", next_seed))
    }
    if shared := seen["train"] & seen["test"]:
        yield f"train and test share {len(shared)} of {n} tasks, e.g. {min(shared)[:160]}"
    # In a small space of questions a few may meet by chance; `seed + index` shares all but one.
    if len(seen["test"] & seen["next"]) > n / 4:
        yield f"seeds {seed} and {seed + 1} share {len(seen['test'] & seen['next'])} of {n} tasks; hash the whole path"


def chance_pure(bench: Bench) -> Problems:
    """realize draws from the given chance alone, keeps the id and survives JSON."""
    for item in bench.items:
        made = bench.game.realize(item, bench.chance(item.id))
        if made != bench.game.realize(item, bench.chance(item.id)):
            yield f"realize({item.id}) differs for the same chance"
        if made.id != item.id or Item.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) != made:
            yield f"realize({item.id}) changes the id or makes an item that JSON does not keep"


def arms_share(bench: Bench) -> Problems:
    """All arms share items, chance and, unless the flaw is in the prompt, first prompts."""
    for name, twin in bench.arms().items():
        items = twin.items("test", bench.count, bench.seed)
        if items != bench.items:
            yield f"the arm {name!r} has other items"
            continue
        for item in items:
            if twin.realize(item, bench.chance(item.id)) != bench.game.realize(item, bench.chance(item.id)):
                yield f"the arm {name!r} draws other chance events for {item.id}"
            if not bench.game.flaw_in_prompt and twin.prompt(item) != bench.game.prompt(item):
                yield f"the arm {name!r} shows another prompt for {item.id}; set flaw_in_prompt if that is the flaw"


def prompts_form(bench: Bench) -> Problems:
    """Prompts are chat messages in UTF-8 that end with the user; an episode ends after its turns, whatever was said."""
    game = bench.game
    turns = len(game.reply_tokens)
    for item in bench.items:
        replies = [("",) * turns, ("\ud800\x00",) * turns, *(s.replies for s in game.scripts(item))]
        for said in replies:
            for turn in range(min(turns, len(said))):
                yield from (f"{item.id}, turn {turn + 1}: {p}" for p in _prompt_faults(game.prompt(item, said[:turn])))
        if game.prompt(item, ("x",) * turns) is not None:
            yield f"{item.id}: the episode goes on after {turns} replies; reply_tokens has one entry for each turn"


def _prompt_faults(prompt: Prompt | None) -> Problems:
    if not prompt:
        yield "there is no prompt, though the turn is to be played"
    elif not all(isinstance(m, Message) and m.role in ROLES and isinstance(m.content, str) for m in prompt):
        yield "the prompt is not a row of messages with known roles"
    elif prompt[-1].role != "user":
        yield f"the prompt ends with the {prompt[-1].role}, not the user"
    elif not _is_utf8("".join(m.content for m in prompt)):
        yield "the prompt is no UTF-8 text; clean a quoted reply"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Scripts


def scripts_pinned(bench: Bench) -> Problems:
    """Scripts get the scores that they pin, and include honest and null, and exploit where there is a flaw."""
    bench.scripted()
    needed = {"honest", "null"} | ({"exploit"} if bench.has_flaw else set())
    for item in bench.scripted_items:
        names = [s.name for s in bench.game.scripts(item)]
        if len(set(names)) < len(names):
            yield f"{item.id} has two scripts of one name"
        if missing := needed - set(names):
            yield f"{item.id} lacks the script {', '.join(sorted(missing))}"
    for p in bench.played:
        pinned = (p.script.reward, p.script.truth, p.script.exploited)
        if not _same_score(p.score, *pinned):
            got = (p.score.reward, p.score.truth, p.score.exploited)
            told = f"reward, truth, exploited are {got}, pinned {pinned}; {p.score.evidence}"
            yield f"{p.item.id}, {p.script.name}: {told}"


def _same_score(score: Score, reward: float, truth: float | None, exploited: bool | None) -> bool:
    return score.exploited is exploited and near(score.reward, reward) and near(score.truth, truth)


def near(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else abs(a - b) <= TOLERANCE


def honest_is_true(bench: Bench) -> Problems:
    """The honest script's truth is 1."""
    bench.scripted()
    for p in bench.played:
        if p.script.name == "honest" and not near(p.score.truth, 1.0):
            yield f"{p.item.id}: the honest script's truth is {p.score.truth}"


def scores_formed(bench: Bench) -> Problems:
    """A score is finite, its truth within [0, 1], its evidence one line, its facts plain; or it is unscored."""
    for score in [*(p.score for p in bench.played), *(score for _, _, score in bench.junk_scores)]:
        yield from _score_faults(score)


def _score_faults(score: Score) -> Problems:
    if (score.reward is None) != (score.unscored is not None):
        yield f"reward is {score.reward} and unscored {score.unscored!r}: exactly the unscored have no reward"
    if score.reward is not None and not math.isfinite(score.reward):
        yield f"reward {score.reward} is not finite"
    if score.truth is not None and not 0 <= score.truth <= 1:
        yield f"truth {score.truth} is outside [0, 1]"
    if score.exploited not in (True, False, None):
        yield f"exploited is {score.exploited!r}"
    if len(score.evidence.splitlines()) > 1 or not _is_utf8(score.evidence):
        yield f"the evidence is not one line of UTF-8 text: {score.evidence[:80]!r}"
    for name, value in score.facts.items():
        if not isinstance(value, bool | int | float | str | None) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            yield f"the fact {name!r} is {value!r}, not a plain value"


def scores_pure(bench: Bench) -> Problems:
    """score gives the same twice, the same as score_many, and leaves the item alone."""
    batch = {(p.item.id, p.script.name): p.score for p in reversed(bench.played)}  # the first of an id: as generated
    for item in bench.game.items("test", bench.count, bench.seed)[:3]:  # made anew: those in the batch were scored
        before = canonical(item.to_json())
        for script in bench.game.scripts(item):
            score, again = (bench.game.score(item, script.replies) for _ in range(2))
            if not score == again == batch[item.id, script.name]:
                yield f"{item.id}, {script.name}: score differs from itself or from score_many: {score}, {again}"
            if canonical(item.to_json()) != before:
                yield f"{item.id}, {script.name}: scoring changes the item"


def pickles(bench: Bench) -> Problems:
    """The game, items and scores pickle, so that they can be sent to workers."""
    twin = pickle.loads(pickle.dumps(bench.game))
    if (twin.patches, twin.params, twin.data) != (bench.game.patches, bench.game.params, bench.game.data):
        yield "the game comes back with other patches or parameters"
    for p in bench.played[:8]:
        if pickle.loads(pickle.dumps((p.item, p.score))) != (p.item, p.score):
            yield f"{p.item.id}, {p.script.name}: the item or its score comes back changed"


# Junk


def junk_survives(bench: Bench) -> Problems:
    """score never raises on any text, and takes under a second."""
    turns = len(bench.game.reply_tokens)
    for item in bench.items[:2]:
        honest = next((s.replies for s in bench.game.scripts(item) if s.name == "honest"), ())
        for name, junk in bench.junk(item).items():
            shapes = ((junk,) * turns, (junk,) * (turns + 2), (junk, *honest[1:]), (*honest[:-1], junk))
            for replies in dict.fromkeys(shapes):
                yield from (f"{name}: {fault}" for fault in _scoring_faults(bench.game, item, replies))
        yield from (f"no reply at all: {fault}" for fault in _scoring_faults(bench.game, item, ()))


def _scoring_faults(game: BaseGame, item: Item, replies: tuple[str, ...]) -> Problems:
    seconds = []
    for _ in range(3):  # a busy machine may be slow at times
        start = time.perf_counter()
        try:
            game.score(item, replies)
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - that score raises at all is the finding
            yield f"score raised {type(error).__name__}: {str(error)[:120]}"
            return
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < JUNK_SECONDS:
            return
    yield f"score took {min(seconds):.1f} s, more than {JUNK_SECONDS:g} s"


def junk_worthless(bench: Bench) -> Problems:
    """Junk has no more truth than the game pins for its null script; nor has another item's honest reply."""
    bench.scripted()
    nulls = {i.id: bench.script(i, "null").truth for i in bench.scripted_items}
    found = list(bench.junk_scores)
    if not bench.game.interchangeable:
        strangers = list(bench.strangers())
        scores = bench.game.score_many([(item, script.replies) for item, script in strangers])
        found += [(i, "another item's honest reply", s) for (i, _), s in zip(strangers, scores, strict=True)]
    for item, name, score in found:
        null = nulls[item.id]
        if null is not None and score.truth is not None and score.truth > null + TOLERANCE:
            yield f"{item.id}: {name} has truth {score.truth}, the null script {null}: {score.evidence}"


# Metrics


def metrics_declared(bench: Bench) -> Problems:
    """Metrics are declared, finite, within their range, and have itp and er."""
    bench.scripted()
    game = bench.game
    table = {**TABLE, **{m.name: m for m in game.own_metrics}}
    groups: dict[str, list[Score]] = {"all scripts": [p.score for p in bench.played]}
    for p in bench.played:
        groups.setdefault(f"the script {p.script.name}", []).append(p.score)
    for name, scores in groups.items():
        try:
            values = declared(game.metrics(scores), game.own_metrics)
        except GamekeeperError as error:
            yield f"{name}: {error}"
            continue
        for metric, value in values.items():
            if not table[metric].low - TOLERANCE <= value <= table[metric].high + TOLERANCE:
                yield f"{name}: {metric} is {value}, outside [{table[metric].low}, {table[metric].high}]"
    if lacking := {"itp", "er", "reward", "truth"} - set(game.metrics(groups["all scripts"])):
        yield f"over all scripts, {', '.join(sorted(lacking))} is missing"


def metrics_skip_unscored(bench: Bench) -> Problems:
    """Unscored episodes change no metric but `unscored`, which counts them; of nothing, nothing is claimed."""
    bench.scripted()
    game, scores = bench.game, [p.score for p in bench.played]
    failed = [Score.failed("the grader was out")] * max(len(scores) // 4, 1)
    alone, mixed = dict(game.metrics(scores)), dict(game.metrics([*failed, *scores]))
    share = mixed.pop("unscored", 0.0)
    alone.pop("unscored", None)
    whole = len(scores) + len(failed)
    if not near(share, (whole - len(only_scored(scores))) / whole):
        yield f"`unscored` is {share} where {len(failed)} more of {whole} episodes are unscored"
    for name in sorted(set(alone) | set(mixed)):
        if not near(alone.get(name), mixed.get(name)):
            yield f"unscored episodes move {name} from {alone.get(name)} to {mixed.get(name)}"
    for nothing in ([], failed):
        if claimed := {"itp", "er", "reward", "truth"} & set(game.metrics(nothing)):
            yield f"of no scored episode, metrics claims {', '.join(sorted(claimed))}"
