"""Which rollouts a report shows, and how much of each.

A run has tens of thousands of episodes; a page shows a few hundred, spread as evenly as possible over the steps
and, within a step, over exploited or not, so that the rare first exploits are among them. The draw is a pure
function of the run. Long texts are cut, around the evidence where there is any, and say how much is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from gamekeeper.report.text import count, marks, told_apart
from gamekeeper.report.view import Side
from gamekeeper.seeds import rng
from gamekeeper.studies.record import Rollout
from gamekeeper.types import Message

MOST = 400
TEXT_BUDGET = 900_000
_SHORTEST_CUT = 80
_CONTEXT = 40

# A kind and a stretch of text. Kinds: "", "mark" (evidence), "unseen" (a spelled-out invisible character),
# "mark unseen", and "cut" (how much is left out).
Piece = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """One rollout as the page shows it."""

    run: int
    rollout: Rollout
    prompts: list[list[tuple[str, list[Piece]]]]
    replies: list[list[Piece]]
    facts: str


def choose(strata: Sequence[tuple[Any, ...]], most: int, seed: Any = 0) -> list[int]:
    """At most `most` row numbers, in order, with strata as equal as their sizes allow.

    Each stratum is shuffled by its own stream; rows are then taken in turns, one from each.
    """
    by_stratum: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, stratum in enumerate(strata):
        by_stratum[stratum].append(row)
    turns = []
    for stratum, rows in by_stratum.items():
        draw = rng("report", seed, [str(s) for s in stratum])
        shuffled = draw.sample(rows, min(len(rows), most))
        turns += [(turn, draw.random(), row) for turn, row in enumerate(shuffled)]
    return sorted(row for _, _, row in sorted(turns)[:most])


def strata_of(side: Side) -> list[tuple[Any, ...]]:
    """Step, phase and exploited of every row."""
    out: list[tuple[Any, ...]] = []
    for table in side.run.tables(["step", "phase", "exploited"]):
        columns = table.to_pydict()
        out += zip(columns["step"], columns["phase"], columns["exploited"], strict=True)
    return out


def sampled(sides: Sequence[Side], most: int = MOST, budget: int = TEXT_BUDGET) -> tuple[list[Shown], list[int]]:
    """The rollouts to show of all runs, and how many each run has."""
    chosen: list[tuple[int, Rollout]] = []
    totals = []
    for index, side in enumerate(sides):
        strata = strata_of(side)
        totals.append(len(strata))
        rows = set(choose(strata, most // len(sides), side.run.info.get("seed", 0)))
        chosen += [(index, rollout) for rollout in side.run.rollouts(rows)]
    limit = _limit([rollout for _, rollout in chosen], budget)
    shown = [_shown(index, rollout, limit) for index, rollout in chosen]
    # Escapes can make a text many times as long as it is; then all are cut shorter.
    while sum(map(_weight, shown)) > 1.5 * budget and limit > _SHORTEST_CUT:
        limit = max(_SHORTEST_CUT, limit // 2)
        shown = [_shown(index, rollout, limit) for index, rollout in chosen]
    return shown, totals


def _weight(shown: Shown) -> int:
    """About how many bytes the page spends on a rollout's texts."""
    told = [*(parts for prompt in shown.prompts for _, parts in prompt), *shown.replies]
    return sum(len(escape(text).encode()) + (30 if kind else 0) for parts in told for kind, text in parts)


def _limit(rollouts: Sequence[Rollout], budget: int) -> int:
    """The length at which texts are cut so that all of them stay within the budget."""
    sizes = sorted(len(text) for r in rollouts for text in _texts(r))
    for taken, size in enumerate(sizes):
        share = budget // (len(sizes) - taken)
        if size > share:
            return max(_SHORTEST_CUT, share)
        budget -= size
    return max([_SHORTEST_CUT, *sizes])


def _texts(rollout: Rollout) -> list[str]:
    return [*(m.content for prompt in rollout.prompts for m in prompt), *rollout.replies]


def _shown(index: int, rollout: Rollout, limit: int) -> Shown:
    prompts = [
        [(m.role, pieces(m.content, [], limit)) for m in prompt if not _repeats(m, rollout)]
        for prompt in _fresh(rollout.prompts)
    ]
    evidence = rollout.score.evidence[:500]
    # Evidence is looked for in what is near; a reply of megabytes is not searched to its end.
    replies = [pieces(r, marks(r[: 20 * limit], evidence), limit) for r in rollout.replies]
    facts = ", ".join(f"{k}: {_word(v)}" for k, v in rollout.score.facts.items())
    return Shown(index, rollout, prompts, replies, facts[:limit])


def _repeats(message: Message, rollout: Rollout) -> bool:
    """A later turn's prompt may quote the reply that the page has just shown."""
    return message.role == "assistant" and message.content in rollout.replies


def _fresh(prompts: Sequence[Any]) -> list[Any]:
    """Each turn's prompt without the messages that the turn before showed already."""
    out = []
    before: Sequence[Any] = ()
    for prompt in prompts:
        same = 0
        while same < min(len(before), len(prompt)) and before[same] == prompt[same]:
            same += 1
        out.append(prompt[same:])
        before = prompt
    return out


def pieces(text: str, ranges: Sequence[tuple[int, int]], limit: int) -> list[Piece]:
    """The text as plain and marked stretches, at most about `limit` characters of it."""
    out: list[Piece] = []
    done = 0
    for start, end in _window(len(text), ranges, limit):
        if start > done:
            out.append(("cut", count(start - done, "character")))
        out += _marked(text, start, end, ranges)
        done = end
    if done < len(text):
        out.append(("cut", count(len(text) - done, "character")))
    return out


def _window(size: int, ranges: Sequence[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """What is kept of a text: its beginning, and the first evidence with what stands around it."""
    if size <= limit:
        return [(0, size)]
    if not ranges or ranges[0][1] + _CONTEXT <= limit:
        return [(0, limit)]
    half = limit // 2
    start = max(half, ranges[0][0] - _CONTEXT)
    return [(0, half), (start, min(size, start + limit - half))]


def _marked(text: str, start: int, end: int, ranges: Sequence[tuple[int, int]]) -> list[Piece]:
    out: list[Piece] = []
    at = start
    for low, high in ranges:
        low, high = max(low, at), min(high, end)
        if low < high:
            out += [*_told_apart("", text[at:low]), *_told_apart("mark", text[low:high])]
            at = high
    return [*out, *_told_apart("", text[at:end])]


def _told_apart(kind: str, text: str) -> list[Piece]:
    return [(f"{kind} unseen".strip() if unseen else kind, shown) for unseen, shown in told_apart(text)]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "\u2013" if value is None else str(value)
