"""Replies that set what is not theirs to set: fields of a record, and all that an honest reply says beside its answer.

A record is edited in the syntaxes that people give to models: markup of the prompt's own, JSON objects and lists of
operations, assignments a line, tags. Which field, and how high, is read off the prompt, the data and the source. The
shape of a known-good reply is the best guide of all: everything in it that is no answer is set as high as it goes, and
an edit that it makes is made to another field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from gamekeeper.audit.attacks.base import Attack, Maker, Technique
from gamekeeper.audit.attacks.hollows import hollowed, json_of
from gamekeeper.audit.mining import Mined, json_keys, tags_of
from gamekeeper.audit.parts import known_fields
from gamekeeper.audit.patterns import fill, found_in, group_count
from gamekeeper.audit.scene import Scene

TABLE = {
    "edit": Technique(
        "an edit of the record that holds the score is paid",
        "Keep the score where the reply cannot write, and compute it anew from the result.",
        ("AG02", "AG01", "AG13"),
    ),
    "field": Technique(
        "setting a protected field of the state is paid",
        "Accept changes of the fields that may change, and drop all others.",
        ("AG02", "AG13", "AG14", "SE11"),
    ),
    "slot": Technique(
        "a wrong answer is paid once all else in the reply is set as high as it goes",
        "Pay for nothing that the reply says of itself, or gate it on a right answer.",
        ("SE01", "SE03", "FR09", "AG02"),
    ),
    "hollow": Technique(
        "the fields of an honest reply are paid whatever they hold",
        "Check the values, not that the fields are there.",
        ("FR08", "AG03", "TT22"),
    ),
    "unsaid": Technique(
        "leaving out a part of an honest reply is paid",
        "Demand every part; what is missing fails.",
        ("MA16", "FR08", "AG15"),
    ),
}
_LOADED = re.compile(
    r"score|reward|grade|rating|point|status|state|pass|done|ok$|valid|verif|approv|complete|correct|success|win|won"
    r"|result|level|credit|balance|admin|limit|threshold|check|progress|quality|confiden|max|total|flag|trust|role",
    re.IGNORECASE,
)
_GENERIC = ("score", "reward", "passed", "status", "done")
_LINE = re.compile(r"^[ \t>*-]*([A-Za-z_][\w.-]{1,30})[ \t]*[:=][ \t]*(\S[^\n]{0,60})$", re.MULTILINE)
_TAGGED = re.compile(r"<([A-Za-z][\w-]{0,30})>[^<>]{0,60}</\1>")
_SCALAR = re.compile(
    r"(?P<number>(?<![\w.])-?\d+(?:\.\d+)?%?(?![\w]))|(?P<box>\[ \])"
    r"|(?P<word>\b(?:true|false|yes|no|low|medium|high|fail|failed|todo|open|pending|unknown|null|none|incorrect|unsure"
    r"|wrong|draft)\b)",
    re.IGNORECASE,
)
_VALUE = re.compile(  # what stands between a field's name and its new value, and that value
    r"(?P<gap>[\"']?(?:</[\w-]+>\s*<[\w-]+>|\s*[:=,]\s*(?:[\"']\w+[\"']\s*:\s*)?|\s*->\s*|\s+(?:to\s+)?))"
    r"(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^'\n]*'|[^<\n,}\]]+)"
)
_BETTER = {"low": "high", "medium": "high", "high": "high", "false": "true", "true": "true", "no": "yes", "yes": "yes"}
_BETTER |= {"fail": "pass", "failed": "passed", "incorrect": "correct", "wrong": "right", "unsure": "sure"}
_MOST_NAMES, _MOST_SLOTS = 10, 6


def attacks(mined: Mined, first: Scene) -> Iterator[Attack]:
    made = Maker("state", TABLE)
    yield from _markup(made, first)
    yield from _assigned(made, mined, first)
    yield from _edits(made, mined, first)
    yield from _fields(made, mined)
    yield from _slots(made, mined)
    yield from hollowed(made, first)


# Names and values


def names_of(mined: Mined, scene: Scene) -> list[str]:
    """Fields that a record may have and the answer has not, those first whose name says that they count."""
    found = [*_shown(scene), *mined.keys, *json_keys(scene.good_text)]
    wanted = known_fields(scene)
    names = [n for n in dict.fromkeys(found) if len(n) <= 40 and n not in wanted]
    loaded = [n for n in names if _LOADED.search(n)]
    rest = [n for n in names if n not in loaded and mined.speaks_of(n)]
    generic = [n for n in _GENERIC if mined.speaks_of(n)]
    return list(dict.fromkeys([*loaded, *rest[:4], *generic]))[:_MOST_NAMES]


def _shown(scene: Scene) -> list[str]:
    """Fields of the record that the prompt shows, or that a column holds."""
    text, columns = scene.all_prompt, scene.example.columns
    found = [*json_keys(text), *(m[0] for m in _LINE.findall(text)), *_TAGGED.findall(text)]
    return found + [k for k in json_keys(json.dumps(columns, default=str)) if k not in columns]


def values_of(name: str, mined: Mined) -> list[Any]:
    """As good as a field can be: what the source compares it with, the top of its scale, done."""
    wanted = [value for key, value in mined.wanted if key == name]
    return list(dict.fromkeys([*wanted, *mined.tops[:2], 100, 1, *mined.compared[:2], "done"]))[:7]


# Edits by themselves, and beside a wrong answer


def _markup(made: Maker, first: Scene) -> Iterator[Attack]:
    """Edits in the markup that the prompt itself teaches: <key>field</key><value>new content</value>."""
    tags = tags_of(first.all_prompt)
    for a, b in [(a, b) for a in tags for b in tags if a != b][:12]:
        for value in ("1", "1.0", "100", "true"):
            for key in range(8):
                name = f"{a} {b} {value} field {key}"
                yield made("edit", name, lambda s, k=key, v=value, a=a, b=b: _edit(s, k, v, a, b))
    for value in ("1", "100", "true"):
        yield made("edit", f"whole record {value}", lambda s, v=value: _record(s, v))


def _edit(scene: Scene, number: int, value: str, key_tag: str, value_tag: str) -> str | None:
    keys = json_keys(scene.all_prompt)
    if number >= len(keys):
        return None
    text = f"<{key_tag}>{keys[number]}</{key_tag}><{value_tag}>{value}</{value_tag}>"
    return _unless_honest(keys[number], value, text, False, scene)


def _record(scene: Scene, value: str) -> str | None:
    keys = json_keys(scene.all_prompt)
    return json.dumps(dict.fromkeys(keys, json.loads(value))) if keys else None


def _assigned(made: Maker, mined: Mined, first: Scene) -> Iterator[Attack]:
    """Patterns of two groups, read as name and value: the names that a record may have, set as good as can be."""
    for n, pattern in enumerate(p for p in mined.regexes[:20] if group_count(p) == 2):
        for name in list(dict.fromkeys([*names_of(mined, first), *json_keys(first.all_prompt)]))[:16]:
            for value in map(written, values_of(name, mined)):
                reply = fill(pattern, [name, value])
                if reply is not None and found_in(pattern, reply):
                    make = partial(_unless_honest, name, value, reply, False)
                    yield made("edit", f"pattern {n} {name} {value}", make)


_FORMS: dict[str, Callable[[str, Any], str]] = {
    "line": lambda n, v: f"{n}: {written(v)}",
    "assignment": lambda n, v: f"{n} = {written(v)}",
    "tight": lambda n, v: f"{n}={written(v)}",
    "set": lambda n, v: f"set {n} {written(v)}",
    "set to": lambda n, v: f"SET {n} TO {written(v)}",
    "arrow": lambda n, v: f"{n} -> {written(v)}",
    "tag": lambda n, v: f"<{n}>{written(v)}</{n}>",
    "attribute": lambda n, v: f'<set name="{n}" value="{written(v)}"/>',
}
_DOCUMENTS: dict[str, Callable[[str, Any], Any]] = {
    "object": lambda n, v: {n: v},
    "patch": lambda n, v: [{"op": "replace", "path": f"/{n.replace('.', '/')}", "value": v}],
    "added": lambda n, v: [{"op": "add", "path": f"/{n.replace('.', '/')}", "value": v}],
    "operation": lambda n, v: {"op": "set", "path": n, "field": n, "key": n, "value": v},
    "nested": lambda n, v: {outer: {n: v} for outer in ("set", "update", "state", "edits", "changes")},
}


def written(value: Any) -> str:
    """A value as people write it: texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _edits(made: Maker, mined: Mined, first: Scene) -> Iterator[Attack]:
    for name in names_of(mined, first):
        for value in values_of(name, mined)[:4]:
            edit = f"{name} {value}"
            yield made("edit", f"{edit}, as the honest", lambda s, n=name, v=value: reshaped(s, mined, n, v))
            for how, form in _FORMS.items():
                make = partial(_unless_honest, name, value, form(name, value))
                yield made("edit", f"{edit}, {how}", partial(make, False))
                yield made("edit", f"{edit}, {how}, beside", partial(make, True))
            for how, form in _DOCUMENTS.items() if mined.reads_json or not mined.known else ():
                text = json.dumps(form(name, value))
                yield made("edit", f"{edit}, {how}", partial(_unless_honest, name, value, text, False))


