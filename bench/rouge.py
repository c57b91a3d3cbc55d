"""ROUGE-L F1: ours against rouge_score, on the same pairs, in one process: equal to the last bit, and how much faster.

Pairs are drawn from a Zipf-like vocabulary with English endings, so that the stemmer has work; among them empty,
non-ASCII and long texts. Ours is timed twice: with empty caches, and again as it runs after that. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable

from gamekeeper.rewards import overlap
from gamekeeper.seeds import rng

SYLLABLES = ["ka", "lo", "mi", "ne", "ru", "ta", "vor", "sel", "den", "pra", "sti", "con", "ver", "mul"]
ENDINGS = ["", "", "s", "es", "ed", "ing", "ly", "ness", "ational", "ization", "fulness", "y", "ies"]
ODD = ["é", "naïve", "日本語", "e\u0301", "ΣΑΣ", "İstanbul", "don't", "x_1", "3.14", "\x00", "😀", "ﬁne", "\u2028"]
VOCABULARY = 5000
Pair = tuple[str, str]
Measure = Callable[[str, str], float]


def vocabulary(draw: random.Random) -> list[str]:
    return ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) + draw.choice(ENDINGS) for _ in range(VOCABULARY)]


def text(draw: random.Random, words: list[str], length: int) -> str:
    chosen = draw.choices(words, weights=[1 / (rank + 2) for rank in range(len(words))], k=length)
    marks = draw.choices([" ", " ", " ", ", ", ". ", "\n", " - "], k=length)
    return "".join(word + mark for word, mark in zip(chosen, marks, strict=True))


def related(draw: random.Random, article: str) -> str:
    """A reply that shares runs of words with its article, as summaries do."""
    words = article.split(" ")
    kept = [w for w in words if draw.random() < 0.6]
    return " ".join(kept[: draw.randint(0, len(kept))])


def mixed_pairs(count: int) -> list[Pair]:
    """Pairs of all sorts: empty, short, odd, long, related, equal."""
    draw = rng("bench-rouge", "mixed")
    words = vocabulary(draw)
    pairs: list[Pair] = [("", ""), ("", "a word"), ("a word", ""), ("...", "!!!")]
    while len(pairs) < count:
        pool = words + ODD * 50 if draw.random() < 0.3 else words
        article = text(draw, pool, draw.choice([0, 1, 3, 30, 100, 300, 1500]))
        other = text(draw, pool, draw.choice([1, 10, 60, 300]))
        pairs.append((draw.choice([related(draw, article), other, article]), article))
    return pairs


def even_pairs(count: int, length: int) -> list[Pair]:
    draw = rng("bench-rouge", "even", length)
    words = vocabulary(draw)
    return [(text(draw, words, length), text(draw, words, length)) for _ in range(count)]


def theirs() -> Measure:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return lambda reply, article: scorer.score(article, reply)["rougeL"].fmeasure


def timed(measure: Measure, pairs: list[Pair]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    values = [measure(reply, article) for reply, article in pairs]
    return time.perf_counter() - start, values


def compare(pairs: list[Pair], other: Measure) -> dict[str, float]:
    overlap.rouge_l("warm", "warm")  # the stemmer's import is start-up, not speed
    overlap.reference.cache_clear()
    overlap._STEMS.clear()
    ours_s, ours = timed(overlap.rouge_l, pairs)
    again_s, _ = timed(overlap.rouge_l, pairs)
    theirs_s, expected = timed(other, pairs)
    return {
        "pairs": len(pairs),
        "identical": sum(a == b for a, b in zip(ours, expected, strict=True)),
        "ours_s": ours_s,
        "theirs_s": theirs_s,
        "again_s": again_s,
        "ratio": theirs_s / ours_s,
        "ratio_again": theirs_s / again_s,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixed", type=int, default=1000, help="pairs of all sorts")
    parser.add_argument("--even", type=int, default=200, help="pairs of 300 words against 300")
    args = parser.parse_args()
    other = theirs()
    result = {"mixed": compare(mixed_pairs(args.mixed), other), "300x300": compare(even_pairs(args.even, 300), other)}
    print(json.dumps(result))
    return 0 if all(part["identical"] == part["pairs"] for part in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
