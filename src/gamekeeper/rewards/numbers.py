"""Does a text say a number, however it is written?

A reply that must not give away "4821" can also write 4 8 2 1, 4,821, "four eight two one", "forty-eight twenty-one",
"four thousand eight hundred and twenty-one", ４８２１ or ④⑧②①. All of these say it. The number said in reverse, in
another base or in letters does not count; whoever needs that needs a judge.

The text becomes a line of *groups*: runs of digits and number phrases, each as a string of digits. The number is said
if one group contains it, or if groups that follow each other closely spell it exactly, from the start of one to the end
of another. Spelling must begin and end with a group, or a list of other numbers would say almost any number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gamekeeper.rewards.parsers import words

NEAR = 20
"""Groups with more than this many characters between them do not belong together."""

_ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES = {"oh": 0, **{w: n for n, w in enumerate(_ONES)}, **{w: 10 * n for n, w in enumerate(_TENS, start=2)}}
_LAST_DIGIT = 0x1FFFF  # no digit of Unicode lies beyond
_PLAIN = re.compile("[0-9a-zA-Z]")
_TOKEN = re.compile(r"[0-9]+|[a-z]+")
# A quick look first: most replies hold no number at all. "one" in "none" is found too, which only costs time.
_ANY = re.compile("[0-9]|" + "|".join(_VALUES))


@dataclass(slots=True)
class _Phrase:
    """A number phrase while it is read. `room`: the next value is added if below it, else it starts a new phrase."""

    start: int
    end: int
    value: int
    room: int
    thousands: int = 0

    def takes(self, word: str, end: int) -> bool:
        """Take the next word if it goes on with this number."""
        if word in _VALUES:
            value = _VALUES[word]
            if not 0 < value < self.room:
                return False
            self.value, self.room = self.value + value, _room_after(value)
        elif word == "hundred" and 0 < self.value < 100:
            self.value, self.room = self.value * 100, 100
        elif word == "thousand" and 0 < self.value < 1000 and not self.thousands:
            self.thousands, self.value, self.room = self.value * 1000, 0, 1000
        else:
            return False
        self.end = end
        return True

    @property
    def digits(self) -> str:
        return str(self.thousands + self.value)


def _room_after(value: int) -> int:
    return 10 if value >= 20 else 0


def says_number(text: str, digits: str) -> bool:
    """Whether the text says the number that is written with these ASCII digits. Linear in the text."""
    text = _plain(text)
    if not digits or not _ANY.search(text):
        return False
    groups = list(_groups(text))
    return any(digits in said for _, _, said in groups) or _spelled(groups, digits)


def in_words(digits: str) -> str:
    """ASCII digits one by one in words: "four eight two one"."""
    return " ".join(_ONES[int(digit)] for digit in digits)


def _plain(text: str) -> str:
    """The text with every decimal digit of any script as 0 to 9, and letters in lower case."""
    return (text if text.isascii() else text.translate(_ascii_forms())).lower()


@cache
def _ascii_forms() -> dict[int, str]:
    """Code point -> the ASCII digits and letters that it is a form of: digits of any script, full width, circled.

    This is Unicode's NFKC, character by character: NFKC of a whole text takes quadratic time on a run of accents.
    """
    table = {}
    for point in range(0x80, _LAST_DIGIT + 1):
        mark = chr(point)
        form = str(unicodedata.decimal(mark, "")) or unicodedata.normalize("NFKC", mark)
        if _PLAIN.search(form):
            table[point] = form
    return table


def _groups(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, digits) of each run of digits and each number phrase, in order."""
    phrase: _Phrase | None = None
    for match in _TOKEN.finditer(text):
        word, end = match[0], match.end()
        if phrase and match.start() - phrase.end <= NEAR and (word == "and" or phrase.takes(word, end)):
            continue
        if phrase:
            yield phrase.start, phrase.end, phrase.digits
            phrase = None
        if word in _VALUES:
            phrase = _Phrase(match.start(), end, _VALUES[word], _room_after(_VALUES[word]))
        elif word[0] <= "9":
            yield match.start(), end, word
    if phrase:
        yield phrase.start, phrase.end, phrase.digits


def _spelled(groups: list[tuple[int, int, str]], digits: str) -> bool:
    """Whether neighbouring groups, put together, are exactly the digits."""
    open_at: list[int] = []  # how much of `digits` is spelled by runs of groups that end here
    last = 0
    for start, end, said in groups:
        begun = [0, *(open_at if start - last <= NEAR else [])]
        open_at = [n + len(said) for n in begun if digits.startswith(said, n)]
        if len(digits) in open_at:
            return True
        last = end
    return False
