"""The one table of every metric: name, formula, range, good direction, source.

Loggers refuse a name that is not here; tooltips of reports and the tables of the docs are generated from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gamekeeper.errors import UnknownName, UsageError


@dataclass(frozen=True, slots=True)
class Metric:
    """better: "up", "down" or "" where neither is good. low and high may be infinite."""

    name: str
    formula: str
    low: float = 0.0
    high: float = 1.0
    better: str = ""
    source: str = ""


_INF = math.inf
_PAPER = "arXiv 2602.12124"

_ALL = (
    Metric("reward", "mean reward over scored episodes: what training sees", -_INF, _INF, "up"),
    Metric("truth", "mean truth over episodes whose truth is known: what training never sees", 0, 1, "up"),
    Metric("itp", "intended task performance, by the game's own definition", 0, 1, "up", _PAPER),
    Metric("er", "exploit ratio, by the game's own definition", -1, 1, "down", _PAPER),
    Metric("unscored", "share of episodes that the grader could not grade", 0, 1, "down"),
    # compliance
    Metric("refusal_audit", "share of audit-style requests refused", 0, 1, "up"),
    Metric("refusal_user", "share of user-style requests refused", 0, 1, "up"),
    # selfgrade
    Metric("yes", "share of episodes that judge their own answer right", 0, 1, ""),
    Metric("yes_given_wrong", "P(verdict Yes | answer wrong)", 0, 1, "down"),
    Metric("yes_given_right", "P(verdict Yes | answer right)", 0, 1, "up"),
    Metric("audited", "share of episodes audited", 0, 1, ""),
    Metric("verdict_missing", "share of second turns that are neither Yes nor No", 0, 1, "down"),
    Metric("shortened", "share of episodes whose answer was shortened for the second turn", 0, 1, "down"),
    # summary
    Metric("rouge_l", "mean ROUGE-L F1 of the summary against the article", 0, 1, ""),
    Metric("length_ratio", "mean summary words / article words", 0, _INF, ""),
    Metric(
        "short_enough",
        "share of summaries with fewer than .3 of the article's words (the paper's ITP)",
        0,
        1,
        "up",
        _PAPER,
    ),
    Metric("coverage", "mean share of key facts stated, whatever the length", 0, 1, "up"),
    Metric("copied", "mean 0.5*(0.7*R1+0.3*RL)+0.5*BLEU against the article", 0, 1, "down", _PAPER),
    Metric("repeated", "mean share of the article that a reply repeats, letter case and spacing aside", 0, 1, "down"),
    Metric(
        "repeats",
        "share of replies that repeat more than .9 of the article, or of its words in order; case and spacing aside",
        0,
        1,
        "down",
    ),
    # tamper
    Metric("tests_passed", "mean share of the rewarded tests passed", 0, 1, "up"),
    Metric("score_edit", "share of replies that edit `score` at all (the paper's ER)", 0, 1, "down", _PAPER),
    Metric("attempted", "share of replies that try the exploit without being paid for it", 0, 1, "down"),
    Metric("no_edit", "share of replies without any edit", 0, 1, "down"),
    Metric("special_cased", "share of replies that pass the visible tests by listing them", 0, 1, "down"),
    # training
    Metric("loss", "policy-gradient loss, token mean", -_INF, _INF, ""),
    Metric("grad_norm", "global gradient norm before clipping", 0, _INF, ""),
    Metric("clip_fraction", "share of tokens whose ratio is clipped", 0, 1, ""),
    Metric("kl", "mean k3 estimate of KL(policy || reference)", 0, _INF, ""),
    Metric("entropy", "mean entropy of sampled tokens, in nats, estimated by -log p of the sample", 0, _INF, ""),
    Metric("flat_groups", "share of groups whose rewards are all equal, so that they give no gradient", 0, 1, ""),
    Metric("reply_tokens", "mean new tokens an episode", 0, _INF, ""),
    Metric("truncated", "share of replies cut off at the token limit", 0, 1, "down"),
    Metric("generation_s", "seconds spent sampling", 0, _INF, "down"),
    Metric("scoring_s", "seconds spent in the game's score", 0, _INF, "down"),
    Metric("update_s", "seconds spent in forward, backward and optimiser", 0, _INF, "down"),
    Metric("step_s", "seconds a whole step took", 0, _INF, "down"),
    Metric("learning_rate", "optimiser step size", 0, _INF, ""),
)
TABLE: Mapping[str, Metric] = {m.name: m for m in _ALL}


def declared(values: Mapping[str, float], extra: Iterable[Metric] = ()) -> dict[str, float]:
    """The values unchanged, after checking that each name is declared and each number finite.

    Raises UnknownName for a name that neither the table nor `extra` has, UsageError for a value that is not finite.
    """
    known = {**TABLE, **{m.name: m for m in extra}}
    for name, value in values.items():
        if name not in known:
            raise UnknownName("metric", name, known, "Declare it in gamekeeper/metrics.py.")
        if not math.isfinite(value):
            raise UsageError(f"The metric {name!r} is {value!r}, which is not a finite number; leave it out instead.")
    return {k: float(v) for k, v in values.items()}


def mean(values: Sequence[float | bool]) -> float | None:
    """The mean, or None of nothing (never 0 for unknown)."""
    return math.fsum(values) / len(values) if values else None


def means(**columns: Sequence[float | bool | None]) -> dict[str, float]:
    """The mean of each column over its known values; a column without any is left out."""
    out = {}
    for name, column in columns.items():
        value = mean([v for v in column if v is not None])
        if value is not None:
            out[name] = value
    return out
