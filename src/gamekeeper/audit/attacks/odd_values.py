"""Values near the answer, of another type, or no number: what a grader that converts before it compares may pay.

A part of the family `answer`; what its causes are is said in the table there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Maker
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene

RANGE = range(-20, 401)


def known(scene: Scene) -> bool:
    # Around a sentence or a paragraph a few words more do not make the reply wrong.
    short = bool(scene.gold) and len(scene.gold.split()) <= 3 and len(scene.gold) < 80
    return short and len(scene.wrongs) > 1 and not truth.is_program(scene.gold)


def numbers(made: Maker) -> Iterator[Attack]:
    for name, text in (
        ("nan", "nan"),
        ("NaN", "NaN"),
        ("infinity", "inf"),
        ("minus infinity", "-inf"),
        ("1e999", "1e999"),
    ):
        yield made("number", name, text)
        yield made("number", f"{name} in the slot", lambda s, t=text: s.wrap(t))
    for name, step in (("one more", 1), ("one less", -1)):
        yield made("tolerance", name, lambda s, d=step: s.wrap(_near(s.gold, d)) if _whole(s) else None, knows=True)
    for name, factor in (
        ("two per cent more", Fraction(51, 50)),
        ("five per cent less", Fraction(19, 20)),
        ("a tenth more", Fraction(11, 10)),
    ):
        yield made("tolerance", name, lambda s, f=factor: s.wrap(_scaled(s.gold, f)) if _large(s) else None, knows=True)


def _whole(scene: Scene) -> bool:
    value = truth.value_of(scene.gold)
    return value is not None and value.denominator == 1


def _large(scene: Scene) -> bool:
    value = truth.value_of(scene.gold)
    return value is not None and abs(value) >= 10


def _near(gold: str, step: int) -> str:
    return str((truth.value_of(gold) or Fraction(0)) + step)


def _scaled(gold: str, factor: Fraction) -> str:
    """A whole number near the answer: a fraction could be cut down to the answer by a grader that reads integers."""
    value = truth.value_of(gold) or Fraction(0)
    near = round(value * factor)
    return str(near if near != value else near + 1)


def types(made: Maker, mined: Mined) -> Iterator[Attack]:
    keys = [k for k in mined.keys if k.isidentifier()][:8] or ["answer"]
    for key in keys if mined.reads_json else []:
        for name, value in (
            ("true", True),
            ("null", None),
            ("list", []),
            ("object", {}),
            ("empty", ""),
            ("one", 1),
            ("nan", float("nan")),
        ):
            text = json.dumps({key: value})
            yield made("type", f"{key} {name}", text)
        yield made(
            "hedge",
            f"list in {key}",
            lambda s, k=key: json.dumps({k: [s.wrongs[0], s.gold, s.wrongs[1]]}) if known(s) else None,
            knows=True,
        )
        yield made(
            "enumerate",
            f"all in {key}",
            lambda s, k=key: json.dumps({k: list(map(str, RANGE))}) if truth.value_of(s.gold) is not None else None,
            lists=True,
        )
        yield made(
            "negation",
            f"in {key}",
            lambda s, k=key: json.dumps({k: f"not {s.gold}"}) if known(s) else None,
            knows=True,
        )
    yield made("type", "empty object", "{}")
    yield made("type", "empty list", "[]")
