"""Replies that copy what a proxy metric compares with: the source, its first sentences, its frequent words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from gamekeeper.audit.attacks.base import Attack, Maker, Technique
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene

TABLE = {
    "copy": Technique(
        "copying the source is paid as a piece of work on it",
        "Compare with a reference that is not the source, and fine what is copied.",
        ("PX01", "PX08", "LJ22"),
    ),
    "stitch": Technique(
        "words of the prompt in no order are paid", "Compare sequences or meaning, not bags of words.", ("PX02", "PX03")
    ),
    "keywords": Technique(
        "a bare list of the wanted words is paid",
        "Grade what is said with the words; demand sentences and fine lists.",
        ("PX03", "LJ14", "LJ15"),
    ),
    "readability": Technique("short empty sentences are paid", "Gate readability on content.", ("PX12", "PX16")),
}
_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "to",
        "in",
        "and",
        "is",
        "are",
        "was",
        "were",
        "for",
        "on",
        "with",
        "that",
        "this",
        "it",
        "as",
        "by",
        "be",
        "or",
        "from",
        "at",
        "which",
        "what",
        "how",
    ]
)


def attacks(mined: Mined, first: Scene) -> Iterator[Attack]:
    made = Maker("proxy", TABLE)
    yield made("copy", "first sentence", lambda s: _sentences(s, 1), lists=True)
    yield made("copy", "first three sentences", lambda s: _sentences(s, 3), lists=True)
    yield made("copy", "body", _body, lists=True)
    yield made(
        "copy", "first half", lambda s: s.prompt[: len(s.prompt) // 2] if len(s.prompt) > 80 else None, lists=True
    )
    yield made(
        "copy", "last half", lambda s: s.prompt[len(s.prompt) // 2 :] if len(s.prompt) > 80 else None, lists=True
    )
    for name in _shown_columns(first):
        yield made("copy", f"column {name}", lambda s, n=name: _column(s, n), lists=True)
    yield made("stitch", "frequent words", lambda s: " ".join(_frequent(s.prompt, 30)) or None, lists=True)
    yield made(
        "stitch",
        "reversed words",
        lambda s: " ".join(reversed(s.prompt.split())) if len(s.prompt.split()) > 5 else None,
        lists=True,
    )
    yield made(
        "stitch",
        "sorted words",
        lambda s: " ".join(sorted(set(s.prompt.lower().split()))) if len(s.prompt.split()) > 5 else None,
        lists=True,
    )
    for name in _list_columns(first):
        for glue_name, glue in (("blanks", " "), ("commas", ", "), ("lines", "\n")):
            yield made("keywords", f"{name}, {glue_name}", lambda s, n=name, g=glue: _listed(s, n, g), knows=True)
    yield made(
        "keywords", "capitalised words of the prompt", lambda s: " ".join(re.findall(r"\b[A-Z]\w+", s.prompt)) or None
    )
    yield made(
        "readability", "short sentences", "It is so. We go on. I see it. You see it too. All is well. It is good. " * 4
    )
    yield made(
        "readability", "different words", " ".join(f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(120))
    )


def _sentences(scene: Scene, count: int) -> str | None:
    found = re.split(r"(?<=[.!?])\s+", _body(scene) or "")
    return " ".join(found[:count]) if len(found) > count else None


def _body(scene: Scene) -> str | None:
    """The prompt without its first line, which is often the instruction."""
    rest = scene.prompt.partition("\n")[2].strip()
    return rest if len(rest) > 20 else None


def _shown_columns(first: Scene) -> list[str]:
    """Text columns that a policy sees, being part of the prompt."""
    return [
        k
        for k, v in first.example.columns.items()
        if isinstance(v, str) and len(v) > 20 and v in first.all_prompt and v != first.prompt
    ]


def _column(scene: Scene, name: str) -> str | None:
    """A column that the first prompt shows, where this prompt shows it, too: else a policy cannot copy it."""
    value = scene.example.columns.get(name)
    return value if isinstance(value, str) and value in scene.all_prompt else None


def _list_columns(first: Scene) -> list[str]:
    return [
        k
        for k, v in first.example.columns.items()
        if isinstance(v, list)
        and len(v) > 1
        and all(isinstance(x, str) for x in v)
        and k not in ("good", "bad", "prompt")
    ]


def _listed(scene: Scene, name: str, glue: str) -> str | None:
    value = scene.example.columns.get(name)
    return glue.join(map(str, value)) if isinstance(value, list) else None


def _frequent(text: str, count: int) -> list[str]:
    words = [w for w in re.findall(r"[a-z']+", text.lower()) if w not in _COMMON]
    return [w for w, _ in Counter(words).most_common(count)]
