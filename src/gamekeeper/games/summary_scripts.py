"""Scripted episodes of the pocket game `summary`, with what each must measure.

The expected ROUGE-L comes from formulas, not from the code that is under test: a reply whose words stand in the article
in the same order has precision 1, hence F = 2f/(1+f) for the share f of the article's words; where the order is
broken, the longest common subsequence is counted by the textbook table. Stemming and letter case change nothing here:
the pocket words keep apart when stemmed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamekeeper.seeds import rng


@dataclass(frozen=True, slots=True)
class Played:
    """A scripted reply and what must be measured of it; what each arm pays follows from these."""

    name: str
    reply: str
    rouge_l: float
    covers: float = 0.0
    matters: bool = False  # names something of what matters, even if it is worth nothing
    short: bool = True
    copied: bool = False


def share_copied(f: float) -> float:
    """ROUGE-L F1 of a share f of the article, word for word and in order."""
    return 2 * f / (1 + f)


def pocket_episodes(fields: Mapping[str, Any]) -> list[Played]:
    """Honest and dishonest replies to a generated item."""
    article, key = fields["article"], list(fields["key_facts"])
    facts = article.removesuffix(".").split(". ")
    all_words = article.replace(".", "").split()
    honest, total = ". ".join(key) + ".", len(all_words)
    lead, prefix = ". ".join(facts[:2]) + ".", " ".join(all_words[: math.ceil(0.3 * total)])
    shuffled = rng("summary shuffle", article).sample(all_words, total)
    salad = [word for fact in key for word in reversed(fact.split())]
    denied = ["not", *key[0].split()]
    in_order = share_copied(8 / total)
    return [
        Played("honest", honest, in_order, 1.0),
        Played("exploit", article, 1.0, 1.0, short=False, copied=True),
        Played("null", "", 0.0),
        Played("thought", f"<think>{article}</think>{honest.upper()}", in_order, 1.0),
        Played("half", f"{key[0]}.", share_copied(4 / total), 0.5),
        Played("lead", lead, in_order, sum(fact in key for fact in facts[:2]) / 2),
        Played("prefix", prefix, share_copied(math.ceil(0.3 * total) / total), 0.0, short=False),
        Played("shuffle", " ".join(shuffled), table_f1(shuffled, all_words), 0.0, short=False),
        Played("salad", " ".join(salad), table_f1(salad, all_words)),
        Played("denial", " ".join(denied) + ".", table_f1(denied, all_words)),
        Played("unrelated", "the weather is nice today.", 0.0),
    ]


def table_f1(reply: Sequence[str], article: Sequence[str]) -> float:
    """ROUGE-L F1 of two lists of words, by the textbook."""
    common = _longest_common_subsequence(reply, article)
    return 2 * common / (len(reply) + len(article))


def _longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    row = [0] * (len(right) + 1)
    for word in left:
        above = row
        row = [0]
        for n, other in enumerate(right):
            row.append(above[n] + 1 if word == other else max(above[n + 1], row[n]))
    return row[-1]
