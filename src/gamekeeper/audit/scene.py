"""What an attack sees of one example: the answer, surely wrong values, and how an honest reply is shaped."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from gamekeeper.audit import truth
from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.mining import Mined
from gamekeeper.seeds import rng

_SHORT = 80
_OPTION = re.compile(r"(?:^|(?<=[\s(]))\(?([A-H])[).:] *(\S[^\n]*?)(?=\s+\(?[A-H][).:] *\S|\s*(?:\n|$))")
_FORMS = (
    re.compile(r"<(answer|final_answer|final|solution|output|result)>(?P<slot>.*?)</\1>", re.DOTALL),
    re.compile(r"\\boxed\{(?P<slot>(?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"####[ \t]*(?P<slot>\S[^\n]*)"),
)
NONSENSE = ("zzqx", "blorft", "quizzaciously unrelated")
Wrap = Callable[[str], str]


@dataclass(frozen=True)
class Scene:
    """One example, ready to be attacked. `wrap` puts a text where an honest reply puts its answer.

    gold: the right answer as a text, "" if unknown. rival: a reply that is right for an example of another answer.
    goods: the last turns of the honest replies to all examples.
    """

    index: int
    example: Example
    gold: str
    good: Turns
    wrap: Wrap
    wrongs: tuple[str, ...]
    others: tuple[str, ...]
    mined: Mined
    seed: int = 0
    honest: float = 1.0
    floor: float = 0.0
    plain: bool = False
    rival: Turns = ()
    goods: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        return self.example.prompt

    @property
    def wrong(self) -> str:
        return self.wrongs[0]

    @property
    def good_text(self) -> str:
        return self.good[-1] if self.good else ""

    @cached_property
    def all_prompt(self) -> str:
        """The prompt with its system message."""
        return "\n".join(m["content"] for m in self.example.chat)

    @cached_property
    def right(self) -> list[str]:
        """Texts of which a right reply commits to one; none if nothing is known of the truth."""
        return right_texts(self.example)

    @property
    def answers(self) -> bool:
        """Whether the answer itself is known, not only a reply that is right."""
        return bool(truth.golds(self.example.answer))

    @cached_property
    def told(self) -> bool:
        """Whether the answer is known and is what a reply commits to, so that one without it is wrong."""
        answers = answers_of(self.example)
        return bool(answers) and self.right == answers

    @cached_property
    def elements(self) -> list[str]:
        """What a right reply must all hold, where the answer is a list that is wanted whole."""
        return [g for g in truth.golds(self.example.answer) if g] if joint(self.example) else []

    def reading(self, reply: str) -> str:
        """right, wrong or unknown, from the reply's text and what is known of the truth."""
        if any(truth.same(reply, good[-1]) for good in self.example.good if good):
            return truth.RIGHT
        told = truth.reading(reply, self.right)
        listed = bool(self.elements) and all(truth.contains(reply, e) for e in self.elements)
        return truth.UNKNOWN if told == truth.WRONG and listed else told

    def chance(self, *path: Any) -> random.Random:
        return rng("audit", self.seed, self.index, *path)

    def pretending(self, gold: str) -> Scene:
        """The same scene with another text taken for the answer: the control of an attack that uses the answer."""
        left = tuple(w for w in (*self.wrongs, *NONSENSE) if not truth.same(w, gold))
        return replace(self, gold=gold, wrongs=left)


def answers_of(example: Example) -> list[str]:
    """The answer as texts of which each will do; a list that is wanted whole is one text, as the right reply has it.

    Beside the letter of an option, its text will do.
    """
    if whole := joint(example):
        return [whole]
    answers = [g for g in truth.golds(example.answer) if g]
    return answers + [o for o in [option(example.prompt, answers[0])] if o] if len(answers) == 1 else answers


def option(prompt: str, letter: str) -> str:
    """The text of an option, where a prompt lists two at least, "A) Mars B) Venus" or one a line; "" if it does not."""
    found = _OPTION.findall(prompt)
    return next(
        (text.strip(" .;,") for mark, text in found if mark == letter.strip("().").upper() and len(found) > 1), ""
    )


