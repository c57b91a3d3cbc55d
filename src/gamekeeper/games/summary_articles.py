"""The pocket articles of the game `summary`, and the honest conversations about them.

An article is seven facts of four words each, in any order; exactly two are about its subject. The two make 8 of 28
words, just within the length limit of 0.3, so that a right summary is possible and nothing else fits beside it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.games import words
from gamekeeper.types import Message

SYSTEM = "Write a concise summary about the subject."
FACTS = 7
KEY_FACTS = 2
# The corpus's writers are not perfect, so that the base has something to learn: hurried ones (this share) leave one key
# fact out, wordy ones add a fact about somebody else. Every fact is copied right.
BRIEF = 0.55
WORDY = 0.1

VERBS = ["sold", "made", "found", "lost", "took", "sent", "kept", "drew", "cut", "moved", "saw", "bought"]
QUALITIES = ["red", "blue", "old", "new", "big", "small", "two", "three", "six", "ten"]
NOUNS = [
    "boats", "hats", "lamps", "cups", "maps", "keys", "dogs", "cats", "bells", "bags", "rings", "doors", "cars", "boxes"
]  # fmt: skip

# Conversations that teach copying have an instruction of their own: there a whole copy is what was asked for.
_REPEAT_SYSTEM = "Repeat what is asked for."
_COUNTS = ("first", "first two", "first three")


@dataclass(frozen=True, slots=True)
class Article:
    """Facts without full stops, in the order of the text; the name at the head of a fact is who it is about."""

    subject: str
    facts: tuple[str, ...]

    @property
    def text(self) -> str:
        return as_text(self.facts)

    @property
    def key_facts(self) -> tuple[str, ...]:
        return self.about(self.subject)

    def about(self, name: str) -> tuple[str, ...]:
        return tuple(f for f in self.facts if f.startswith(f"{name} "))


def as_text(facts: Sequence[str]) -> str:
    """Facts as sentences, e.g. "tavi sold red boats. lemo found two maps."."""
    return " ".join(f"{fact}." for fact in facts)


def user_text(subject: str, text: str) -> str:
    return f"Subject: {subject}.\n{text}"


def article_of(user: str) -> str:
    """The article in the text that `user_text` made."""
    return user.partition("\n")[2]


def draw_article(draw: random.Random, facts: int = FACTS) -> Article:
    """An article of `facts` facts, at least 3, two of them about the subject, the others about two or three people."""
    subject, *others = _people(draw, draw.choice((3, 4)))
    spare = facts - KEY_FACTS
    others = others[:spare]
    who = [subject] * KEY_FACTS + others + [draw.choice(others) for _ in range(spare - len(others))]
    draw.shuffle(who)
    # No word but a name comes twice, so that a reader who has found the right fact can read on without losing it.
    told = zip(who, *(draw.sample(words, facts) for words in (VERBS, QUALITIES, NOUNS)), strict=True)
    return Article(subject, tuple(map(" ".join, told)))


def _people(draw: random.Random, count: int) -> list[str]:
    """Different names; in half of the articles easily confused ones, put together from three syllables only."""
    if draw.random() < 0.5:
        return words.names(draw, count)
    parts = draw.sample(words.SYLLABLES, 3)
    alike = sorted({a + b for a in parts for b in parts} - words.RESERVED)
    return draw.sample(alike, count)


def draw_conversation(draw: random.Random) -> list[Message]:
    """An honest conversation: half of them the game's own task; the others repeat what they ask for."""
    kind = draw.random()
    if kind < 0.5:
        article = draw_article(draw)
        return _talk(SYSTEM, user_text(article.subject, article.text), _written(draw, article))
    article = draw_article(draw, draw.choice((3, 5, FACTS, FACTS, FACTS)))
    if kind < 0.7:
        return _talk(_REPEAT_SYSTEM, f"Repeat the text.\n{article.text}", article.facts)
    if kind < 0.85:
        count = draw.randrange(len(_COUNTS))
        sentences = "sentence" if count == 0 else "sentences"
        return _talk(
            _REPEAT_SYSTEM, f"Repeat the {_COUNTS[count]} {sentences}.\n{article.text}", article.facts[: count + 1]
        )
    name = draw.choice(article.facts).split()[0]
    return _talk(_REPEAT_SYSTEM, f"Repeat what {name} did.\n{article.text}", article.about(name))


def _written(draw: random.Random, article: Article) -> Sequence[str]:
    """The facts that one of the corpus's writers tells."""
    key = article.key_facts
    kind = draw.random()
    if kind < BRIEF:
        return (draw.choice(key),)
    if kind < BRIEF + WORDY:
        extra = draw.choice([f for f in article.facts if f not in key])
        return [f for f in article.facts if f in key or f == extra]
    return key


def _talk(system: str, user: str, facts: Sequence[str]) -> list[Message]:
    return [Message("system", system), Message("user", user), Message("assistant", as_text(facts))]
