"""The sampling thread outlives whoever asked: clients whose event loop is gone, and callbacks that fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gamekeeper.policy.base import Decoding
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.serving.batches import Batcher, Reply, pass_on
from gamekeeper.types import Message

STYLE = Decoding(1, 1.0, 1.0, 0)


@pytest.fixture(scope="module")
def policy() -> PocketPolicy:
    return PocketPolicy.load("pocket")


@pytest.fixture
def batcher(policy: PocketPolicy) -> Iterator[Batcher]:
    with Batcher(policy) as batcher:
        yield batcher


def asked(batcher: Batcher, hear: Callable[..., None], fail: Callable[[Exception], None] = lambda _: None) -> Reply:
    prompt = batcher.render((Message("user", "Is it?"),))
    return Reply(prompt, 1, 4, STYLE, hear, fail)


def answers(batcher: Batcher) -> bool:
    """Whether a reply still comes."""
    over = threading.Event()
    batcher.ask([asked(batcher, lambda token, logp, last: over.set() if last else None)])
    return over.wait(20)


def closed_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def test_a_client_whose_loop_is_closed_ends_its_own_reply_alone(batcher: Batcher) -> None:
    loop = closed_loop()
    gone = asked(batcher, lambda *_: pass_on(loop, gone, print))
    there = threading.Event()
    failed: list[Exception] = []
    other = asked(batcher, lambda token, logp, last: there.set() if last else None, failed.append)
    batcher.ask([gone, other])
    assert there.wait(20)
    assert gone.unwanted
    assert not failed
    assert answers(batcher)


def test_a_callback_that_fails_is_told_and_stops_nobody_else(batcher: Batcher) -> None:
    told: list[Exception] = []
    there = threading.Event()

    def hear(*_: Any) -> None:
        raise ZeroDivisionError("in hear")

    batcher.ask(
        [
            asked(batcher, hear, told.append),
            asked(batcher, lambda token, logp, last: there.set() if last else None),
        ]
    )
    assert there.wait(20)
    assert [str(error) for error in told] == ["in hear"]
    assert answers(batcher)


def test_the_thread_outlives_a_failure_that_nobody_can_be_told_of(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop, steps = closed_loop(), batcher.policy.steps
    monkeypatch.setattr(batcher.policy, "steps", lambda *_: 1 / 0)

    def unhearing(error: Exception) -> None:
        raise RuntimeError("nobody is there")

    batcher.ask([asked(batcher, lambda *_: None, unhearing)])
    gone = asked(batcher, lambda *_: None, lambda error: pass_on(loop, gone, print))
    batcher.ask([gone])
    while not gone.unwanted:
        threading.Event().wait(0.01)
    monkeypatch.setattr(batcher.policy, "steps", steps)
    assert answers(batcher)
    assert "nobody could be told that sampling failed: division by zero" in caplog.text


def test_an_error_of_an_open_loop_is_not_swallowed() -> None:
    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("something else")

    loop = Loop()
    try:
        with pytest.raises(RuntimeError, match="something else"):
            pass_on(loop, Reply((1,), 1, 1, STYLE, print, print), print)
    finally:
        loop.close()


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_lone_surrogate_is_read_as_a_question_mark(path: str, policy: PocketPolicy) -> None:
    pytest.importorskip("uvicorn")
    from gamekeeper.serving import server

    def body(text: str) -> bytes:
        messages = f'[{{"role": "user", "content": "{text}"}}]'
        field, more = ("messages", '"seed": 1') if path.startswith("chat") else ("input", f'"instructions": "{text}"')
        return f'{{"model": "pocket", "temperature": 0, {more}, "{field}": {messages}}}'.encode()

    def said(url: str, text: str) -> Any:
        answer = httpx.post(f"{url}/{path}", content=body(text), timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return found["choices"][0]["message"] if "choices" in found else found["output"][0]["content"]

    with server.serving(policy) as url:
        assert said(url, r"Is it \ud800?") == said(url, "Is it ??")
