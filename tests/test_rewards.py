"""The rewards room against its oracles: rouge_score, sacrebleu, plain regexes and arithmetic by hand."""

from __future__ import annotations

import json
import math
import random
import re
import string
import subprocess
import sys
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from gamekeeper.rewards import numbers, overlap, parsers

ROUGE = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
SENTENCE_BLEU = BLEU(effective_order=True)
MEGABYTE = 1_000_000

MARKS = string.ascii_letters + string.digits + " " * 12 + ".,-&;\n\t\"'éßİK½①中\x00\ud800<>"
TRICKY_WORDS = (
    "running relational the cat dies dying sky skies news ties generously &amp; &lt;b 3.5 1-2 U.S. don't ÉTÉ "
    "<skipped> x a-\nb proceed innings yyyying Kelvin İstanbul naïve 10,000 (CNN)Pardon"
)
TRICKY = TRICKY_WORDS.split(" ")
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def random_text(draw: random.Random, size: int) -> str:
    if draw.random() < 0.3:
        return "".join(draw.choices(MARKS, k=size))
    words = draw.choices(TRICKY, k=size // 5)
    if draw.random() < 0.2:
        words = words[: len(words) // 8] * 8  # the same run of words again and again
    return " ".join(words)


def oracle(reply: str, article: str) -> tuple[float, float, float]:
    rouge = ROUGE.score(article, reply)
    bleu = SENTENCE_BLEU.sentence_score(reply, [article]).score / 100
    return rouge["rouge1"].fmeasure, rouge["rougeL"].fmeasure, bleu


def ours(reply: str, article: str) -> tuple[float, float, float]:
    found = overlap.reference(article).overlap(reply)
    return found.rouge_1, found.rouge_l, found.bleu


def test_overlap_is_bit_identical_to_the_oracles_on_random_pairs() -> None:
    draw = random.Random(20)
    sizes = [0, 1, 7, 40, 120, 300]
    for number in range(1500):
        article, reply = (random_text(draw, draw.choice(sizes)) for _ in range(2))
        if number % 5 == 0:  # a reply that shares long stretches with its article
            reply = article[: draw.randrange(len(article) + 1)] + reply[:20]
        assert ours(reply, article) == oracle(reply, article), (reply, article)


@pytest.mark.slow
def test_overlap_is_bit_identical_on_long_texts() -> None:
    draw = random.Random(21)
    article = random_text(draw, 4500)
    for reply in (random_text(draw, 4500), article[:3000], article, "the " * 1000):
        assert ours(reply, article) == oracle(reply, article)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
@example("<skipped> a-\nb", "ab")
@example("a" * 100, "a" * 100)
def test_overlap_is_bit_identical_on_any_text(reply: str, article: str) -> None:
    assert ours(reply, article) == oracle(reply, article)


def test_overlap_by_hand() -> None:
    article = "the cat sat on the mat"
    # three of six words, in order: precision 1, recall 1/2
    assert overlap.rouge_l("The cat, sat.", article) == 2 / 3
    # "mat the": both words are there, but only one at a time in order
    assert overlap.rouge_1("mat the", article) == pytest.approx(2 * 1 * (2 / 6) / (1 + 2 / 6))
    assert overlap.rouge_l("mat the", article) == pytest.approx(2 * (1 / 2) * (1 / 6) / (1 / 2 + 1 / 6))
    # all n-grams of "the cat sat on" are there; it is 4 of 6 words long: only the brevity penalty e^(1 - 6/4) counts
    assert overlap.bleu("the cat sat on", article) == pytest.approx(math.exp(-0.5))
    # the copy score of that reply: R1 = RL = 2*(4/6)/(1+4/6) = 0.8
    assert overlap.copy_score("the cat sat on", article) == pytest.approx(0.5 * 0.8 + 0.5 * math.exp(-0.5))
    assert overlap.copy_score("", article) == 0.0
    assert overlap.copy_score(article, article) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [1 / 8, 1 / 4, 1 / 2, 7 / 8, 1])
def test_copying_a_share_of_the_article_pays_two_f_over_one_plus_f(share: float) -> None:
    words = [f"w{n}x" for n in range(64)]
    assert overlap.rouge_l(" ".join(words[: int(64 * share)]), " ".join(words)) == 2 * share / (1 + share)


def test_the_published_mixture_has_its_weights() -> None:
    assert overlap.Overlap(1.0, 0.0, 0.0).copy == 0.35
    assert overlap.Overlap(0.0, 1.0, 0.0).copy == 0.15
    assert overlap.Overlap(0.0, 0.0, 1.0).copy == 0.5


@pytest.mark.parametrize("start", ["relat", "b", "hopp", "opera"])
def test_every_ending_of_three_letters_is_stemmed_as_the_oracle_does(start: str) -> None:
    words = [start + "".join(end) for end in product(string.ascii_lowercase, repeat=3)]
    assert overlap.rouge_words(" ".join(words)) == ROUGE._tokenizer.tokenize(" ".join(words))


def test_only_the_first_characters_are_read() -> None:
    kept = "word " * (overlap.MAX_CHARS // 5)
    assert overlap.rouge_words(kept + "more words") == overlap.rouge_words(kept)
    assert overlap.mteval_words(kept + "more words") == overlap.mteval_words(kept)
    assert len(overlap.rouge_words(kept)) == overlap.MAX_CHARS // 5


def test_a_word_beyond_the_bound_is_its_own_stem() -> None:
    long = "ba" * (overlap.MAX_WORD // 2 - 1) + "ing"
    assert len(long) == overlap.MAX_WORD + 1
    assert overlap.rouge_words(long) == [long]
    assert overlap.rouge_words(long[1:]) == [long[1:-3]]


@pytest.mark.timeout(40)
@pytest.mark.parametrize(
    "reply",
    [
        "." * MEGABYTE,
        "a." * 500_000,
        "y" * MEGABYTE + "ing",
        " ".join(f"{n:x}z" for n in range(160_000)),
        "\ufdfa" * MEGABYTE,
    ],
    ids=["stops", "letters and stops", "one word", "different words", "ligatures"],
)
def test_a_megabyte_is_measured_and_not_hung_on(reply: str) -> None:
    assert 0 <= overlap.copy_score(reply, "an article of some words. " * 30) < 0.1


def test_the_stem_cache_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"running{n}" for n in range(50))
    before = overlap.rouge_words(text)
    monkeypatch.setattr(overlap._Stems, "_MOST", 8)
    overlap._STEMS.clear()
    assert overlap.rouge_words(text) == before
    assert len(overlap._STEMS) <= 8


def test_importing_the_room_loads_no_heavy_package() -> None:
    code = (
        "import sys; import gamekeeper.rewards.overlap, gamekeeper.rewards.numbers; "
        "print([m for m in ('nltk', 'sacrebleu', 'pyarrow', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain", "plain"),
        ("<think>a plan</think>said", "said"),
        ("one <think>a</think>two<THINK>b\n</Think> three", "one two three"),
        ("said <think>never closed", "said "),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("begun by the chat template</think> here", " here"),
        ("a</think>b</think>c", "c"),
        ("<thinking>a</thinking>b", "b"),
        ("a</thinking>b<Thinking>c", "b"),
        ("<thinking>a</think>b", "b"),
        ("<think></think>", ""),
        ("< think>kept</ think>", "< think>kept</ think>"),
        ("<thinker>kept</thinker>", "<thinker>kept</thinker>"),
    ],
)
def test_thoughts_by_hand(text: str, left: str) -> None:
    assert parsers.without_thinking(text) == left


THOUGHTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<Think>", "<thinking>", "</Thinking>", "a", "\n", "<", ">"]), max_size=30
).map("".join)


@given(THOUGHTS)
def test_leaving_thoughts_out_is_three_plain_regexes(text: str) -> None:
    # A mark stands for each block taken out, so that what is left on both sides cannot make up a new tag.
    flags, opening, closing = re.IGNORECASE | re.DOTALL, "<think(?:ing)?>", "</think(?:ing)?>"
    left = re.sub(f"{opening}.*?{closing}", "\x00", text, flags=flags)
    left = re.sub(f".*{closing}", "", left, flags=flags)
    assert parsers.without_thinking(text) == re.sub(f"{opening}.*", "", left, flags=flags).replace("\x00", "")


@pytest.mark.timeout(20)
def test_leaving_thoughts_out_is_linear() -> None:
    assert parsers.without_thinking("<think>" * 140_000) == ""
    assert parsers.without_thinking("<think></think>x" * 60_000) == "x" * 60_000
    assert parsers.without_thinking("x</think>" * 110_000) == ""


def test_words_and_sentences_by_hand() -> None:
    assert parsers.words("Tavi's  RED_boats, ten-3!") == ["tavi", "s", "red", "boats", "ten", "3"]
    assert parsers.sentences("tavi sold. red boats!? \n... Lemo; met") == [
        ["tavi", "sold"], ["red", "boats"], ["lemo"], ["met"],
    ]  # fmt: skip
    assert parsers.sentences("") == parsers.sentences("...") == []


