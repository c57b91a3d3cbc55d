"""How a report words numbers and shows text that a model wrote.

A reply is shown as what it is: characters that a browser would drop, reorder or draw as nothing are spelled out,
so that a reply cannot hide a part of itself. Escaping for HTML comes on top, in the template and in `svg`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

LABELS = {"itp": "ITP", "er": "ER", "kl": "KL", "rouge_l": "ROUGE-L", "yes_given_wrong": "Yes when wrong"}

# Controls but tab and newline, bidirectional and zero-width marks, line separators, tags, noncharacters, surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff\U0010fffe\U0010ffff]"
)


def visible(text: str) -> str:
    """The text with every invisible character spelled out, such as \\u0000 or \\u2028."""
    return _UNSEEN.sub(lambda m: _spelled(m[0]), text.replace("\r\n", "\n"))


def told_apart(text: str) -> list[tuple[bool, str]]:
    """The same in stretches, each with whether it spells out what was invisible."""
    parts = re.split(f"({_UNSEEN.pattern}+)", text.replace("\r\n", "\n"))
    return [(i % 2 == 1, "".join(map(_spelled, p)) if i % 2 else p) for i, p in enumerate(parts) if p]


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def label(name: str) -> str:
    """A metric's name in print."""
    if name.endswith("_s"):
        return f"{name[:-2].replace('_', ' ')}, seconds"
    return LABELS.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """Two decimals where they say enough, none for whole numbers, no zero before the point, a real minus sign."""
    size = abs(value)
    if size >= 1000 or size == int(size):
        text = f"{size:,.0f}"
    elif size >= 10:
        text = f"{size:.1f}"
    elif size >= 0.005:
        text = f"{size:.2f}"
    elif size >= 0.0005:
        text = f"{size:.3f}"
    elif size >= 0.0001:
        text = f"{size:.2g}"
    else:
        text = re.sub("e-0*", "e\u2212", f"{size:.1e}")
    return ("\u2212" if value < 0 else "") + re.sub(r"^0\.", ".", text)


def signed(value: float) -> str:
    return number(value) if value <= 0 else f"+{number(value)}"


def span(interval: Sequence[float]) -> str:
    return f"[{number(interval[0])}, {number(interval[1])}]"


def seconds(value: float) -> str:
    """A duration as a person says it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# Evidence inside a reply

_QUOTED = re.compile(r"`([^`]+)`|(\"(?:[^\"\\]|\\.)+\")|'([^']+)'|\u201c([^\u201d]+)\u201d")
_LEAST_COMMON = 12


def marks(reply: str, evidence: str) -> list[tuple[int, int]]:
    """Where the evidence stands in the reply, as ordered ranges that do not overlap; [] if nowhere.

    Sought in turn: the whole line, the parts that it quotes, the longest piece that both share. White space
    matches any white space, since evidence is one line and a reply may be many.
    """
    evidence = evidence.strip()
    if not evidence or not reply:
        return []
    found = _places(reply, evidence)
    if not found:
        found = [place for quote in _quotes(evidence) for place in _places(reply, quote)]
    if not found:
        found = _places(reply, _shared_piece(reply, evidence))
    return _merged(found)


def _quotes(evidence: str) -> list[str]:
    """What the evidence quotes; a quote in double quotes may be written as JSON, and may be cut with dots."""
    out = []
    for found in _QUOTED.finditer(evidence):
        quote = next(g for g in found.groups() if g)
        if quote.startswith('"'):
            try:
                quote = json.loads(quote)
            except ValueError:
                quote = quote[1:-1]
        out.append(re.sub(r"(\.\.\.|\u2026)$", "", quote))
    return out


def _places(reply: str, piece: str) -> list[tuple[int, int]]:
    words = piece.split()
    if not words:
        return []
    # A bare word or number is the evidence only where it stands alone ("1" in "1", not in "213").
    edges = (r"(?<!\w)" if words[0][0].isalnum() else "", r"(?!\w)" if words[-1][-1].isalnum() else "")
    pattern = edges[0] + r"\s+".join(re.escape(w) for w in words) + edges[1]
    return [m.span() for m in re.finditer(pattern, reply)]


def _shared_piece(reply: str, evidence: str) -> str:
    """The longest common piece of at least `_LEAST_COMMON` characters; a shorter one says nothing."""
    low, high, best = _LEAST_COMMON, min(len(evidence), len(reply)), ""
    while low <= high:
        size = (low + high) // 2
        piece = next((p for i in range(len(evidence) - size + 1) if (p := evidence[i : i + size]) in reply), "")
        if piece:
            low, best = size + 1, piece
        else:
            high = size - 1
    return best


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out
