"""The server of pocket models, over real HTTP, against the model itself.

Pinned here: (1) a reply is what the model draws from its seed, streamed or not, alone or in a batch; (2) limits, stop
texts and the context end it with the right reason; (3) what cannot be done is refused with the field's name; (4) a
failure is told to who asked, and the server goes on; (5) a client that leaves ends its reply; (6) Ctrl-C ends all.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.config import EvalConfig
from gamekeeper.errors import UsageError
from gamekeeper.policy.base import Decoding
from gamekeeper.policy.endpoint import EndpointPolicy, PolicySettings
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.registry import load_game
from gamekeeper.seeds import derive
from gamekeeper.studies.runner import evaluate
from gamekeeper.types import Prompt

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
from gamekeeper.serving import batches, server
from gamekeeper.serving.asked import MOST_CHOICES, Refused, asked_for
from gamekeeper.serving.batches import Batcher, Telling
from gamekeeper.serving.running import listen, running

GAME = load_game("tamper")


def prompts(n: int) -> list[Prompt]:
    return [p for item in GAME.items("test", n, 0) if (p := GAME.prompt(item)) is not None]


PROMPTS = prompts(8)


def asks(prompt: Prompt, **fields: Any) -> dict[str, Any]:
    return {"model": "pocket", "messages": [{"role": m.role, "content": m.content} for m in prompt], **fields}


@pytest.fixture(scope="module")
def policy() -> PocketPolicy:
    return PocketPolicy.load("pocket")


@pytest.fixture(scope="module")
def url(policy: PocketPolicy) -> Iterator[str]:
    with server.serving(policy) as url:
        yield url


def post(url: str, body: Any, status: int = 200) -> Any:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    found = httpx.post(url + "/chat/completions", timeout=60, trust_env=False, **sent)
    assert found.status_code == status, found.text
    return found.json()


def streamed(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with httpx.stream("POST", url + "/chat/completions", json={**body, "stream": True}, timeout=60) as found:
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in found.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def drawn(policy: PocketPolicy, prompt: Prompt, seed: int, limit: int, **style: Any) -> list[tuple[int, float]]:
    """The tokens and log-probabilities that a request's first choice must have."""
    tokens = tuple(policy.tokenizer.render(prompt))
    steps = policy.steps([tokens], [derive("serve", seed, 0)], Decoding(limit, **style))
    return [(token, logp) for step in steps for _, token, logp in step if token != policy.tokenizer.end]


# What is said