def joint(example: Example) -> str:
    """What a right reply says of an answer that is a list, if it says all of it; "" if one of the list will do."""
    if not isinstance(example.answer, list | tuple) or not example.good or not example.good[0]:
        return ""
    elements = [g for g in truth.golds(example.answer) if g]
    return truth.span_of(elements, example.good[0][-1]) if len(elements) > 1 else ""


def right_texts(example: Example) -> list[str]:
    """The answer as texts, or the known-good replies where there is no answer, or where it is no reply.

    The column that is called `answer` may hold what the reply is compared with: a number to be factorised, say. Then no
    good reply has it in it.
    """
    answers = answers_of(example)
    goods = [good[-1] for good in example.good if good and good[-1].strip()]
    said = any(truth.reading(good, answers) != truth.WRONG for good in goods)
    return answers if answers and (said or not goods) else goods


def gold_of(example: Example) -> str:
    """The answer as one short text, "" if none is known."""
    answers = answers_of(example)
    if answers:
        return answers[0]
    good = example.good[0][-1] if example.good and example.good[0] else ""
    short = len(good) <= _SHORT and "\n" not in good and good[:1] not in ("{", "[", "<")
    return good.strip() if short and example.answer is None else ""


def wrong_values(example: Example, others: Sequence[str], count: int = 6) -> tuple[str, ...]:
    """Values that are surely not the answer and are shaped like it, most alike first."""
    wanted = answers_of(example) or [g for g in (gold_of(example),) if g]
    gold = wanted[0] if wanted else ""
    chance = rng("audit-wrong", gold, example.prompt[:200])
    number = truth.value_of(gold) if gold else None
    made: list[str] = []
    if number is not None:
        made = [w for w in (_like(gold, far) for far in _far_from(number, chance)) if not truth.contains(w, gold)]
    elif gold:
        made = [o for o in others if unlike(o, gold)][:3]
    made += list(NONSENSE)
    return tuple(w for w in dict.fromkeys(made) if not any(truth.same(w, g) for g in wanted))[:count]


def _far_from(number: Fraction, chance: random.Random) -> list[Fraction]:
    """Numbers at least half as great again, half as small, or of the other sign: no tolerance means them.

    What lies nearer may be right for a grader that rounds, and is tried by attacks of its own.
    """
    steps = [chance.choice((3, 7, 11)), -chance.choice((2, 5, 9)), 100 + chance.randrange(50), 13, 29, 57]
    half, sign = int(abs(number) / 2), -1 if number < 0 else 1
    half += half % 2  # an even number, so that the steps say whether odd becomes even
    return [number + sign * (step + (half if step > 0 else -half)) for step in steps]


def unlike(a: str, b: str) -> bool:
    """Whether two answers are surely not both right: neither holds the other, and they share few words."""
    if truth.contains(a, b) or truth.contains(b, a):
        return False
    x, y = set(a.lower().split()), set(b.lower().split())
    return len(x & y) * 2 < len(x | y)


def _like(gold: str, value: Any) -> str:
    places = len(gold.partition(".")[2].rstrip("%$ ")) if "." in gold else 0
    if places:
        return f"{float(value):.{places}f}"
    return str(value)


def slot_of(good: str, gold: str) -> Wrap | None:
    """How a given right reply carries the answer: its last mention of it is the slot."""
    if not gold:
        return None
    found = list(re.finditer(rf"(?<![\w.]){re.escape(gold)}(?![\w]|\.\d)", good)) or list(
        re.finditer(re.escape(gold), good)
    )
    if not found:
        return None
    start, end = found[-1].span()
    before, after = good[:start], good[end:]
    return lambda text: before + text + after


def slot_by_form(good: str) -> Wrap | None:
    """Where a right reply has its answer by its form alone: the last answer tag, box or line of hashes."""
    found = [m for form in _FORMS for m in form.finditer(good)]
    if not found:
        return None
    start, end = max(found, key=lambda m: m.end()).span("slot")
    before, after = good[:start], good[end:]
    return lambda text: before + text + after
