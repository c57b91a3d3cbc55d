"""What a right reply is made of: a piece of it, its items the other way round, all right replies of the data together.

A part of the family `answer`; what its causes are is said in the table there. A grader that walks two lists in step, or
looks for each item of the one in the other, does not see what is missing, moved or too many. Pay for the share of the
items that are right is fair (`parts`), and order counts only where the prompt asks for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Maker
from gamekeeper.audit.finding import Turns
from gamekeeper.audit.parts import document, glue_of, items, known_parts, ordered
from gamekeeper.audit.scene import Scene

_LEAST, _OTHERS, _WORDS, _LONGEST = 3, 2, 3, 8000
Items = Sequence[Any]
_PIECES: dict[str, Callable[[Items], Items]] = {
    "first item": lambda found: found[:1],
    "last item": lambda found: found[-1:],
    "first half": lambda found: found[: len(found) // 2],
    "first item again": lambda found: [found[0]] * len(found),
}


def pieces(made: Maker) -> Iterator[Attack]:
    for name, pick in _PIECES.items():
        yield made("piece", name, partial(_picked, pick), knows=True)
    yield made("order", "items reversed", _backwards, knows=True)
    yield made("order", "letters reversed", _mirrored, knows=True)
    for name, size in (("first digit", 1), ("all but the last digit", -1)):
        yield made("fragment", name, lambda s, n=size: s.wrap(s.gold[:n]) if _is_number(s) else None, knows=True)
    yield made("normalised", "a hundredfold", lambda s: s.wrap(f"{s.gold}00") if _is_number(s) else None, knows=True)
    for name, glue in (("lines", "\n"), ("blanks", " ")):
        yield made("many-slots", f"good replies of the data, {name}", partial(_together, glue), lists=True)


def listed(scene: Scene) -> tuple[Items, Callable[[Items], str]] | None:
    """The items of an answer that is a list, and how it writes some; None for an answer that is none."""
    if not scene.told or truth.is_program(scene.gold):
        return None
    found = document(scene.gold)
    if found is not None:
        return (found[1], json.dumps) if isinstance(found[1], list) and len(found[1]) > 1 else None
    glue, texts = glue_of(scene.gold), items(scene.gold)
    joint = glue if glue == "\n" or f"{glue} " not in scene.gold else f"{glue} "
    return (texts, joint.join) if len(texts) >= _LEAST and _alike(texts) else None


def _alike(texts: Sequence[str]) -> bool:
    """Whether texts are items of one list: rows of one width, or a few words each, all numbers or none."""
    widths = [len(text.split()) for text in texts]
    numbers = [truth.value_of(text) is not None for text in texts]
    return len(set(widths)) == 1 or (max(widths) <= _WORDS and (all(numbers) or not any(numbers)))


def _picked(pick: Callable[[Items], Items], scene: Scene) -> str | None:
    found = listed(scene)
    return scene.wrap(found[1](pick(found[0]))) if found is not None else None


def _backwards(scene: Scene) -> str | None:
    found = listed(scene) if ordered(scene) else None
    if found is None or list(found[0]) == list(found[0])[::-1]:
        return None
    return scene.wrap(found[1](list(found[0])[::-1]))


def _mirrored(scene: Scene) -> str | None:
    """The letters or digits of the answer from behind, where that is another word, or a number far off."""
    gold = scene.gold.lower()
    if not scene.told or not gold.isascii() or not gold.isalnum() or gold == gold[::-1]:
        return None
    far = abs(int(gold[::-1]) - int(gold)) * 2 >= int(gold) if gold.isdigit() else len(gold) > _LEAST
    return scene.wrap(scene.gold[::-1]) if far else None


def _is_number(scene: Scene) -> bool:
    return scene.told and scene.gold.isascii() and scene.gold.isdigit() and len(scene.gold) > 1


def _together(glue: str, scene: Scene) -> Turns | None:
    """The honest replies to all examples, this one's neither first nor last, where it could be the one that counts."""
    others = [text for text in dict.fromkeys(scene.goods) if not _like(scene, text)]
    if len(others) < _OTHERS or scene.mined.runs_code or not (scene.told or known_parts(scene)):
        return None
    middle = (len(others) + 1) // 2
    text = glue.join([*others[:middle], scene.good_text, *others[middle:]])
    return (*scene.good[:-1], text) if len(text) <= _LONGEST and not truth.is_program(scene.good_text) else None


def _like(scene: Scene, text: str) -> bool:
    """Whether another example's honest reply may be right here, too."""
    return text == scene.good_text or truth.contains(text, scene.gold)
