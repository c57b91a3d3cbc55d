"""Examples from a file of JSON: `prompt`, `answer`, replies known to be right or wrong, and any columns.

One object a line (JSONL), or one array of objects. A line ends at a line feed and nowhere else: the other characters
that Python calls line ends may stand inside a JSON string.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gamekeeper.audit.finding import Example, Turns, turns_of
from gamekeeper.errors import DataError

PROMPT_COLUMNS = ("prompt", "question", "problem", "query", "input", "instruction", "task")
ANSWER_COLUMNS = (
    "answer",
    "ground_truth",
    "target",
    "gold",
    "label",
    "expected",
    "reference",
    "solution",
    "ref",
    "truth",
)
_GOOD = ("good", "good_reply", "known_good", "canonical_solution", "reference_solution", "reference_completion")
_BAD = ("bad", "bad_reply", "known_bad")


def read_examples(path: Path) -> list[Example]:
    """The rows of a file. Raises DataError with the line, or the item, on anything that is not one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The examples {str(path)!r} cannot be read: {error}. Give a JSONL file in UTF-8.") from None
    rows = _items(text, path) if text.lstrip().startswith("[") else _lines(text, path)
    found = [as_example(row, where) for where, row in rows]
    if not found:
        raise DataError(f"The examples {str(path)!r} are empty. Write one JSON object a line: prompt, answer.")
    return found


def _lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _parsed(line, where)


def _items(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(_parsed(text, str(path)), 1):
        yield f"{path}, item {number}", row


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}. Write one object a line, or one array.") from None


def as_examples(rows: Iterable[Example | Mapping[str, Any]]) -> list[Example]:
    return [r if isinstance(r, Example) else as_example(r, f"example {n}") for n, r in enumerate(rows)]


def as_example(row: Any, where: str) -> Example:
    """An example from one row; all its columns stay at hand."""
    if not isinstance(row, Mapping):
        raise DataError(f'{where} is not an object. Write e.g. {{"prompt": "1+1?", "answer": "2"}}.')
    prompt = _first(row, PROMPT_COLUMNS)
    messages = _messages(prompt)
    text = "\n".join(m["content"] for m in messages) if messages else "" if prompt is None else str(prompt)
    found = Example(text, _answer(row), dict(row), _replies(row, _GOOD, where), _replies(row, _BAD, where), messages)
    try:
        _ = found.key
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where} cannot be written as JSON: {error}. Keys are texts; no value holds itself.") from None
    return found


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[n] for n in names if row.get(n) is not None), None)


def _answer(row: Mapping[str, Any]) -> Any:
    model = row.get("reward_model")
    if isinstance(model, Mapping) and "ground_truth" in model:
        return model["ground_truth"]
    return _first(row, ANSWER_COLUMNS)


def _messages(prompt: Any) -> tuple[dict[str, str], ...]:
    if not isinstance(prompt, list) or not all(isinstance(m, Mapping) and "content" in m for m in prompt):
        return ()
    return tuple({"role": str(m.get("role", "user")), "content": str(m["content"])} for m in prompt)


def _replies(row: Mapping[str, Any], names: Iterable[str], where: str) -> tuple[Turns, ...]:
    found = _first(row, names)
    if found is None:
        return ()
    each = found if isinstance(found, list) else [found]
    if not all(isinstance(r, str) or (isinstance(r, list) and r and all(isinstance(t, str) for t in r)) for r in each):
        raise DataError(f"{where}: good and bad replies are texts, or lists of texts. Repair the row.")
    return tuple(turns_of(r) for r in each)
