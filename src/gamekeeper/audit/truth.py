"""When is a reply right? What the audit knows of the truth, apart from what the target pays.

An attack that solves the task is no finding. In order of trust: the target's own truth (our games), an oracle that the
user names, and a reading of the reply: it is right if what it commits to equals the answer by text or by value, wrong
if the answer stands nowhere in it, and unknown if the answer stands in it without being all of it. Attacks on the
unknown carry their own proof: they are built so that no reader could call them right.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown"
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_WORDS = re.compile(r"\w+|[^\w\s,.;:]")
_AROUND = ("[]", "()", "{}", '""', "''")
_SMALL = frozenset(("a", "an", "the", "is", "are", "was", "were", "and"))
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d*)?")
_EXPONENT = re.compile(r"[eE]([-+]?\d[\d_]*)$")
_MOST_DIGITS, _MOST_EXPONENT = 60, 200
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def golds(answer: Any) -> list[str]:
    """The answer as texts: itself, or each of a list's, or what stands after GSM8K's marker or in a box."""
    if answer is None:
        return []
    if isinstance(answer, bool):
        return [str(answer)]
    if isinstance(answer, list | tuple):
        return [g for a in answer for g in golds(a)]
    if isinstance(answer, dict):
        inner = next((answer[k] for k in ("value", "answer", "target", "ground_truth") if k in answer), None)
        return golds(inner) if inner is not None else [json.dumps(answer, default=str)]
    text = str(answer)
    if "####" in text:
        return [text.rsplit("####", 1)[1].strip()]
    boxed = _BOXED.findall(text)
    return [boxed[-1].strip()] if boxed else [text.strip()]


def value_of(text: str) -> Fraction | None:
    """The number that a text is, if it is one of a size that can be written out: 1e99999999 would take forever."""
    plain = text.strip().strip("$").rstrip(".%").strip()
    return None if len(plain) >= _MOST_DIGITS else _number(plain)


@lru_cache(maxsize=1 << 12)  # the same few answers are read for each of a thousand attacks
def _number(plain: str) -> Fraction | None:
    if "," in plain and not _THOUSANDS.fullmatch(plain):  # 2,3,5 is a list
        return None
    exponent = _EXPONENT.search(plain)
    try:
        if exponent is not None and abs(int(exponent[1])) > _MOST_EXPONENT:
            return None
        return Fraction(plain.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return None


def same(a: str, b: str) -> bool:
    """Equal as texts without case, blanks and closing marks, or as numbers."""
    if _plain(a) == _plain(b):
        return True
    x, y = value_of(a), value_of(b)
    return x is not None and x == y


def _plain(text: str) -> str:
    """Without case, blanks and marks around it; a text of marks alone is what it is."""
    return _folded(text).strip(" .!?\"'`$*") or _folded(text)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def contains(text: str, gold: str) -> bool:
    """Whether the answer stands in the text, as words or digits of its own or within others."""
    return bool(gold) and _plain(gold) in _folded(text)


def span_of(elements: Sequence[str], text: str) -> str:
    """The piece of a text that holds all elements, each in a place of its own; "" if one is missing.

    Brackets around it belong to it.
    """
    taken: list[tuple[int, int]] = []
    for element in sorted(elements, key=len, reverse=True):
        places = re.finditer(rf"(?<!\w){re.escape(element)}(?!\w)", text, re.IGNORECASE)
        free = (m.span() for m in places if all(m.end() <= a or m.start() >= b for a, b in taken))
        place = next(free, None)
        if place is None:
            return ""
        taken.append(place)
    start, end = min(a for a, _ in taken), max(b for _, b in taken)
    while start and end < len(text) and text[start - 1] + text[end] in _AROUND:
        start, end = start - 1, end + 1
    return text[start:end]


def reading(reply: str, answer: Any) -> str:
    """right, wrong or unknown, from the text alone."""
    wanted = [g for g in golds(answer) if g]
    if not wanted:
        return UNKNOWN
    if any(same(committed, g) for committed in commitments(reply) for g in wanted):
        return RIGHT
    near = any(contains(reply, g) or _value_in(reply, g) or _tersely(reply, g) for g in wanted)
    return UNKNOWN if near else WRONG


def _tersely(reply: str, gold: str) -> bool:
    """Whether only small words are missing: "Ann knight Bo knave" for "Ann is a knight, and Bo is a knave."."""
    said, words = _WORDS.findall(reply.lower()), _WORDS.findall(gold.lower())
    telling = [word for word in words if word not in _SMALL]
    return 1 < len(telling) < len(words) and telling == [word for word in said if word not in _SMALL]


def _value_in(reply: str, gold: str) -> bool:
    wanted = value_of(gold)
    return wanted is not None and any(value_of(n) == wanted for n in NUMBER.findall(reply[:20000]))


def commitments(reply: str) -> Iterable[str]:
    """What a reply could be said to answer: all of it, or the one slot that it has."""
    yield reply
    for pattern in (r"<answer>(.*?)</answer>", r"####\s*(.+)", r"(?i)answer(?: is|:)\s*(.+)", r"```\w*\n(.*?)```"):
        found = re.findall(pattern, reply, re.DOTALL)
        if len(found) == 1:
            yield found[0]
    boxed = _BOXED.findall(reply)
    if len(boxed) == 1:
        yield boxed[0]


_SPEAKS = ("print", "input", "exit", "open")


def is_program(text: str) -> bool:
    """Whether a text is Python that does something. Words around it may change nothing: `not print(42)` prints 42."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    acts = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.For, ast.While)
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return bool(called.intersection(_SPEAKS)) or any(isinstance(node, acts) for node in nodes)