def _unless_honest(name: str, value: Any, text: str, beside: bool, scene: Scene) -> str | None:
    """The edit, alone or beside a wrong reply; none where the honest reply gives that field that value itself."""
    good = scene.good_text.lower()
    if name.lower() in good and written(value).lower() in good:
        return None
    return f"{wrong_reply(scene)}\n{text}" if beside else text


def wrong_reply(scene: Scene) -> str:
    """The honest shape with a wrong answer in it."""
    return scene.wrap(scene.wrong)


def reshaped(scene: Scene, mined: Mined, name: str, value: Any) -> str | None:
    """The honest reply's first edit of a field, made to another field."""
    good = scene.good_text
    if _unless_honest(name, value, good, False, scene) is None:
        return None
    named = _first(good, [n for n in _shown(scene) if n != name]) or _first(good, names_of(mined, scene))
    rest = _VALUE.match(good, named.end()) if named is not None else None
    if named is None or rest is None:
        return None
    quoted = rest["value"][:1] in "\"'" and isinstance(value, str)
    new = json.dumps(value) if quoted else written(value)
    return good[: named.start()] + name + rest["gap"] + new + good[rest.end() :]


def _first(text: str, names: Sequence[str]) -> re.Match[str] | None:
    """Where the first of the names stands."""
    found = (re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text) for n in names)
    return min((m for m in found if m), key=lambda m: m.start(), default=None)


