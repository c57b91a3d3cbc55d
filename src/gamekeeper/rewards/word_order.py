"""Do the small words of a text stand as they do in English, or as in shuffled words?

Of two small words side by side ("in the", "has been", "the of") nearly all pairs in English are of a few hundred; in
shuffled English most are not. So are articles before a word with a meaning, and sentences that end in "the". Each
place that fits or does not is evidence; how much is counted on news: `ILL_PLACED` of the places do not fit in English
and in shuffled English. The sum is the logarithm of how much likelier the text is to be English.
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest

from gamekeeper.rewards.parsers import words

ILL_PLACED = (0.06, 0.38)
_FITS = math.log((1 - ILL_PLACED[0]) / (1 - ILL_PLACED[1]))
_JARS = math.log(ILL_PLACED[0] / ILL_PLACED[1])

SMALL = frozenset(
    words(
        "a about after all also an and are as at be been before but by can could did do for from had has have he her "
        "his how i if in into is it its just me more most my no not of on one or our out over said says she so some "
        "than that the their them then there these they this those to two up us was we were what when where which who "
        "will with would you your because while during against between through since until its am him"
    )
)
# Which small words may follow which: word or words: followers, until the next line that has a colon.
_PAIRS = """
the a an: most two one more other own no just
of in on at from with by about into over after before through between against during under while until since:
  the a an his her its their our your my this that these those them him us it me all one two some what which who
  how no more
in on at of from about: which this that what how where
for to: the a an his her its their our your my this that these those them him us it me all one two some what
  more no not
to: be have do in not
and but or: the a an his her its their our your my it he she they we i that this these those in to for with on
  of at from not no all is was has had are were will would can could one two some more also then so if when what
  how who which as by after
that: the a an it he she they we i is was are were has had have would will could can his her their its our your
  my in there this these those if all some one two at as no not
it he she they we i you there who which this these those that what: is are was were has had have will would can
  could did do also just not said says am does
it this that one: in to on for from out up is with at as by
is are was were be been: the a an in on at to for from with by about not no his her its their that also one two
  some more just so as out up all what now there over under into against of than then
has have had: been a an the to no not his her its their also had more two one some just in only
will would can could did do does: be have not also the it he she you they we i just in
said says: the a an that it he she they we i in on to his her their there this these at no
as: the a an he she it they we i of his her their its many in to if is was one well for this that two some more
when if because while where how why until since before after so than: the a an he she it they we i you his her
  their its our this that these those there to in of
what which who: the he she it they we i you to is was are were has had will would can did do of
not: a an the be been to in just only all have that for yet as by with even
up out over: to of in for the a at on with from by and its his her
them him us me you her: to in for on at with from and as of that up out is was the a if by not how what about
one two some all more most none those these: of the in than to and for who is was are were has had at from on as
  that a
also just no so then there only: be been a an the in to was is has had have said one more two that from of as by
  for it he she
about: a an how what who the to one two
out up: of
than: a an the in to one two
"""


def _read_pairs(table: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    heads: list[str] = []
    for line in table.strip().splitlines():
        head, mark, tail = line.rpartition(":")
        heads = head.split() if mark else heads
        for word in heads:
            found.setdefault(word, set()).update(tail.split())
    return {word: frozenset(after) for word, after in found.items()}


_MAY_FOLLOW = _read_pairs(_PAIRS)
_ARTICLES = frozenset(words("a an the"))
# Small words that hardly end a sentence.
_OPEN = frozenset(words("a an the my your its our their of in on at by for from with into and or"))
_SENTENCE = re.compile(r"[.!?;:\n]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def english_order(text: str) -> float:
    """How much likelier the places of the small words are in English than in shuffled English, in nats."""
    fits = jars = 0
    for sentence in _SENTENCE.split(text.casefold()):
        said = _WORD.findall(sentence)
        for word, following in zip_longest(said, said[1:]):
            if word in SMALL and following in SMALL:
                known = following in _MAY_FOLLOW.get(word, ())
                fits, jars = fits + known, jars + (not known)
            elif following is None:
                jars += word in _OPEN
            else:
                fits += word in _ARTICLES
    return fits * _FITS + jars * _JARS
