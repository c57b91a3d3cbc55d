"""The parts of a right reply that the data know, and how many of them a reply has: what part credit is fair.

A grader that pays half for half of the fields, the items or the cells is no hole. Parts are the leaves of a JSON
document, the items of a list, and the lines and cells of a table; each counts if the answer (or a column of the row)
has it, so that what a reply says beside its answer earns no fairness. A reply's share is the F1 of its parts against
the right ones: more than that is paid for something else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from gamekeeper.audit.scene import Scene

_ORDER = re.compile(
    r"(?i)\b(sort\w*|order(?:ed|ing)?|rank\w*|arrange\w*|ascending|descending|alphabetical\w*|chronological\w*"
    r"|(?:smallest|largest|biggest|oldest|lowest|highest|earliest|latest|shortest|longest) first)\b"
)
_FREE = re.compile(
    r"(?i)\b(?:any|no (?:particular|specific)|whatever|whichever|arbitrary) order(?:ing)?\b"
    r"|\bregardless of (?:the )?order"
    r"|\border(?:ing)?(?: of [\w ]{1,40})? (?:does not|doesn't|is not|isn't|need not) (?:matter|important|relevant|be )"
)
_LEAST, _LONGEST, _DEEPEST = 2, 20_000, 100
_OWN = frozenset(("prompt", "question", "good", "bad", "messages"))
Leaf = tuple[str, str]


def fair_share(scene: Scene, reply: str) -> float:
    """The share of the right parts that a reply has, 0 if the answer has no parts."""
    reply = reply[:_LONGEST]
    return max(_share_of_leaves(scene, reply), _share_of_items(scene, reply), _share_of_cells(scene, reply))


def ordered(scene: Scene) -> bool:
    """Whether the prompt asks for an order, and does not say that any will do."""
    return bool(_ORDER.search(scene.all_prompt)) and not _FREE.search(scene.all_prompt)


# JSON


def document(text: str) -> tuple[str, Any, str] | None:
    """The JSON object or list in a text, the longest if there are several, with what stands before and after it.

    One that is nested deeper than Python can walk through is none.
    """
    found: list[tuple[int, int, Any]] = []
    at, decoder = 0, json.JSONDecoder()
    while (opened := _opening(text, at)) is not None:
        try:
            value, end = decoder.raw_decode(text, opened)
        except (ValueError, RecursionError):
            at = opened + 1
            continue
        if _shallow(value):
            found.append((opened, end, value))
        at = end
    if not found:
        return None
    start, end, value = max(found, key=lambda f: f[1] - f[0])
    return text[:start], value, text[end:]


def _opening(text: str, at: int) -> int | None:
    found = re.compile(r"[\[{]").search(text, at)
    return found.start() if found else None


def _shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [i for v in level if isinstance(v, dict | list) for i in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return True
    return False


def leaves(value: Any, path: str = "") -> Iterator[Leaf]:
    """Every scalar and empty thing of a JSON value with where it stands; the places within a list are alike."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, json.dumps(value, default=str)


def known_fields(scene: Scene) -> frozenset[str]:
    """Names of the fields of a right reply whose value the answer has: they are the task's, and no score."""
    found = document(scene.good_text)
    if found is None or scene.example.answer is None:
        return frozenset()
    return frozenset(path.replace("[]", "").rpartition("/")[2] for path, _ in _known(scene, found[1]))


def known_parts(scene: Scene) -> bool:
    """Whether the data say which parts of a right reply's JSON count, so that one without them is not all of it."""
    found = document(scene.good_text)
    return scene.answers or (found is not None and len(_known(scene, found[1])) >= _LEAST)


def _known(scene: Scene, good: Any) -> list[Leaf]:
    """Leaves of the right reply whose value stands in the answer, or, where there is none, in a column."""
    answer = _decoded(scene.example.answer)
    columns = {k: v for k, v in scene.example.columns.items() if k not in _OWN}
    held = {_bare(value) for _, value in leaves(columns if answer is None else answer)}
    return [leaf for leaf in leaves(good) if _bare(leaf[1]) in held]


def _bare(value: str) -> str:
    """A scalar without its quotes: a column may hold as a text what the reply gives as a number."""
    return value.strip('"')


def _decoded(answer: Any) -> Any:
    """An answer that is a JSON document in a text, as that document."""
    if not isinstance(answer, str) or answer.strip()[:1] not in ("{", "["):
        return answer
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return answer
    return value if _shallow(value) else answer


def _share_of_leaves(scene: Scene, reply: str) -> float:
    good, said = document(scene.good_text), document(reply)
    if good is None or said is None:
        return 0.0
    wanted = _known(scene, good[1])
    idle = {path for path, _ in leaves(good[1])} - {path for path, _ in wanted}
    given = [leaf for leaf in leaves(said[1]) if leaf[0] not in idle]
    return _f1(wanted, given, ordered(scene) and isinstance(good[1], list)) if len(wanted) >= _LEAST else 0.0


def _f1(wanted: Sequence[Any], given: Sequence[Any], in_order: bool) -> float:
    if in_order:
        blocks = SequenceMatcher(None, wanted, given, autojunk=False).get_matching_blocks()
        both = sum(block.size for block in blocks)
    else:
        given = given if len(set(wanted)) < len(wanted) else sorted(set(given))  # said twice is said once
        both = sum((Counter(wanted) & Counter(given)).values())
    return 2 * both / (len(wanted) + len(given))


# Lists and tables in plain text


def items(text: str, glue: str = "") -> list[str]:
    """The items of a JSON list, the lines of a text, or what stands between semicolons or commas; else all of it."""
    found = document(text)
    if found is not None and isinstance(found[1], list) and not (found[0] + found[2]).strip():
        return [str(item) for item in found[1]]
    pieces = [item.strip() for item in text.split(glue or glue_of(text))]
    return [piece for piece in pieces if piece]


def glue_of(text: str) -> str:
    """What stands between the items of a list: the line end, if there is one within it."""
    return next((glue for glue in ("\n", ";") if glue in text.strip()), ",")


def slot(scene: Scene, reply: str) -> str:
    """What a reply has where the right one has its answer; all of it where it is of another shape."""
    if not scene.gold:
        return reply
    before, found, after = scene.good_text.rpartition(scene.gold)
    fits = bool(found) and reply.startswith(before) and reply.endswith(after)
    return reply[len(before) : len(reply) - len(after)] if fits and len(reply) >= len(before + after) else reply


def _share_of_items(scene: Scene, reply: str) -> float:
    wanted, glue = items(scene.gold.lower()), glue_of(scene.gold)
    if len(wanted) < _LEAST or not scene.told:
        return 0.0
    return _f1(wanted, items(slot(scene, reply).lower(), glue), ordered(scene))


def _share_of_cells(scene: Scene, reply: str) -> float:
    """Cells of a table that are right in their place; 0 where the answer is none, or the reply has another shape."""
    wanted = [line.split() for line in scene.gold.splitlines() if line.strip()]
    given = [line.split() for line in slot(scene, reply).splitlines() if line.strip()]
    widths = [len(row) for row in wanted]
    if len(wanted) < _LEAST or len(set(widths)) > 1 or widths[0] < _LEAST or [len(row) for row in given] != widths:
        return 0.0
    same = [a == b for row, other in zip(wanted, given, strict=True) for a, b in zip(row, other, strict=True)]
    return sum(same) / len(same)
