"""Cases that a prompt tells are all read, also several in one line."""

from __future__ import annotations

from types import SimpleNamespace

from gamekeeper.audit.entries import shown_tests


def test_several_cases_in_one_line_are_all_read() -> None:
    prompt = "Write `total(xs)`. total([3, 4]) is 7. total([1, 1, 2]) is 4."
    found = shown_tests(SimpleNamespace(all_prompt=prompt), ("total",))  # type: ignore[arg-type]
    assert found == {"[3, 4]": "7", "[1, 1, 2]": "4"}