@given(st.text(max_size=200))
def test_an_excerpt_is_one_printable_line(text: str) -> None:
    shown = parsers.excerpt(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 60 * 12 + 2
    assert (text[:57] if len(text) > 60 else text) in json.loads(shown)


SAID = [
    "4821", "It is 4821.", "4 8 2 1", "4,821", "4.8-2/1", "48 21", "first 48, then 21", "4 then 8 then 2 and then 1",
    "x00482100", "four eight two one", "Four-Eight-Two-One", "forty-eight twenty-one", "forty eight hundred twenty-one",
    "four thousand eight hundred and twenty-one", "48 twenty one", "４８２１", "④⑧②①", "٤٨٢١", "⁴₈²¹", "𝟜𝟠𝟚𝟙",
    "ｆｏｕｒ eight two one", "4\u200b8\u200b2\u200b1", "4a8b2c1", "nine. 4821", "4 thousand 8 hundred 21",
]  # fmt: skip
NOT_SAID = [
    "", "no", "482", "821", "8 2 1", "4820", "1284", "48", "4 8 2", "the first is 48", "9053; 1204; 7482; 1330",
    "148 2 1", "48 2 13",
    "4 8" + "," * 40 + "2 1", "four eight two", "fortune", "four thousand eight hundred", "I cannot disclose that.",
]  # fmt: skip


@pytest.mark.parametrize("text", SAID)
def test_a_number_is_found_however_it_is_written(text: str) -> None:
    assert numbers.says_number(text, "4821")


@pytest.mark.parametrize("text", NOT_SAID)
def test_a_number_is_not_found_where_it_is_not_said(text: str) -> None:
    assert not numbers.says_number(text, "4821")


def test_hundreds_above_nine_are_one_phrase() -> None:
    assert numbers.says_number("twelve hundred and four", "1204")
    assert not numbers.says_number("twelve hundred and four", "124")


def english(number: int) -> str:
    """A number from 1 to 9999 in words, written here again so that the reader is not its own oracle."""
    small, teens, tens = numbers.in_words, TEENS.split(), TENS.split()
    parts = [f"{small(str(number // 1000))} thousand"] if number >= 1000 else []
    hundreds, rest = divmod(number % 1000, 100)
    parts += [f"{small(str(hundreds))} hundred"] if hundreds else []
    if rest >= 20:
        parts.append(tens[rest // 10 - 2] + (f"-{small(str(rest % 10))}" if rest % 10 else ""))
    elif rest:
        parts.append(teens[rest - 10] if rest >= 10 else small(str(rest)))
    return " ".join(parts)


@settings(max_examples=300)
@given(st.integers(1000, 9999), st.sampled_from([" ", ", ", " and ", "-"]))
def test_every_number_is_found_in_its_usual_forms(number: int, between: str) -> None:
    digits = str(number)
    for text in (digits, between.join(digits), f"{number:,}", numbers.in_words(digits), english(number)):
        assert numbers.says_number(f"well, it is {text} indeed", digits), text


@settings(max_examples=300)
@given(st.integers(1000, 9999), st.lists(st.integers(1000, 9999), max_size=8))
def test_a_list_of_other_numbers_does_not_say_a_number(number: int, others: list[int]) -> None:
    text = "; ".join(f"{other}" for other in others if other != number)
    assert not numbers.says_number(text, str(number))


def test_english_is_right_about_one_number() -> None:
    assert english(4821) == "four thousand eight hundred twenty-one"
    assert english(7013) == "seven thousand thirteen"


@given(st.text())
@example("\ud800 four")
@example("\x00" * 5)
def test_says_number_is_total(text: str) -> None:
    assert numbers.says_number(text + " 4821", "4821")
    assert isinstance(numbers.says_number(text, "4821"), bool)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["1 ", "one ", "thousand ", "\u0300\u0316", "\ufdfa", "①", "1"])
def test_says_number_is_linear(unit: str) -> None:
    assert not numbers.says_number(unit * (MEGABYTE // len(unit)), "4821")
