"""reasoning-gym's data sets: `reasoning_gym:NAME`, with `--param` for the fields of the data set's config.

The data set makes its own examples from the seed. A reply goes to its `score_answer` as it is. Items that other hash
seeds make otherwise are graded as they were made first.
"""

from __future__ import annotations

import json
import time
from typing import Any

from gamekeeper.audit.finding import Example, Turns
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.code import require
from gamekeeper.audit.targets.native import OneByOne, options_of, rest_of
from gamekeeper.errors import UnknownName, UsageError

_RANGE = ("0.1.20", "0.2")
_ANSWERS, _ANSWERS_S = 300, 1.0


def open_grader(spec: Spec) -> ReasoningGym:
    require("reasoning-gym", *_RANGE)
    from reasoning_gym.factory import DATASETS, create_dataset

    name, options = rest_of(spec), {"seed": spec.seed, "size": spec.count, **options_of(spec)}
    if name not in DATASETS:
        raise UnknownName("data set of reasoning-gym", name, DATASETS)
    try:
        more = create_dataset(name, **{**options, "size": max(_ANSWERS, options["size"])})
        return ReasoningGym(create_dataset(name, **options), more)
    except (TypeError, AssertionError, ValueError) as error:
        fields = ", ".join(sorted(DATASETS[name][1].__dataclass_fields__))
        raise UsageError(
            f"The data set {name!r} cannot be made: {error}. --param may set what its config has: {fields}."
        ) from None


class ReasoningGym(OneByOne):
    kind = "reasoning-gym data set"
    bindings = ("score_answer(reply, entry)",)

    def __init__(self, items: Any, more: Any) -> None:
        """more: another data set of the same config, as large as is needed to count its answers."""
        self.items, self.more = items, more
        self.readable = type(items).score_answer

    def examples(self, n: int, seed: int) -> list[Example]:
        return [_example(k, self.items[k]) for k in range(min(n, len(self.items)))]

    def answers(self) -> list[str]:
        """The answers of many more items than are played, as far as they are made in a second."""
        found, until = [], time.monotonic() + _ANSWERS_S
        for item in self.more:
            found.append(str(item["answer"]))
            if time.monotonic() > until:
                break
        return found

    def grade(self, example: Example, turns: Turns, binding: int = 0) -> Any:
        return self.items.score_answer(turns[-1], self._entry(example))

    def _entry(self, example: Example) -> Any:
        """The item as the data set made it; as stored, where it is the user's or this process makes another."""
        index = example.columns.get("index")
        if isinstance(index, int) and index < len(self.items):
            entry = self.items[index]
            if entry["question"] == example.prompt:
                return entry
        stored = example.columns.get("entry")
        if stored:
            return json.loads(stored)
        return {"metadata": {}, **example.columns, "question": example.prompt, "answer": example.answer}


def _example(index: int, entry: dict[str, Any]) -> Example:
    answer = entry["answer"]
    try:
        stored = json.dumps(entry)
    except (TypeError, ValueError):
        stored = ""
    good = ((str(answer),),) if answer is not None else ()
    return Example(entry["question"], answer, {"index": index, "entry": stored}, good)
