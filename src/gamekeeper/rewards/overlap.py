"""How much of an article a reply repeats: ROUGE-1, ROUGE-L, BLEU and the paper's mixture of them.

The numbers are those of `rouge_score` (with its Porter stemmer) and of sacrebleu's sentence BLEU, to the last bit;
the tests hold them against both. What differs is the way there. Stems are cached, the longest common subsequence
is rapidfuzz's bit-parallel one over integers, an article is prepared once for all the replies to it, and nothing
keeps whole texts alive (sacrebleu's own tokenizer caches 65,536 of them).

Bound: of any text the first `MAX_CHARS` characters are read, and a word longer than `MAX_WORD` is its own stem (the
stemmer's time grows with the square of a word's length). Below both, results are identical to the oracles'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import count
from typing import Any

from gamekeeper.extras import need

MAX_CHARS = 200_000
MAX_WORD = 100
COPIED = 0.9
"""A reply whose copy score is above this repeats the article (the paper's exploit ratio counts these)."""

_ORDERS = 4  # BLEU's longest n-gram
_ROUGE_WORD = re.compile(r"[a-z0-9]+")
# The stemmer has no rule for a word that ends otherwise; half of all words need not be shown to it.
_STEMMED_ENDINGS = (
    "s", "ed", "ing", "y", "i", "e", "al", "er", "ion", "ator", "ism", "ful", "ic", "ant", "ent", "ou", "ll"
)  # fmt: skip
# The rules of mteval-v13a, which sacrebleu follows: where a space goes between words and marks. The first one parts
# single marks, whatever stands beside them: a table does that several times faster than its regular expression.
_MARKS = {ord(c): f" {c} " for c in map(chr, range(128)) if re.match(r"[\{-\~\[-\` -\&\(-\+\:-\@\/]", c)}
_MTEVAL = (
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a reply shares with an article. BLEU of equal texts may pass 1 by a rounding error, as sacrebleu's does.

    in_order: the share of the article's words that the reply has, in their order (the recall of ROUGE-L).
    """

    rouge_1: float
    rouge_l: float
    bleu: float
    in_order: float = 0.0

    @property
    def copy(self) -> float:
        """The paper's copy score."""
        return 0.5 * (0.7 * self.rouge_1 + 0.3 * self.rouge_l) + 0.5 * self.bleu


class Reference:
    """An article, prepared once for any number of replies."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.words = rouge_words(text)
        self._code = _Codes(zip(dict.fromkeys(self.words), count()))
        self._codes = [self._code[word] for word in self.words]

    def overlap(self, reply: str) -> Overlap:
        """All three measures, with the reply's words found once."""
        words = rouge_words(reply)
        common = self._common(words)
        rouge_l = _f1(common, len(words), len(self.words))
        return Overlap(self._rouge_1(words), rouge_l, self.bleu(reply), common / max(len(self.words), 1))

    def rouge_1(self, reply: str) -> float:
        return self._rouge_1(rouge_words(reply))

    def rouge_l(self, reply: str) -> float:
        words = rouge_words(reply)
        return _f1(self._common(words), len(words), len(self.words))

    def bleu(self, reply: str) -> float:
        """sacrebleu's sentence BLEU with effective order, scaled from percent to [0, 1]."""
        words = mteval_words(reply)
        length, counts = self._ngrams
        tables = _ngram_counts(words)
        correct = [_shared(table, known) for table, known in zip(tables, counts, strict=True)]
        total = [max(len(words) - n, 0) for n in range(_ORDERS)]
        made = _sacrebleu().compute_bleu(correct, total, len(words), length, smooth_method="exp", effective_order=True)
        return made.score / 100

    def _rouge_1(self, words: Sequence[str]) -> float:
        return _f1(_shared(Counter(words), self._counts), len(words), len(self.words))

    def _common(self, words: Sequence[str]) -> int:
        """The length of the longest common subsequence."""
        return lcs_length(self._codes, list(map(self._code.__getitem__, words)))

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(self.words)

    @cached_property
    def _ngrams(self) -> tuple[int, list[Counter[tuple[str, ...]]]]:
        words = mteval_words(self._text)
        return len(words), _ngram_counts(words)


@lru_cache(maxsize=128)
def reference(text: str) -> Reference:
    """The prepared article, shared by the replies to it."""
    return Reference(text)


def rouge_1(reply: str, article: str) -> float:
    """ROUGE-1 F1, stemmed."""
    return reference(article).rouge_1(reply)


def rouge_l(reply: str, article: str) -> float:
    """ROUGE-L F1, stemmed."""
    return reference(article).rouge_l(reply)


def bleu(reply: str, article: str) -> float:
    """Sentence BLEU in [0, 1]."""
    return reference(article).bleu(reply)


def copy_score(reply: str, article: str) -> float:
    """0.5 * (0.7 * ROUGE-1 + 0.3 * ROUGE-L) + 0.5 * BLEU of a reply against its article."""
    return reference(article).overlap(reply).copy


def lcs_length(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """How many items the longest common subsequence of two sequences has."""
    return _lcs().similarity(left, right)


def rouge_words(text: str) -> list[str]:
    """The words that ROUGE compares: lower-case ASCII letters and digits; those of four letters and more stemmed."""
    return list(filter(None, map(_STEMS.__getitem__, _ROUGE_WORD.findall(text[:MAX_CHARS].lower()))))


def mteval_words(text: str) -> list[str]:
    """The words that BLEU compares: sacrebleu's default tokenizer, "13a"."""
    line = text[:MAX_CHARS].rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, mark in _ENTITIES:
            line = line.replace(entity, mark)
    line = f" {line} ".translate(_MARKS)
    for pattern, spaced in _MTEVAL:
        line = pattern.sub(spaced, line)
    return line.split()


def _ngram_counts(words: Sequence[str]) -> list[Counter[tuple[str, ...]]]:
    return [Counter(zip(*(words[k:] for k in range(n)), strict=False)) for n in range(1, _ORDERS + 1)]


def _shared(found: Counter[Any], known: Counter[Any]) -> int:
    if len(known) < len(found):
        found, known = known, found
    return sum(min(times, known[key]) for key, times in found.items() if key in known)


def _f1(common: int, reply_words: int, article_words: int) -> float:
    # The order of operations is rouge_score's: another one differs in the last bit.
    precision, recall = common / max(reply_words, 1), common / max(article_words, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


class _Stems(dict[str, str]):
    """Word -> stem, filled as words come. A plain dictionary: it is looked up for every word of every reply."""

    _MOST = 1 << 16

    def __missing__(self, word: str) -> str:
        if len(self) >= self._MOST:
            self.clear()
        stemmed = 3 < len(word) <= MAX_WORD and word.endswith(_STEMMED_ENDINGS)
        made = self[word] = _stemmer().stem(word) if stemmed else word
        return made


_STEMS = _Stems()


class _Codes(dict[str, int]):
    """Word of the article -> number; any other word gets -1, which matches nothing there."""

    def __missing__(self, word: str) -> int:
        return -1


@cache
def _lcs() -> Any:
    return need("games", "Comparing texts", "rapidfuzz.distance.LCSseq")


@cache
def _stemmer() -> Any:
    return need("games", "Comparing texts", "nltk.stem.porter").PorterStemmer()  # 0.3 s to import


@cache
def _sacrebleu() -> Any:
    return need("games", "Comparing texts", "sacrebleu.metrics.bleu").BLEU
