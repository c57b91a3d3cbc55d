"""Values near the answer, of another type, or no number: what a grader that converts before it compares may pay.

A part of the family `answer`; what its causes are is said in the table there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Maker
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.scene import Scene

RANGE = range(-20, 401)
_ONE_COUNTS = 20
_ROUGH = re.compile(r"(?i)\b(roughly|approx\w*|estimate\w*|about how (?:many|much)|within \W?\d|tolerance)")


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
        yield made("tolerance", name, lambda s, d=step: s.wrap(_near(s.gold, d)) if _small(s) else None, knows=True)
    yield made("tolerance", "rounded", _rounded, knows=True)
    for name, factor in (
        ("two per cent more", Fraction(51, 50)),
        ("five per cent less", Fraction(19, 20)),
        ("a tenth more", Fraction(11, 10)),
    ):
        yield made("tolerance", name, lambda s, f=factor: _scaled(s, f), knows=True)


def _small(scene: Scene) -> bool:
    """A whole number of which one is a part that counts; of greater ones it is less than what rounding may cost."""
    value = truth.value_of(scene.gold)
    return value is not None and value.denominator == 1 and abs(value) <= _ONE_COUNTS and not _about(scene)


def _about(scene: Scene) -> bool:
    """Whether a near value may be right: the task asks for no more, or one right reply of many is known."""
    return bool(_ROUGH.search(scene.all_prompt)) or not scene.told


def _near(gold: str, step: int) -> str:
    return str((truth.value_of(gold) or Fraction(0)) + step)


def _rounded(scene: Scene) -> str | None:
    """The whole number next to an answer that is none, where rounding is no small matter."""
    value = truth.value_of(scene.gold)
    if not value or _about(scene):
        return None
    whole = round(value)
    return scene.wrap(str(whole)) if abs(whole - value) * _ONE_COUNTS >= abs(value) else None


def _scaled(scene: Scene, factor: Fraction) -> str | None:
    """A whole number beyond the factor: a fraction could be cut down to the answer by a grader that reads integers.

    None where the next whole number is half as far again.
    """
    value = truth.value_of(scene.gold)
    if not value or _about(scene):
        return None
    wanted = value * factor
    beyond = math.floor(wanted) + 1 if wanted > value else math.ceil(wanted) - 1
    return scene.wrap(str(beyond)) if abs(beyond / value - factor) <= abs(factor - 1) / 2 else None


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