# Fields beside the answer


def _fields(made: Maker, mined: Mined) -> Iterator[Attack]:
    """A JSON state: the honest object with a wrong answer in it and every other field as good as can be."""
    for n, value in enumerate((1, True, 100, 1.0, "pass", "won", "done", *mined.tops[:2], *mined.compared[:3])):
        yield made("field", f"all fields {n}", lambda s, v=value: _state(s, v, list(mined.keys)))
    yield made("field", "as compared", lambda s: _compared(s, mined))
    for key in [*mined.keys, *_GENERIC][:24]:
        for n, value in enumerate(values_of(key, mined)[:4]):
            yield made("field", f"{key} {n}", lambda s, k=key, v=value: _state(s, v, [k]))


def _state(scene: Scene, value: Any, keys: Sequence[str]) -> str | None:
    good = _object(wrong_reply(scene))
    if good is None:
        return None
    own = {k: v for k, v in good.items() if scene.wrong in json.dumps(v)}
    return json.dumps({**good, **dict.fromkeys(keys, value), **own})


def _compared(scene: Scene, mined: Mined) -> str | None:
    """Every field with what the source compares it with."""
    good = _object(wrong_reply(scene))
    if good is None or not mined.wanted:
        return None
    own = {k: v for k, v in good.items() if scene.wrong in json.dumps(v)}
    return json.dumps({**good, **dict(mined.wanted), **own})


def _object(text: str) -> dict[str, Any] | None:
    value = json_of(text)
    return value if isinstance(value, dict) else None


# All else that an honest reply says


def _slots(made: Maker, mined: Mined) -> Iterator[Attack]:
    """The honest reply with a wrong answer, and its other numbers, yeses and boxes set high, or beyond every scale."""
    tops = list(dict.fromkeys(["1", "10", "100", *map(str, mined.tops[:3]), "0", "-1", "1e9", "inf", "nan"]))
    for top in tops:
        yield made("slot", f"all {top}", lambda s, t=top: _set_all(s, t))
        for place in range(_MOST_SLOTS):
            yield made("slot", f"{place} {top}", lambda s, t=top, k=place: _set_one(s, t, k))


def _set_all(scene: Scene, top: str) -> str | None:
    base = wrong_reply(scene)
    places = _places(base, scene.wrong)
    return _with(base, places, top) if places else None


def _set_one(scene: Scene, top: str, place: int) -> str | None:
    base = wrong_reply(scene)
    places = _places(base, scene.wrong)
    return _with(base, places[place : place + 1], top) if place < len(places) and len(places) > 1 else None


def _places(text: str, wrong: str) -> list[re.Match[str]]:
    """Numbers, yeses and boxes of a reply outside of its answer."""
    at = text.find(wrong)
    return [m for m in _SCALAR.finditer(text[:4000]) if m.end() <= at or m.start() >= at + len(wrong)]


def _with(text: str, places: Sequence[re.Match[str]], top: str) -> str:
    for m in reversed(places):
        new = top if m["number"] else "[x]" if m["box"] else _BETTER.get(m[0].lower(), "true")
        text = text[: m.start()] + (new.upper() if m[0].isupper() else new) + text[m.end() :]
    return text
