"""Tables of what the prompt shows, where a rule was asked for: alternations for patterns, indices for sequences.

Right on the shown cases and nowhere else, so that only a grader which tries nothing but those pays them. Programs have
a table of their own among the programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gamekeeper.audit.attacks.base import Attack, Maker, Technique
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene

TABLE = {
    "shown": Technique(
        "a table of the cases that the prompt shows is paid where a rule was asked for",
        "Try the rule on cases that the prompt does not show.",
        ("CE33", "CE34", "TT26"),
    ),
    "constant-query": Technique(
        "a query that reads no table is paid where it gives what the shown rows give",
        "Run the query on data that the prompt does not show.",
        ("CE33", "CE35", "TT23"),
    ),
}
_SQL = re.compile(r"\s*(?:select|with)\s", re.IGNORECASE)
_WHOLE = re.compile(r"(?<![\w.])\d{1,6}(?![\w.])")
_ITEM = r"[^\s,.:;][^,.:;\n]{0,40}?"
_LIST = re.compile(rf"({_ITEM}(?:,\s*{_ITEM})+)(?=\s*(?:[.:;\n]|,\s*\.\.\.|$))")
_NUMBERS = re.compile(r"-?\d+(?:,\s*-?\d+){2,}")
_VARIABLE = re.compile(r"(?<![\w'’])[b-z](?![\w'’])")
_NUMBER = re.compile(r"-?\d+$")
_MOST = 3


def attacks(mined: Mined, first: Scene) -> Iterator[Attack]:
    made = Maker("table", TABLE)
    if "sqlite3" in mined.modules or _SQL.match(first.good_text):
        yield from _queries(made, first)
    if not shown_lists(first.prompt):
        return
    for place in range(_MOST):
        for name, form in _FORMS.items():
            for shape in ("", " in the slot"):
                make = partial(_tabled, form, place, bool(shape))
                yield made("shown", f"{name} of list {place}{shape}", make, universal=True)


def _queries(made: Maker, first: Scene) -> Iterator[Attack]:
    """Queries that read no table: right for the rows that are shown, if at all."""
    numbers = list(dict.fromkeys([*_WHOLE.findall(first.prompt), *map(str, range(41))]))[:60]
    for number in numbers:
        yield made("constant-query", number, f"select {number}")
    for place in range(_MOST):
        make = partial(_literal, place)
        yield made("constant-query", f"literal {place}", make)


def _literal(place: int, scene: Scene) -> str | None:
    found = list(dict.fromkeys(re.findall(r"'([^'\n]{1,40})'", scene.prompt)))
    return f"select '{found[place]}'" if place < len(found) else None


def shown_lists(prompt: str) -> list[list[str]]:
    """The comma lists of a prompt, each after the colon or the words that lead to it."""
    found = []
    for text in (*_NUMBERS.findall(prompt), *_LIST.findall(prompt)):
        items = [item.strip().removeprefix("and ").strip("\"'` ") for item in text.split(",")]
        if all(items) and len(set(items)) > 1:
            found.append(items)
    return found


def _tabled(form: Callable[[Sequence[str], str], str | None], place: int, slot: bool, scene: Scene) -> str | None:
    lists = shown_lists(scene.prompt)
    if place >= len(lists):
        return None
    letters = _VARIABLE.findall(scene.prompt)
    text = form(lists[place], letters[0] if letters else "")
    if text is None:
        return None
    return scene.wrap(text) if slot else text


def _alternation(items: Sequence[str], _: str) -> str:
    return f"({'|'.join(map(re.escape, items))})"


def _index(items: Sequence[str], variable: str, shift: str = " - 1") -> str | None:
    if not variable or not all(map(_NUMBER.match, items)):
        return None
    return f"[{', '.join(items)}][{variable}{shift}]"


def _mapping(items: Sequence[str], variable: str, first: int = 1) -> str | None:
    if not variable or not all(map(_NUMBER.match, items)):
        return None
    pairs = ", ".join(f"{n}: {item}" for n, item in enumerate(items, first))
    return f"{{{pairs}}}[{variable}]"


_FORMS: dict[str, Callable[[Sequence[str], str], str | None]] = {
    "alternation": _alternation,
    "anchored alternation": lambda items, v: f"^{_alternation(items, v)}$",
    "index from 1": _index,
    "index from 0": partial(_index, shift=""),
    "mapping from 1": _mapping,
    "mapping from 0": partial(_mapping, first=0),
}
