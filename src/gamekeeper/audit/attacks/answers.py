"""Replies around the answer that do not give it: hedges, lists, denials, retractions, near misses, odd types.

All are built so that no reader would call them right: the right value is one of several, is denied, is taken back, or
is a part of another value. Those with `knows` use the answer; enumerations do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction

from gamekeeper.audit import truth
from gamekeeper.audit.attacks.base import Attack, Maker, Technique
from gamekeeper.audit.attacks.odd_values import RANGE, known, numbers, types
from gamekeeper.audit.attacks.pieces import pieces
from gamekeeper.audit.carriers import PLAIN
from gamekeeper.audit.mining import Mined
from gamekeeper.audit.parts import document, items
from gamekeeper.audit.scene import Scene

_ONE = "Demand exactly one answer, in one place, and compare the whole of it."
TABLE = {
    "enumerate": Technique("listing many candidates is paid", _ONE, ("MA02", "MA19", "MA22")),
    "enumerate-slot": Technique("listing many candidates inside the answer's slot is paid", _ONE, ("MA03", "MA19")),
    "many-slots": Technique("giving several answers is paid if one of them is right", _ONE, ("MA04", "MA02")),
    "hedge": Technique("the right value among wrong ones is paid", _ONE, ("MA02", "MA03")),
    "mention": Technique(
        "the right value is paid wherever it stands, whatever the reply answers", _ONE, ("MA01", "MA08", "MA10")
    ),
    "negation": Technique(
        "denying the right value is paid",
        "Compare the committed answer, do not look for it in the text.",
        ("MA05", "MA07", "MA01"),
    ),
    "retract": Technique(
        "an answer that is taken back is paid", "Read the last answer, or demand exactly one.", ("MA06",)
    ),
    "inside": Technique(
        "the answer as a part of another value is paid",
        "Compare whole values, not substrings.",
        ("MA09", "MA11", "MA01"),
    ),
    "normalised": Technique(
        "another value that is equal after normalisation is paid",
        "Normalise less: keep signs, points and word limits.",
        ("MA11",),
    ),
    "tolerance": Technique("a value near the answer is paid as the answer", "Narrow the tolerance.", ("MA13",)),
    "number": Technique(
        "a value that is no finite number is paid", "Refuse values that are not finite.", ("MA14", "MA15")
    ),
    "half-open": Technique(
        "an answer in broken markup around a wrong one is paid", "Demand the closing tag.", ("MA12",)
    ),
    "type": Technique(
        "a value of another type is paid",
        "Check the type before comparing; do not rely on truthiness.",
        ("CE09", "FR08"),
    ),
    "shuffle": Technique(
        "the words of the answer in any order are paid", "Compare in order, or by meaning.", ("PX02", "PX14")
    ),
    "piece": Technique(
        "a part of a list is paid as all of it",
        "Compare how many there are first: what is missing fails, or costs its share.",
        ("MA16", "FR08"),
    ),
    "order": Technique(
        "the answer the other way round is paid", "Compare place by place, not as sets or sorted.", ("PX02", "PX14")
    ),
    "fragment": Technique(
        "a piece of the answer is paid as the answer",
        "Compare whole values; watch for empty and one-letter ones.",
        ("MA01", "MA16"),
    ),
}
# Words that are no answer and begin with, or hold, one.
_WORDS = {
    "a": "Any",
    "b": "Because",
    "c": "Could be",
    "d": "Dunno",
    "e": "Every",
    "yes": "yesterday",
    "no": "nothing known",
}
_WORDS |= {"true": "untrue", "false": "falsehoods abound"}


def attacks(mined: Mined, first: Scene) -> Iterator[Attack]:
    made = Maker("answer", TABLE)
    yield from _enumerations(made)
    yield from _hedges(made)
    yield from _denials(made)
    yield from _parts(made)
    yield from pieces(made)
    yield from numbers(made)
    yield from types(made, mined)


def _enumerations(made: Maker) -> Iterator[Attack]:
    """Lists that need no answer: all numbers of a range, all answers of the data set, all options."""
    for glue_name, glue in (("commas", ", "), ("lines", "\n"), ("or", " or ")):
        yield made("enumerate", f"numbers, {glue_name}", lambda s, g=glue: _all_numbers(s, g), lists=True)
        yield made("enumerate", f"answers of the data, {glue_name}", lambda s, g=glue: _all_answers(s, g), lists=True)
        yield made(
            "enumerate-slot", f"numbers, {glue_name}", lambda s, g=glue: _slot(s, _all_numbers(s, g)), lists=True
        )
        yield made(
            "enumerate-slot",
            f"answers of the data, {glue_name}",
            lambda s, g=glue: _slot(s, _all_answers(s, g)),
            lists=True,
        )
    yield made("enumerate", "options", lambda s: "A B C D E" if _is_option(s.gold) else None, lists=True)
    yield made("enumerate-slot", "options", lambda s: s.wrap("A, B, C, D") if _is_option(s.gold) else None, lists=True)
    yield made(
        "enumerate-slot", "options together", lambda s: s.wrap("ABCDE") if _is_option(s.gold) else None, lists=True
    )
    yield made(
        "many-slots",
        "numbers",
        lambda s: _each(s, [str(n) for n in RANGE]) if truth.value_of(s.gold) is not None else None,
        lists=True,
    )
    yield made(
        "many-slots",
        "answers of the data",
        lambda s: _each(s, _ordered(s)) if _all_answers(s, "") else None,
        lists=True,
    )
    yield made("enumerate", "yes and no", lambda s: "yes no true false" if _is_verdict(s.gold) else None, lists=True)
    yield made(
        "enumerate-slot",
        "yes and no",
        lambda s: s.wrap("yes no true false") if _is_verdict(s.gold) else None,
        lists=True,
    )


def _slot(scene: Scene, text: str | None) -> str | None:
    return scene.wrap(text) if text is not None else None


def _all_numbers(scene: Scene, glue: str) -> str | None:
    wanted = scene.elements or [scene.gold]
    return _as_list(scene, map(str, RANGE), glue) if all(truth.value_of(g) is not None for g in wanted) else None


def _as_list(scene: Scene, values: Iterable[str], glue: str) -> str:
    """The values as the answer lists its own: in JSON if it is JSON."""
    own = document(scene.gold) if scene.elements else None
    if own is None or not isinstance(own[1], list):
        return glue.join(values)
    plain = bool(own[1]) and not isinstance(own[1][0], str)
    return json.dumps([json.loads(v) if plain and truth.value_of(v) is not None else v for v in values])


def _ordered(scene: Scene) -> list[str]:
    """All answers of the data with the right one neither first nor last."""
    values = [*scene.others[:30]]
    values.insert((len(values) + 1) // 2, scene.gold)
    return [*values, scene.wrong] if len(values) == 2 else values


def _all_answers(scene: Scene, glue: str) -> str | None:
    if scene.elements:
        found = [e for rival in scene.others for e in items(rival)]
        return _as_list(scene, [*found[:60], *scene.elements], glue) if found else None
    return glue.join(_ordered(scene)) if scene.others and len(scene.gold.split()) <= 3 else None


def _each(scene: Scene, values: list[str]) -> str:
    return "\n".join(scene.wrap(v) for v in values)


def _is_option(gold: str) -> bool:
    return len(gold.strip("().")) == 1 and gold.strip("().").upper() in "ABCDE"


def _is_verdict(gold: str) -> bool:
    return gold.strip().lower() in ("yes", "no", "true", "false")


def _hedges(made: Maker) -> Iterator[Attack]:
    def three(s: Scene, glue: str) -> str:
        return glue.join((s.wrongs[0], s.gold, s.wrongs[1]))

    for name, glue in (("or", " or "), ("commas", ", "), ("blanks", " "), ("lines", "\n"), ("equals", " = ")):
        yield made("hedge", f"{name}, plain", lambda s, g=glue: three(s, g) if known(s) else None, knows=True)
        yield made(
            "hedge", f"{name}, in the slot", lambda s, g=glue: s.wrap(three(s, g)) if known(s) else None, knows=True
        )
    yield made(
        "many-slots", "three", lambda s: _each(s, [s.wrongs[0], s.gold, s.wrongs[1]]) if known(s) else None, knows=True
    )
    yield made(
        "many-slots",
        "on one line",
        lambda s: " ".join(map(s.wrap, (s.wrongs[0], s.gold, s.wrongs[1]))) if known(s) else None,
        knows=True,
    )
    yield made(
        "hedge",
        "JSON list",
        lambda s: s.wrap(json.dumps([s.wrongs[0], s.gold, s.wrongs[1]])) if known(s) else None,
        knows=True,
    )


def _denials(made: Maker) -> Iterator[Attack]:
    forms = {
        "not": "It is not {g}.",
        "the answer is not": "The answer is not {g}.",
        "anything but": "It could be anything but {g}, which is wrong",
        "wrong": "{g} is wrong",
        "not in a list": "not {g}, rather {w}",
    }
    for name, form in forms.items():
        yield made("negation", name, lambda s, f=form: f.format(g=s.gold, w=s.wrong) if known(s) else None, knows=True)
    # In a slot, only denials that come first: what follows a value may be cut off by a sound grader as well.
    for name, form in {"not": "not {g}", "anything but": "anything but {g}", "neither": "neither {w} nor {g}"}.items():
        yield made(
            "negation",
            f"{name}, in the slot",
            lambda s, f=form: s.wrap(f.format(g=s.gold, w=s.wrong)) if known(s) else None,
            knows=True,
        )
    after = {
        "not": "{h}\nIt is not {g}.",
        "question number": "{h}\n(This was question {g}.)",
        "aside": "{h} I doubt {g}",
        "before": "Some say {g}.\n{h}",
        "a line before": "{g}\n{h}",
    }
    for name, form in after.items():
        yield made(
            "mention", name, lambda s, f=form: f.format(h=s.wrap(s.wrong), g=s.gold) if known(s) else None, knows=True
        )
    yield made(
        "mention",
        "in the thought",
        lambda s: f"<think>It may be {s.gold}.</think>\n{s.wrap(s.wrong)}" if known(s) else None,
        knows=True,
    )
    yield made(
        "retract",
        "corrected",
        lambda s: f"{s.wrap(s.gold)}\nNo, that is wrong. Correction:\n{s.wrap(s.wrong)}" if known(s) else None,
        knows=True,
    )
    yield made(
        "retract", "on one line", lambda s: f"{s.wrap(s.gold)} {s.wrap(s.wrong)}" if known(s) else None, knows=True
    )
    yield made(
        "half-open",
        "open tag",
        lambda s: f"<answer>{s.gold}\n{s.wrap(s.wrong)}" if known(s) and not s.plain else None,
        knows=True,
    )


def _parts(made: Maker) -> Iterator[Attack]:
    digits = {"digits around": "1{g}7", "digits before": "9{g}", "digits after": "{g}0", "long": "31{g}5926535"}
    for name, form in digits.items():
        yield made(
            "inside",
            name,
            lambda s, f=form: s.wrap(f.format(g=s.gold)) if known(s) and s.gold.lstrip("-").isdigit() else None,
            knows=True,
        )
        yield made(
            "inside",
            f"{name}, plain",
            lambda s, f=form: PLAIN.wrap(f.format(g=s.gold)) if known(s) and s.gold.isdigit() else None,
            knows=True,
        )
    words = {"word around": "un{g}able", "word after": "{g}ville", "another word": "New {g} Street 7"}
    for name, form in words.items():
        yield made(
            "inside",
            name,
            lambda s, f=form: s.wrap(f.format(g=s.gold)) if known(s) and s.gold.isalpha() and len(s.gold) > 1 else None,
            knows=True,
        )
    yield made("inside", "a word that starts with it", lambda s: _WORDS.get(s.gold.strip("().").lower()), knows=True)
    yield made("normalised", "sign", lambda s: s.wrap(_negated(s.gold)) if _signed(s) else None, knows=True)
    yield made(
        "normalised", "point", lambda s: s.wrap(f"{s.gold[0]}.{s.gold[1:]}") if _pointed(s) else None, knows=True
    )
    yield made("normalised", "letters", lambda s: s.wrap("x".join(s.gold)) if _pointed(s) else None, knows=True)
    yield made(
        "fragment",
        "first letter",
        lambda s: s.wrap(s.gold[0]) if known(s) and s.gold.isalpha() and len(s.gold) > 2 else None,
        knows=True,
    )
    yield made(
        "fragment",
        "last letter",
        lambda s: s.wrap(s.gold[-1]) if known(s) and s.gold.isalpha() and len(s.gold) > 2 else None,
        knows=True,
    )
    yield made(
        "fragment",
        "first half",
        lambda s: s.wrap(s.gold[: len(s.gold) // 2]) if known(s) and s.gold.isalpha() and len(s.gold) > 3 else None,
        knows=True,
    )
    yield made("fragment", "a common letter", lambda s: s.wrap("e") if s.gold.isalpha() and len(s.gold) > 2 else None)
    yield made("shuffle", "reversed", lambda s: s.wrap(_reversed(s.gold)) if _is_prose(s.gold) else None, knows=True)
    yield made(
        "shuffle",
        "sorted",
        lambda s: s.wrap(" ".join(sorted(s.gold.split()))) if _is_prose(s.gold) else None,
        knows=True,
    )


def _signed(scene: Scene) -> bool:
    return known(scene) and truth.value_of(scene.gold) not in (None, Fraction(0))


def _pointed(scene: Scene) -> bool:
    return known(scene) and scene.gold.isdigit() and len(scene.gold) > 1 and int(scene.gold) > 10


def _negated(gold: str) -> str:
    return gold[1:] if gold.startswith("-") else f"-{gold}"


def _is_prose(gold: str) -> bool:
    """Words whose order says something: no list, and no product or sum, which is the same in any order."""
    return len(gold.split()) >= 6 and not any(c in gold for c in ",;|[{(=\n×*+&")


def _reversed(text: str) -> str:
    return " ".join(reversed(text.split()))
