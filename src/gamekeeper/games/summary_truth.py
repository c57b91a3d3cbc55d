"""Is a reply a summary? The truth of the game `summary` at paper level, where no program can read.

Four things that a summary must be, each worth 0 to 1; the truth is their product, within the length limit, else 0.

- *Matter*: it names what matters. With reference highlights: their content words (stemmed). Without: the article's
  `SALIENT` most frequent ones. A few of them stand in any news, so `matter` begins above that.
- *Own words*: it is no passage of the article. Copied in pieces, its trigrams are the article's; with words left out,
  it still runs through the article in order (as ROUGE-L sees it). Enough of both must be new.
- *In step*: pairs of neighbouring words that are the article's, more of them than the same words would make in any
  order: a summary names people, places and things as the article does; shuffled words do so by chance only.
- *In order*: its small words stand as they do in English. "The of", "a was", "in is" are what shuffled text is full
  of; what is asked is how much likelier the pairs are in English than in shuffled words.

So neither a copy, nor a prefix or any other passage, nor a shuffle, nor text on another matter is worth anything, with
the rare exception of a short shuffle that happens to read like English. It follows that a summary made of the
article's own sentences is worth nothing here either, be they well chosen or not: by words alone it is not to be told
from a passage. And nothing here sees whether what is said is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from gamekeeper.rewards.overlap import MAX_CHARS, Reference, lcs_length, reference, rouge_words
from gamekeeper.rewards.word_order import SMALL, english_order

SALIENT = 10
# (worth nothing up to, worth 1 from)
MATTER, HIGHLIGHTS = (0.2, 0.5), (0.2, 0.5)
NOVEL, OUT_OF_STEP = (0.2, 0.7), (0.05, 0.2)
IN_STEP = (0.03, 0.1)
ORDER = (0.3, 2.5)
FEWEST = 8
"""A reply of fewer words is no summary."""


@dataclass(frozen=True, slots=True)
class Worth:
    """The four parts of a reply's truth."""

    matter: float
    own: float
    in_step: float
    in_order: float

    @property
    def truth(self) -> float:
        return self.matter * self.own * self.in_step * self.in_order


NOTHING = Worth(0.0, 0.0, 0.0, 0.0)


def worth(reply: str, article: str, highlights: str | None = None) -> Worth:
    """What a reply is worth as a summary of the article, whatever its length."""
    said = rouge_words(reply)
    if len(said) < FEWEST:
        return NOTHING
    wanted, bounds = (salient_terms(article), MATTER) if highlights is None else (content_of(highlights), HIGHLIGHTS)
    named = len(set(wanted).intersection(said)) / len(wanted) if wanted else 0.0
    about = reference(article)
    return Worth(
        rise(named, bounds), _own(said, about), _in_step(said, about), rise(english_order(reply[:MAX_CHARS]), ORDER)
    )


def rise(value: float, bounds: tuple[float, float]) -> float:
    """0 up to the lower bound, 1 from the upper one on, a straight line between."""
    low, high = bounds
    return min(max((value - low) / (high - low), 0.0), 1.0)


@lru_cache(maxsize=128)
def salient_terms(article: str) -> tuple[str, ...]:
    """The most frequent content words of an article, stemmed; of equally frequent ones those that come first."""
    return tuple(word for word, _ in Counter(_content(rouge_words(article))).most_common(SALIENT))


@lru_cache(maxsize=128)
def content_of(text: str) -> tuple[str, ...]:
    """The different content words of a text, stemmed, in order."""
    return tuple(dict.fromkeys(_content(rouge_words(text))))


def _content(stems: Sequence[str]) -> list[str]:
    return [w for w in stems if len(w) > 2 and w not in function_stems() and not w.isdigit()]


@cache
def function_stems() -> frozenset[str]:
    return frozenset(rouge_words(" ".join(SMALL)))


# Own words


def _own(said: Sequence[str], about: Reference) -> float:
    trigrams = list(zip(said, said[1:], said[2:], strict=False))
    known = _grams(about, 3)
    novel = sum(t not in known for t in trigrams) / len(trigrams)
    in_row = lcs_length(about.words, said) / len(said)
    return min(rise(novel, NOVEL), rise(1 - in_row, OUT_OF_STEP))


@lru_cache(maxsize=256)
def _grams(about: Reference, size: int) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(*(about.words[k:] for k in range(size)), strict=False))


# Order


def _in_step(said: Sequence[str], about: Reference) -> float:
    """Neighbours that are neighbours in the article, beyond what the same words in any order would have."""
    small, known = function_stems(), _grams(about, 2)
    pairs = [p for p in pairwise(said) if {*p} - small]
    if not pairs:
        return 0.0
    found = sum(p in known for p in pairs) / len(pairs)
    counts = Counter(said)
    chance = sum(counts[a] * counts[b] for a, b in known if a in counts and b in counts and {a, b} - small)
    return rise(found - chance / len(said) / len(pairs), IN_STEP)
