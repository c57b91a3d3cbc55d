"""The honest reply's fields with nothing in them, or with junk: is looked at what they hold, or that they are there?

A document is all of the honest reply, or stands in it within tags or a fence; what is around it stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from gamekeeper.audit.attacks.base import Attack, Maker
from gamekeeper.audit.parts import document, known_parts
from gamekeeper.audit.scene import NONSENSE, Scene

_JUNK: tuple[Any, ...] = (None, 0, 1, True, "", NONSENSE[0], [], {})
_MOST_FIELDS = 6


def hollowed(made: Maker, first: Scene) -> Iterator[Attack]:
    """`state/hollow` and `state/unsaid`, where the honest reply says what it says in JSON."""
    if _document(first) is None:
        return
    for junk in _JUNK:
        yield made("hollow", f"all {json.dumps(junk)}", lambda s, j=junk: _filled(s, lambda _: j))
    yield made("hollow", "of the same types", lambda s: _filled(s, _empty))
    yield made("hollow", "names only", lambda s: _filled(s, _names, whole=True))
    for place in range(_MOST_FIELDS):
        yield made("unsaid", f"field {place}", lambda s, k=place: _without(s, k))
        yield made("unsaid", f"within field {place}", lambda s, k=place: _without_inner(s, k))
        for n, junk in enumerate(_JUNK):
            yield made("hollow", f"field {place} {n}", lambda s, k=place, j=junk: _junked(s, k, j))
    yield made("unsaid", "all fields", lambda s: _changed(s, lambda v: type(v)()))


def _document(scene: Scene) -> tuple[str, Any, str] | None:
    """The JSON of the honest reply with what is around it, where it is what the reply says: all of it, tagged, fenced.

    A list or an object within prose or code is not.
    """
    found = document(scene.good_text)
    if found is None or not found[1]:
        return None
    before = found[0].rstrip()
    own = not before or before.endswith((">", "```", "```json", ":")) or not (found[0] + found[2]).strip("`'\" \n")
    return found if own else None


def _changed(scene: Scene, change: Callable[[Any], Any]) -> str | None:
    """The honest reply with its JSON changed, and all around it as it was; None where `change` says so."""
    found = _document(scene)
    new = change(found[1]) if found is not None else None
    return f"{found[0]}{json.dumps(new)}{found[2]}" if found is not None and new is not None else None


def _filled(scene: Scene, leaf: Callable[[Any], Any], whole: bool = False) -> str | None:
    return _changed(scene, lambda value: _mapped(value, leaf, whole))


def _mapped(value: Any, leaf: Callable[[Any], Any], whole: bool) -> Any:
    """A JSON value with its leaves replaced; texts that are JSON objects themselves are looked into."""
    if isinstance(value, dict):
        inner = {k: _mapped(v, leaf, whole) for k, v in value.items()}
        return leaf(inner) if whole and not any(isinstance(json_of(str(v)), dict) for v in value.values()) else inner
    if isinstance(value, list):
        return [_mapped(v, leaf, whole) for v in value]
    held = json_of(value) if isinstance(value, str) else None
    if isinstance(held, dict | list):
        return json.dumps(_mapped(held, leaf, whole))
    return value if whole else leaf(value)


def _empty(value: Any) -> Any:
    return type(value)() if value is not None else None


def _names(value: Any) -> Any:
    return list(value)


# Of one field alone there is only something to say where the answer is known: other fields may be idle words.


def _without(scene: Scene, place: int) -> str | None:
    def change(value: Any) -> Any:
        if not isinstance(value, dict) or not 2 <= len(value) > place:
            return None
        return {k: v for n, (k, v) in enumerate(value.items()) if n != place}

    return _changed(scene, change) if known_parts(scene) else None


def _without_inner(scene: Scene, place: int) -> str | None:
    """All that a field holds is left out, where it holds fields or items of its own."""

    def change(value: Any) -> Any:
        inner = list(value.values())[place : place + 1] if isinstance(value, dict) else []
        if not inner or not isinstance(inner[0], dict | list) or not inner[0]:
            return None
        return {k: type(v)() if n == place else v for n, (k, v) in enumerate(value.items())}

    return _changed(scene, change) if known_parts(scene) else None


def _junked(scene: Scene, place: int, junk: Any) -> str | None:
    def change(value: Any) -> Any:
        if not isinstance(value, dict) or place >= len(value):
            return None
        return {k: junk if n == place else v for n, (k, v) in enumerate(value.items())}

    return _changed(scene, change) if scene.answers else None


def json_of(text: str) -> Any:
    """A JSON value; None of what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
