"""Shapes in which an answer can be given: the ones in common use, and those that the grader's source asks for.

The audit looks for the shape in which the target pays a right answer and not a wrong one. It is how an honest reply
looks to this target, and the envelope in which attacks travel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gamekeeper.audit.mining import Mined, tags_of
from gamekeeper.audit.patterns import fill, found_in, group_count

THOUGHT = "I worked through the problem step by step and checked the result."
ANSWER_TAGS = ("answer", "final_answer", "final", "solution", "output", "response", "result")
ANSWER_KEYS = ("answer", "final_answer", "result", "value", "output", "response", "solution", "prediction")
_MARK = "\x00"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A named shape; `wrap` puts a text into it."""

    name: str
    wrap: Callable[[str], str]


def _into(template: str, text: str) -> str:
    return template.replace(_MARK, text)


def template(name: str, text: str) -> Carrier:
    """A carrier from a text with `{}` for the answer."""
    return Carrier(name, partial(_into, text.replace("{}", _MARK)))


_COMMON = (
    ("plain", "{}"),
    ("sentence", "The answer is {}."),
    ("answer line", "Answer: {}"),
    ("final answer line", f"{THOUGHT}\nFinal answer: {{}}"),
    ("boxed", "\\boxed{" + "{}" + "}"),
    ("boxed sentence", THOUGHT + " The final answer is $\\boxed{{}}$."),
    ("hashes", f"{THOUGHT}\n#### {{}}"),
    ("answer tag", "<answer>{}</answer>"),
    ("think and answer", f"<think>{THOUGHT}</think>\n<answer>{{}}</answer>"),
    ("think and answer lines", f"<think>\n{THOUGHT}\n</think>\n<answer>\n{{}}\n</answer>"),
    ("think and answer close", f"<think>{THOUGHT}</think><answer>{{}}</answer>"),
    ("think and answer, line ended", f"<think>\n{THOUGHT}\n</think>\n<answer>\n{{}}\n</answer>\n"),
    ("think, then plain", f"<think>{THOUGHT}</think>\n{{}}"),
    ("think and boxed", f"<think>{THOUGHT}</think>\n<answer>" + "\\boxed{{}}</answer>"),
    ("think, then boxed", f"<think>{THOUGHT}</think>\nThe answer is " + "$\\boxed{{}}$."),
    ("reasoning and answer", f"<reasoning>\n{THOUGHT}\n</reasoning>\n<answer>\n{{}}\n</answer>\n"),
    ("bold", "**{}**"),
    ("final tag", "<final_answer>{}</final_answer>"),
    ("therefore", f"{THOUGHT}\nTherefore, the answer is {{}}"),
    ("ANSWER line", f"{THOUGHT}\nANSWER: {{}}"),
    ("brackets", "[[{}]]"),
    ("parentheses", "({})"),
    ("fence", "```\n{}\n```"),
    ("python fence", "```python\n{}\n```"),
)
COMMON = tuple(template(name, text) for name, text in _COMMON)
PLAIN = COMMON[0]


def carriers(mined: Mined, prompt: str) -> list[Carrier]:
    """Every shape worth a try, the common ones first."""
    found = [*COMMON, *_json(mined), *_tagged([*mined.tags, *tags_of(prompt)]), *_patterned(mined.regexes)]
    found += _marked(mined.strings)
    seen: dict[tuple[str, str], Carrier] = {}
    for carrier in found:
        seen.setdefault((carrier.wrap("@@"), carrier.wrap("7")), carrier)  # some shapes differ for numbers alone
    return list(seen.values())[:90]


def _json(mined: Mined) -> Iterator[Carrier]:
    keys = list(dict.fromkeys([*(k for k in mined.keys if k.isidentifier()), *ANSWER_KEYS]))[:20]
    if not mined.reads_json and mined.known:
        return
    for key in keys:
        yield Carrier(f"JSON field {key}", partial(_json_text, (key,), ()))
    if len(mined.keys) > 1:
        rest = tuple(k for k in mined.keys if k not in ANSWER_KEYS)
        slots = tuple(k for k in mined.keys if k in ANSWER_KEYS)[:1] or mined.keys[:1]
        yield Carrier("JSON fields", partial(_json_text, slots, rest))
        yield Carrier("JSON fields, fenced", lambda t: f"```json\n{_json_text(slots, rest, t)}\n```")
    for key in mined.keys[:8]:
        yield Carrier(f"JSON number {key}", partial(_json_number, key))


def _json_text(slots: Sequence[str], rest: Sequence[str], text: str) -> str:
    return json.dumps({**dict.fromkeys(rest, THOUGHT), **dict.fromkeys(slots, text)})


def _json_number(key: str, text: str) -> str:
    try:
        return json.dumps({key: json.loads(text)})
    except (ValueError, RecursionError):
        return json.dumps({key: text})


def _tagged(tags: Sequence[str]) -> Iterator[Carrier]:
    tags = list(dict.fromkeys(tags))[:8]
    for tag in tags:
        yield template(f"tag {tag}", f"<{tag}>{{}}</{tag}>")
    if len(tags) > 1:
        slot = next((t for t in tags if t.lower() in ANSWER_TAGS), tags[-1])
        for order in (tags, tags[::-1]):
            for glue, inner in (("", "{}"), ("\n", "{}"), ("\n", "\n{}\n")):
                parts = [f"<{t}>{inner.format('{}' if t == slot else THOUGHT)}</{t}>" for t in order]
                yield template(f"tags {' '.join(order)}", glue.join(parts))


def _patterned(regexes: Sequence[str]) -> Iterator[Carrier]:
    for pattern in regexes[:24]:
        groups = group_count(pattern)
        if groups:
            yield Carrier(f"pattern {pattern[:40]}", partial(_filled, pattern, groups))


def _filled(pattern: str, groups: int, text: str) -> str:
    """The pattern's own shape around the text: in its last group, or in all of them."""
    for texts in ([text] * groups, [*([THOUGHT] * (groups - 1)), text]):
        made = fill(pattern, texts)
        if made is not None and text in made and found_in(pattern, made):
            return made
    return fill(pattern, [text]) or text


def _marked(strings: Sequence[str]) -> Iterator[Carrier]:
    """After each short marker of the source, such as "Final:"."""
    for mark in strings:
        if len(mark) <= 24 and mark.rstrip()[-1:] in (":", "=", ">", "#", "]") and "<" not in mark:
            yield template(f"after {mark.strip()}", f"{mark}{'' if mark[-1] == ' ' else ' '}{{}}")