@pytest.mark.parametrize("style", [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_p": 0.8}, {"top_k": 3}])
def test_a_reply_is_what_the_model_draws(policy: PocketPolicy, url: str, style: dict[str, Any]) -> None:
    right = drawn(policy, PROMPTS[0], 5, 512 - len(policy.tokenizer.render(PROMPTS[0])), **style)
    found = post(url, asks(PROMPTS[0], seed=5, logprobs=True, **style))
    (choice,) = found["choices"]
    assert choice["message"]["content"] == policy.tokenizer.decode([token for token, _ in right])
    assert [e["logprob"] for e in choice["logprobs"]["content"]] == pytest.approx([logp for _, logp in right], abs=1e-5)
    assert (found["object"], found["model"], choice["finish_reason"]) == ("chat.completion", "pocket", "stop")
    asked = len(policy.tokenizer.render(PROMPTS[0]))
    assert found["usage"] == {
        "prompt_tokens": asked,
        "completion_tokens": len(right) + 1,  # the end token
        "total_tokens": asked + len(right) + 1,
    }


def test_a_stream_says_the_same_piece_by_piece(url: str) -> None:
    body = asks(PROMPTS[1], seed=11, n=2, logprobs=True)
    whole = post(url, body)["choices"]
    events = streamed(url, {**body, "stream_options": {"include_usage": True}})
    assert events[-1]["usage"]["completion_tokens"] > 2
    for choice in whole:
        own = [e["choices"][0] for e in events[:-1] if e["choices"][0]["index"] == choice["index"]]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(e["delta"].get("content", "") for e in own) == choice["message"]["content"]
        assert [e["finish_reason"] for e in own] == [None] * (len(own) - 1) + [choice["finish_reason"]]
        logps = [entry["logprob"] for e in own if e["logprobs"] for entry in e["logprobs"]["content"]]
        assert logps == pytest.approx([entry["logprob"] for entry in choice["logprobs"]["content"]], abs=1e-5)
        assert len(own) > 3, "it came in one piece"


def test_choices_differ_and_seeds_decide(url: str) -> None:
    def texts(**fields: Any) -> list[str]:
        return [c["message"]["content"] for c in post(url, asks(PROMPTS[2], temperature=2, **fields))["choices"]]

    assert texts(seed=1, n=3) == texts(seed=1, n=3)
    assert len(set(texts(seed=1, n=3))) == 3
    assert texts(seed=1) != texts(seed=2)
    assert texts() != texts()


@pytest.mark.slow
def test_what_comes_together_is_sampled_together_and_says_the_same(policy: PocketPolicy) -> None:
    bodies = [asks(PROMPTS[n % 8], seed=n, max_tokens=4 + n, temperature=1.5) for n in range(24)]
    with Batcher(policy) as batcher, running(server.application(batcher, "pocket")) as address:
        url = f"{address}/v1"
        alone = [post(url, body)["choices"][0] for body in bodies]
        assert batcher.batches == 24
        with ThreadPoolExecutor(24) as pool:
            together = list(pool.map(lambda body: post(url, body)["choices"][0], bodies))
        assert batcher.batches < 24 + 12
    assert together == alone


# When it ends


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_reply_off(policy: PocketPolicy, url: str, name: str) -> None:
    found = post(url, asks(PROMPTS[0], seed=5, **{name: 3}))
    (choice,) = found["choices"]
    tokens = [token for token, _ in drawn(policy, PROMPTS[0], 5, 40)][:3]
    assert (choice["message"]["content"], choice["finish_reason"]) == (policy.tokenizer.decode(tokens), "length")
    assert found["usage"]["completion_tokens"] == 3


def test_a_long_prompt_beside_a_short_one_stays_in_its_context(policy: PocketPolicy) -> None:
    """The short one goes on long after the long one's last position."""
    long = (PROMPTS[0][0], PROMPTS[0][1].__class__("user", "7 " * 230))
    room = 512 - len(policy.tokenizer.render(long))
    assert 0 < room < 12
    heard: list[str | None] = []
    with Batcher(policy) as batcher:
        done = threading.Semaphore(0)

        def reply(prompt: Prompt, limit: int) -> batches.Reply:
            def hear(token: int | None, logp: float, last: str | None) -> None:
                if last:
                    heard.append(last)
                    done.release()

            return batches.Reply(batcher.render(prompt), 1, limit, Decoding(1, 2.0), hear, lambda e: done.release())

        batcher.ask([reply(long, room), reply(PROMPTS[0], 300)])
        assert done.acquire(timeout=60)
        assert done.acquire(timeout=60)
    assert len(heard) == 2


def test_without_a_limit_the_context_is_one(policy: PocketPolicy, url: str) -> None:
    near = (PROMPTS[0][0], PROMPTS[0][1].__class__("user", "7 " * 230))
    room = 512 - len(policy.tokenizer.render(near))
    found = post(url, asks(near, max_tokens=10_000, temperature=2, seed=1, n=8))
    assert found["usage"]["prompt_tokens"] + room == 512
    assert max(found["usage"]["completion_tokens"], 1) <= 8 * room


def test_a_prompt_that_fills_the_context_is_refused(url: str) -> None:
    error = post(url, asks((PROMPTS[0][1].__class__("user", "7 " * 300),)), 400)["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "512" in error["message"]


def test_a_stop_text_ends_the_reply_before_it(url: str) -> None:
    body = asks(PROMPTS[0], seed=5)
    text = post(url, body)["choices"][0]["message"]["content"]
    stop = text[7:12]
    cut = text[: text.find(stop)]
    (choice,) = post(url, {**body, "stop": stop})["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (cut, "stop")
    events = streamed(url, {**body, "stop": ["no such text", stop]})
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == cut


class Letters:
    """Tokens are bytes."""

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")


@settings(max_examples=300, deadline=None)
@given(st.text("abé€😀", max_size=12), st.lists(st.text("abé", min_size=1, max_size=3), max_size=3))
def test_what_is_told_piece_by_piece_is_the_text_up_to_the_first_stop(text: str, stops: list[str]) -> None:
    telling = Telling(Letters(), stops)
    tokens = list(text.encode())
    told = [telling.add(token, n + 1 == len(tokens)) for n, token in enumerate(tokens)]
    # A stop counts once it is complete: of "baa" with the stops "a" and "baa", b is left.
    so_far = (text[:n] for n in range(len(text) + 1))
    ends = next((found for part in so_far if (found := [part.find(s) for s in stops if s in part])), [])
    assert "".join(told) == telling.text == (text[: min(ends)] if ends else text)
    assert telling.stopped == bool(ends)


# What is refused

USER = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "reads nothing else"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "role"),
        ({"messages": ["hi"]}, "object"),
        ({"n": 0}, "'n'"),
        ({"n": MOST_CHOICES + 1}, "'n'"),
        ({"n": True}, "'n'"),
        ({"max_tokens": 0}, "at least 1"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": [""]}, "stop"),
        ({"stop": 3}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"seed": "x"}, "seed"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"response_format": {"type": "json_object"}}, "plain text"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word) as caught:
        asked_for({"model": "pocket", "messages": USER, **change})
    assert caught.value.status == 400


def test_what_changes_nothing_is_accepted() -> None:
    more = {
        "user": "me",
        "frequency_penalty": 0,
        "metadata": {},
        "tools": [],
        "stop": None,
        "max_tokens": -1,
        "top_k": -1,
    }
    parts = [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    found = asked_for({"model": "m", "messages": parts, **more})
    assert (found.prompt[0].role, found.prompt[0].content, found.limit, found.top_k) == ("system", "ab", None, 0)


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3))
FIELDS = ["n", "stop", "seed", "top_p", "top_k", "stream", "tools", "logprobs", "max_tokens", "temperature", "messages",
          "response_format", "stream_options", "model", "max_completion_tokens", "top_logprobs"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_json_is_understood_or_refused(change: dict[str, Any]) -> None:
    with suppress(Refused):
        asked_for({"model": "pocket", "messages": USER, **change})


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[" * 200_000, 400, "not JSON"),
        (b"[]", 400, "JSON object"),
        (b'{"model": "gpt", "messages": [{"role": "user", "content": "x"}]}', 404, "only 'pocket'"),
        (b'{"x": "' + b"x" * server.MOST_BYTES + b'"}', 413, "MiB"),
    ],
)
def test_a_bad_request_has_a_clear_answer(url: str, body: bytes, status: int, word: str) -> None:
    assert word in post(url, body, status)["error"]["message"]


def test_paths_and_methods_that_are_none(url: str) -> None:
    assert "/v1/models" in httpx.get(url + "/nothing").json()["error"]["message"]
    wrong = httpx.get(url + "/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert httpx.get(url + "/models/other").status_code == 404


def test_the_model_is_listed(url: str) -> None:
    (model,) = httpx.get(url + "/models").json()["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == ("pocket", "model", 512)
    assert httpx.get(url + "/models/pocket").json()["id"] == "pocket"


# When it goes wrong


class Strange:
    """A policy of one letter after another, slow, and broken when the seed is that of a broken request."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.made, self.broken = pause, 0, False
        self.model = SimpleNamespace(config=SimpleNamespace(max_positions=512))
        self.tokenizer = SimpleNamespace(end=0, render=lambda prompt: [1], decode=lambda t: bytes(t).decode())

    def steps(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], decoding: Decoding
    ) -> Generator[list[tuple[int, int, float]], Collection[int] | None, None]:
        if self.broken:
            raise RuntimeError("out of memory")
        going = set(range(len(prompts)))
        for _ in range(decoding.max_new_tokens):
            time.sleep(self.pause)
            self.made += 1
            going -= set((yield [(n, 97, -1.0) for n in sorted(going)]) or ())
            if not going:
                return


HI = {"model": "m", "messages": USER}


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_told_and_the_server_goes_on(stream: bool) -> None:
    policy = Strange()
    policy.broken = True
    with server.serving(policy, "m") as url:
        if stream:
            answer = httpx.post(url + "/chat/completions", json={**HI, "stream": True}).text.split("\n\n")
            assert "failed while sampling" in answer[-2]
            assert "[DONE]" not in "".join(answer)
        else:
            assert "failed while sampling" in post(url, HI, 500)["error"]["message"]
        policy.broken = False
        assert post(url, {**HI, "max_tokens": 4})["choices"][0]["message"]["content"] == "aaaa"


def test_a_client_that_leaves_ends_its_reply() -> None:
    policy = Strange(pause=0.01)
    with server.serving(policy, "m") as url:
        with httpx.stream("POST", url + "/chat/completions", json={**HI, "stream": True}) as found:
            next(found.iter_lines())
        assert post(url, {**HI, "max_tokens": 1})["choices"][0]["message"]["content"] == "a"
    assert policy.made < 200, "the reply went on to its limit for nobody"


def test_too_many_at_once_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_WAITING", 4)
    with server.serving(Strange(), "m") as url:
        answer = httpx.post(url + "/chat/completions", json={**HI, "n": 5})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert len(post(url, {**HI, "n": 4, "max_tokens": 1})["choices"]) == 4


# The model behind the server and the model at hand


@pytest.mark.parametrize("name", ["tamper", "arithmetic"])
def test_a_served_model_measures_as_the_model_at_hand(url: str, name: str) -> None:
    """Greedy and with the same limit, so that both must say the same."""
    game = load_game(name)
    config = EvalConfig(items=8, samples=1, temperature=0.0)
    served = EndpointPolicy(PolicySettings(url, "pocket", max_tokens=game.reply_tokens[0]))
    here, there = evaluate(game, "pocket", config, seed=3), evaluate(game, served, config, seed=3)
    served.close()
    assert [row.replies for row in here.rows] == [row.replies for row in there.rows]
    assert here.metrics == there.metrics
    assert there.metrics["unscored"] == 0


# The command


def command(*args: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    call = [sys.executable, "-m", "gamekeeper", "serve", *args]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(end: signal.Signals, code: int) -> None:
    with command("--port", "0", "--threads", "1") as process:
        assert process.stdout is not None
        name, _, url = process.stdout.readline().strip().rpartition(" at ")
        assert name == "pocket"
        assert post(url, asks(PROMPTS[0], max_tokens=2))["choices"]
        process.send_signal(end)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said


def test_an_address_that_cannot_be_had_is_a_usage_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be listened on.*--port"):
            listen("127.0.0.1", port)
    with pytest.raises(UsageError, match="--port"):
        listen("127.0.0.1", 99999)
