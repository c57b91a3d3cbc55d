"""Inspect's built-in scorers on hand-built states: no model, no log, no server."""

from __future__ import annotations

import asyncio
from typing import Any

from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Scorer, Target, answer, exact, f1, includes, match, pattern
from inspect_ai.solver import TaskState

PACKAGES = ("inspect-ai",)
MADE: dict[str, Scorer] = {
    "match": match(numeric=True),
    "includes": includes(),
    "exact": exact(),
    "f1": f1(),
    "answer": answer("line"),
    "pattern": pattern(r"result is (\d+)"),
}


def value(scorer: Scorer, prompt: str, completion: str, gold: str, choices: list[str] | None = None) -> float:
    """What a scorer says of one reply: C and I are 1 and 0, numbers stay as they are."""
    state = TaskState(
        model=ModelName("mockllm/model"),
        sample_id=1,
        epoch=1,
        input=prompt,
        messages=[ChatMessageUser(content=prompt), ChatMessageAssistant(content=completion)],
        output=ModelOutput.from_content("mockllm/model", completion),
        choices=choices or [],
        completed=True,
    )
    found = asyncio.run(scorer(state, Target(gold))).value
    return {"C": 1.0, "I": 0.0}[found] if isinstance(found, str) else float(found)


def score(prompt: str, completion: str, gold: str, scorer: str) -> float:
    return value(MADE[scorer], prompt, completion, gold)


def rows(name: str) -> list[dict[str, Any]]:
    form = {"answer": "ANSWER: {}", "pattern": "The result is {}", "exact": "{}", "f1": "{}"}.get(name, "It is {}")
    sums = [("What is 17 + 48?", "65"), ("What is 9 * 13?", "117"), ("What is 204 - 58?", "146")]
    return [
        {"prompt": q, "gold": gold, "scorer": name, "answer": form.format(gold), "wrong_reply": form.format("3")}
        for q, gold in sums
    ]
