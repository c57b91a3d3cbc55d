"""The server's second protocol says what its first one says: text in, text out, and what it cannot do by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.registry import load_game
from gamekeeper.types import Message

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
from gamekeeper.serving import server
from gamekeeper.serving.asked import Refused, asked_for
from gamekeeper.serving.responses import response_asked_for

GAME = load_game("tamper")
PROMPT = GAME.prompt(GAME.item_at("test", 0, 0)) or ()
MESSAGES = [{"role": m.role, "content": m.content} for m in PROMPT]
GREEDY = {"model": "pocket", "temperature": 0}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server.serving(PocketPolicy.load("pocket")) as url:
        yield url


def post(url: str, way: str, body: Any, status: int = 200) -> Any:
    found = httpx.post(f"{url}/{way}", timeout=60, trust_env=False, json=body)
    assert found.status_code == status, found.text
    return found.json()


@pytest.mark.parametrize("limit", [None, 3])
def test_it_says_what_a_chat_completion_says(url: str, limit: int | None) -> None:
    chat = {"max_tokens": limit} if limit else {}
    respond = {"max_output_tokens": limit} if limit else {}
    right = post(url, "chat/completions", {**GREEDY, "messages": MESSAGES, "logprobs": True, **chat})
    wanted = ["message.output_text.logprobs"]
    found = post(url, "responses", {**GREEDY, "input": MESSAGES, "include": wanted, "store": False, **respond})
    (choice,), (message,) = right["choices"], found["output"]
    (part,) = message["content"]
    assert part["text"] == choice["message"]["content"]
    assert part["logprobs"] == choice["logprobs"]["content"]
    cut = choice["finish_reason"] == "length"
    assert cut == (limit is not None)
    assert found["status"] == message["status"] == ("incomplete" if cut else "completed")
    assert found["incomplete_details"] == ({"reason": "max_output_tokens"} if cut else None)
    used = {k: found["usage"][v] for k, v in (("prompt_tokens", "input_tokens"), ("total_tokens", "total_tokens"))}
    assert used == {k: right["usage"][k] for k in used}
    assert (found["object"], found["model"]) == ("response", "pocket")


def test_without_being_asked_for_there_are_no_log_probabilities(url: str) -> None:
    (message,) = post(url, "responses", {**GREEDY, "input": "hi"})["output"]
    assert message["content"][0]["logprobs"] == []


def test_texts_parts_and_instructions_are_messages() -> None:
    said = [{"type": "output_text", "text": "4", "annotations": []}]
    parts = [{"type": "input_text", "text": "2 + "}, {"type": "input_text", "text": "2"}]
    turns = [
        {"role": "user", "content": parts},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": said},
        {"role": "user", "content": "Sure?"},
    ]
    body = {"model": "m", "instructions": "Be brief.", "input": turns, "max_output_tokens": 7}
    asked = response_asked_for(body)
    roles = [(m.role, m.content) for m in asked.prompt]
    assert roles == [("system", "Be brief."), ("user", "2 + 2"), ("assistant", "4"), ("user", "Sure?")]
    assert (asked.limit, asked.choices, asked.stream, asked.logprobs) == (7, 1, False, False)


def test_an_input_that_is_a_text_is_the_users() -> None:
    same = {"model": "m", "temperature": 0.5, "top_p": 0.9}
    asked = response_asked_for({**same, "input": "hi"})
    assert asked == asked_for({**same, "messages": [{"role": "user", "content": "hi"}]})
    assert asked.prompt == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "'input'"),
        ({"input": []}, "'input'"),
        ({"input": ""}, "'input'"),
        ({"input": ["hi"]}, r"input\[0\] must be an object"),
        ({"input": [{"role": "tool", "content": "x"}]}, r"input\[0\].role"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, r"input\[0\].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "reads nothing else"),
        ({"instructions": ["x"]}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"stream": True}, "stream"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"temperature": 9}, "temperature"),
        ({"text": {"format": {"type": "json_schema"}}}, "plain text"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(url: str, change: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word) as caught:
        response_asked_for({"model": "pocket", "input": "hi", **change})
    assert post(url, "responses", {"model": "pocket", "input": "hi", **change}, 400) == caught.value.to_json()


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3))
FIELDS = ["model", "input", "instructions", "include", "text", "tools", "max_output_tokens", "temperature", "stream"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_json_is_understood_or_refused(change: dict[str, Any]) -> None:
    with suppress(Refused):
        response_asked_for({"model": "pocket", "input": "hi", **change})
