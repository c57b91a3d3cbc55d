r"""Which answer a reply commits to, and whether it is the right one.

Two steps, kept apart. `stated_answer` finds the one answer that a reply commits to: what is in `\boxed{}`, else what
follows the last "the answer is", else what is in bold, else a reply that is nothing but an answer. A reply that boxes
two different answers commits to none. `matches` then compares that answer, whole, with the right one, as the kind of
thing that the right one is: an option letter, a number, a list or a text.

Nothing is ever matched by containment: each reply gets one guess, and "84 or 85" is a wrong one. The published
matcher looks for the right answer within the text, which pays a reply for listing all options.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from decimal import Decimal

from gamekeeper.rewards.parsers import without_thinking

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ANSWER_IS = re.compile(r"\banswer(?:\s+is\b|\s*[:=])[ \t]*[:=]?[ \t]*", re.IGNORECASE | re.ASCII)
_BOLD = re.compile(r"\*\*([^*\n]{1,400})\*\*")
_NUMBER = re.compile(r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)", re.ASCII)
_NUMBER_IN_TEXT = re.compile(r"(?<![\w.,])[+-]?\d(?:[\d,.]*\d)?(?!\w)", re.ASCII)
_INTEGER = re.compile(r"([+-]?)0*(\d+)", re.ASCII)
_OPTION = re.compile(r"\(([a-z])\)|\[([a-z])\]|([a-z])", re.IGNORECASE | re.ASCII)
_OPTION_NAMED = re.compile(r"(?:option|choice|answer)\s+(?=[(\[]?[a-z][)\]]?$)", re.IGNORECASE | re.ASCII)
_OPTION_WITH_TEXT = re.compile(r"(?:\(([a-z])\)|([a-z])[.):])[ \t]+(\S.*)", re.IGNORECASE | re.ASCII)
# A text after an option letter that names another option: "(A) or B", "A. B", "(A), (B)". A lone "a" or "i" is a word.
_HEDGE = re.compile(
    r"^(?:or|and|but|not|nor)\b|^[,/&|+]|[(\[][a-z][)\]]|\b[b-hj-z]\b|^[ai]$|\b(?:or|and)\s+[ai]$",
    re.IGNORECASE | re.ASCII,
)
_REASON = re.compile(r",?\s(?:because|since|as)\s", re.IGNORECASE | re.ASCII)
_SENTENCE_END = re.compile(r"(?<!\\)[.!?;](?=\s)")  # after a backslash it is a space of LaTeX
_IN_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf)\s*\{([^{}]*)\}")
# What LaTeX writes for a sign, a space of some width, or nothing that is seen. "\\\\" is a unit: its second half
# escapes nothing. A thin space before three digits groups a number, as "{,}" does; elsewhere it parts two.
_LATEX = re.compile(
    r"\\(?:(?P<sign>[%_{}#&])|(?P<group>(?<=\d\\),(?=\d{3}(?!\d)))|(?P<space>[,;:> ])|(?P<line>\\)"
    r"|(?:left|right)(?![a-z])|[!$()])|(?P<comma>\{,\})",
    re.ASCII,
)
_LONGEST = 4000  # characters of a stated answer that are looked at; no right answer is longer


def boxes(text: str) -> list[str] | None:
    r"""The contents of every outermost `\boxed{}`; None if one is never closed."""
    found, position = [], 0
    while opening := _BOX.search(text, position):
        end = _closing(text, opening.end())
        if end is None:
            return None
        found.append(text[opening.end() : end])
        position = end + 1
    return found


def _closing(text: str, start: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None


def stated_answer(reply: str) -> str | None:
    """The one answer that the reply commits to, as it is written; None if there is none or there are several."""
    text = without_thinking(reply).strip()
    return _stated(text, boxes(text))


def _stated(text: str, boxed: list[str] | None) -> str | None:
    if boxed is None:
        return None
    if boxed:
        return _agreed(boxed)
    if statements := deque(_ANSWER_IS.finditer(text), maxlen=1):
        end = statements[0].end()
        return _commitment(text[end : end + _LONGEST])
    if bold := _BOLD.findall(text):
        return _agreed(bold)
    return text if text and "\n" not in text and len(text) <= _LONGEST else None


def _agreed(found: list[str]) -> str | None:
    first = plain(found[0])
    return found[-1].strip() if all(f == found[0] or plain(f) == first for f in found) else None


def _commitment(rest: str) -> str | None:
    """What follows "the answer is": to the end of its sentence, and not taken back by the next."""
    line = rest.partition("\n")[0].strip()
    end = _SENTENCE_END.search(line)
    first, after = (line[: end.start()], line[end.end() :]) if end else (line, "")
    if re.match(r"\s*(?:or|no|not|wait|maybe|perhaps|alternatively)\b", after, re.IGNORECASE):
        return None
    return _REASON.split(first, maxsplit=1)[0].strip() or None


def plain(text: str) -> str:
    """The text without letter case, LaTeX wrapping, quotes, outer markup, final punctuation and extra spaces."""
    text = unicodedata.normalize("NFC", text[:_LONGEST]).casefold()
    for _ in range(3):
        text = _WRAPPED.sub(r"\1", text)
    text = _LATEX.sub(_as_read, text).replace("$", "").translate(_QUOTES)
    return " ".join(text.split()).strip(" *_`\"'").rstrip(" .;!?").strip(" *_`\"'")


def _as_read(found: re.Match[str]) -> str:
    if found["sign"] or found["line"]:
        return found["sign"] or found[0]
    return "," if found["comma"] else " " if found["space"] else ""


_QUOTES = {ord(c): "'" for c in "‘’ʼ´"} | {ord(c): '"' for c in "“”«»"} | {ord("−"): "-"}


def matches(stated: str | None, right: str) -> bool:
    """Whether the stated answer is, as a whole, the right one."""
    wanted = plain(right)
    if stated is None or not wanted or len(stated) > _LONGEST:
        return False
    mine = plain(stated)
    bare = _IN_BRACKETS.fullmatch(mine)
    return _same(mine, wanted) or (bare is not None and _same(plain(bare[1]), wanted))


def is_right(reply: str, right: str) -> bool:
    """Whether the reply commits to the right answer."""
    return matches(stated_answer(reply), right)


def _same(mine: str, wanted: str) -> bool:
    """Equality by the kind of the wanted answer: option letter, number, list, else text."""
    if _OPTION.fullmatch(wanted):
        return _letter(mine) == _letter(wanted)
    if _NUMBER.fullmatch(wanted):
        return _NUMBER.fullmatch(mine) is not None and _value(mine) == _value(wanted)
    if "," in wanted:
        parts, wanted_parts = _parts(mine), _parts(wanted)
        return len(parts) == len(wanted_parts) and all(map(_same_part, parts, wanted_parts))
    return mine == wanted


def _same_part(mine: str, wanted: str) -> bool:
    return bool(wanted) and _same(mine, wanted)


def _letter(text: str) -> str | None:
    """The option letter of "(B)", "B", "[b]", "option B", or of "(B) its text" when the text names no other option."""
    if found := _OPTION.fullmatch(_OPTION_NAMED.sub("", text, count=1)):
        return next(g for g in found.groups() if g)
    found = _OPTION_WITH_TEXT.fullmatch(text)
    if found and not _HEDGE.search(found[3]):
        return found[1] or found[2]
    return None


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))


def _parts(text: str) -> list[str]:
    if len(text) > 1 and text[0] + text[-1] in ("[]", "()", "{}"):
        text = text[1:-1]
    return [plain(part) for part in text.split(",")]


def stated_integer(reply: str) -> str | None:
    r"""The one whole number that the reply commits to, in its shortest writing ("-7", "85"); None if there is none.

    Boxed, else after the last "the answer is", else the only number in the reply.
    """
    text = without_thinking(reply).strip()
    boxed = boxes(text)
    if boxed != [] or _ANSWER_IS.search(text):
        stated = _stated(text, boxed)
        return _shortest(plain(stated)) if stated is not None else None
    found = [m[0] for _, m in zip(range(2), _NUMBER_IN_TEXT.finditer(text), strict=False)]
    return _shortest(found[0]) if len(found) == 1 else None


def _shortest(number: str) -> str | None:
    """An integer's shortest writing, by text: turning 5,000 digits into a number is an error in Python."""
    ungrouped = number.replace(",", "") if _NUMBER.fullmatch(number) else number
    found = _INTEGER.fullmatch(ungrouped)
    if not found:
        return None
    return ("-" if found[1] == "-" and found[2] != "0" else "") + found[2]
