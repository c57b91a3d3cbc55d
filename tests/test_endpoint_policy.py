"""A policy behind a server, against a real server that misbehaves.

Pinned here: (1) each prompt is asked for once, with a seed of its own; (2) a prompt without a reply is unscored and
said aloud, never a reply of nothing; (3) an evaluation that was stopped asks only for what it has not heard; (4) the
key goes into one header, and a judge's key goes nowhere near a model.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gamekeeper import registry
from gamekeeper.cli import app
from gamekeeper.config import EvalConfig
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.policy.base import Decoding, Sample
from gamekeeper.policy.endpoint import FILTERED, KEY, EndpointPolicy, PolicySettings, ReplyJournal, served_model
from gamekeeper.rewards.endpoint import KEY as JUDGE_KEY
from gamekeeper.studies.runner import evaluate
from gamekeeper.types import Message, Prompt
from judge_server import JudgeServer, Seen, Sent, judge_server, says
from toy_games import TOYS, Toy

SECRET = "sk-very-secret-0123456789"
CONFIG = EvalConfig(items=5, samples=2)


def prompt(text: str) -> Prompt:
    return (Message("system", "be brief"), Message("user", text))


def obedient(seen: Seen) -> Sent:
    """Says the word in the first turn and yes in the second."""
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    text = "yes" if seen.prompt.startswith("are") else seen.prompt.removeprefix("say ")
    sent = json.loads(says(text).content)
    return Sent(json.dumps({**sent, "usage": usage}).encode())


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", TOYS)
    monkeypatch.delenv(KEY, raising=False)


MADE: list[EndpointPolicy] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def policy_at(server: JudgeServer, journal: Path | None = None, **changes: Any) -> EndpointPolicy:
    quick = {"attempts": 2, "timeout_s": 2.0, "backoff_s": 0.01, "give_up_after": 50, **changes}
    MADE.append(EndpointPolicy(PolicySettings(server.url, "m", **quick), ReplyJournal(journal) if journal else None))
    return MADE[-1]


def call(*args: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


# What is asked


def test_a_prompt_is_asked_as_it_is_with_a_seed_of_its_own() -> None:
    with judge_server(obedient) as server:
        policy = policy_at(server, max_tokens=7)
        found = policy.sample([prompt("say a"), prompt("say a"), prompt("say b")], Decoding(99, 0.5), ("x", 1))
        bodies = sorted((seen.body for seen in server.seen), key=lambda b: b["messages"][1]["content"])
        policy.sample([prompt("say a")], Decoding(99, 0.5), ("x", 1))
        again = server.seen[-1].body
    assert [s.text for s in found] == ["a", "a", "b"]
    first = bodies[0]
    assert first["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say a"}]
    assert {k: first[k] for k in ("model", "temperature", "max_tokens")} == {
        "model": "m",
        "temperature": 0.5,
        "max_tokens": 7,
    }
    assert "top_p" not in first
    assert "top_k" not in first
    seeds = {b["seed"] for b in bodies}
    assert len(seeds) == 3
    assert again["seed"] in seeds
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert (policy.used.replies, policy.used.tokens_in, policy.used.tokens_out) == (4, 40, 8)


def test_narrowing_and_further_fields_are_sent_and_null_leaves_one_out() -> None:
    with judge_server(obedient) as server:
        policy = policy_at(server, body={"max_tokens": None, "max_completion_tokens": 5, "temperature": 1})
        policy.sample([prompt("say \ud800")], Decoding(9, 0.3, 0.9, 4), ())
        (seen,) = server.seen
    assert "max_tokens" not in seen.body
    assert {k: seen.body[k] for k in ("max_completion_tokens", "temperature", "top_p", "top_k")} == {
        "max_completion_tokens": 5,
        "temperature": 1,
        "top_p": 0.9,
        "top_k": 4,
    }
    assert seen.prompt == "say ?"


def test_what_a_server_says_becomes_a_sample() -> None:
    answers = [
        says("whole"),
        says("cut", finish_reason="length"),
        says(None),
        says("part", finish_reason="content_filter"),
        Sent(status=400),
        says(
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]
        ),
        says({"text": "none"}),
    ]
    with judge_server(lambda seen: answers[int(seen.prompt)]) as server:
        policy = policy_at(server)
        found = policy.sample([prompt(str(n)) for n in range(7)], Decoding(9), ())
    assert found == [
        Sample("whole"),
        Sample("cut", truncated=True),
        Sample(""),
        Sample("", failed=FILTERED),
        Sample("", failed="the model refused the prompt with status 400"),
        Sample("in parts"),
        Sample("", failed="the model sent no chat completion"),
    ]
    assert policy.used.truncated == 1


# A game


@pytest.mark.slow
def test_a_served_policy_plays_a_game_of_two_turns() -> None:
    with judge_server(obedient) as server:
        found = evaluate(Toy(), policy_at(server), CONFIG)
    assert len(server.seen) == 5 * 2 * 2
    assert (found.metrics["itp"], found.metrics["er"], found.metrics["unscored"]) == (1.0, 0.0, 0.0)
    assert found.rows[0].replies == (found.rows[0].prompts[0][1].content.removeprefix("say "), "yes")


def test_the_url_alone_is_enough_where_there_is_one_model() -> None:
    with judge_server(obedient) as server:
        server.models = ["only"]
        found = evaluate(Toy(), server.url, CONFIG)
        assert {seen.body["model"] for seen in server.seen} == {"only"}
    assert found.metrics["itp"] == 1.0


@pytest.mark.parametrize("turn", ["say", "are"])
def test_an_episode_without_a_reply_is_unscored_and_goes_no_further(turn: str) -> None:
    def broken(seen: Seen) -> Sent:
        return Sent(status=413) if seen.prompt.startswith(turn) and seen.number % 3 == 0 else obedient(seen)

    with judge_server(broken) as server:
        found = evaluate(Toy(), policy_at(server, concurrency=1), CONFIG)
    failed = [row for row in found.rows if row.score.unscored]
    assert 0 < len(failed) < len(found.rows)
    assert all(row.score.unscored == "the model refused the prompt with status 413" for row in failed)
    assert all(len(row.prompts) == (1 if turn == "say" else 2) for row in failed)
    assert found.metrics["unscored"] == len(failed) / len(found.rows)
    assert found.metrics["itp"] == 1.0, "what was not heard counts for nothing"


# The journal


@pytest.mark.slow
def test_what_was_heard_is_not_asked_again(tmp_path: Path) -> None:
    kept = tmp_path / "replies"
    with judge_server(lambda seen: obedient(seen) if seen.number < 7 else Sent(status=401)) as server:
        with pytest.raises(CouldNotLook, match=KEY):
            evaluate(Toy(), policy_at(server, kept, concurrency=1), CONFIG)
        assert len(ReplyJournal(kept)) == 7
        server.answer = obedient
        before = len(server.seen)
        found = evaluate(Toy(), policy_at(server, kept), CONFIG)
        assert len(server.seen) - before == 20 - 7
        assert evaluate(Toy(), policy_at(server, kept), CONFIG) == found
        assert len(server.seen) - before == 13
        evaluate(Toy(), policy_at(server, kept), EvalConfig(items=5, samples=2, temperature=0.5))
        assert len(server.seen) - before == 13 + 20, "another temperature is another question"


@settings(deadline=None)
@given(cut=st.integers(0, 200))
def test_a_journal_that_was_torn_anywhere_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "replies"
    journal = ReplyJournal(path)
    for n in range(4):
        journal.put(f"key {n}", Sample(f"reply\n{n}", truncated=n == 1))
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    torn = ReplyJournal(path)
    whole = sum(content[: n + 1].endswith(b"]") for n in range(len(content)))
    assert len(torn) == whole
    torn.put("new", Sample("said"))
    read = ReplyJournal(path)
    assert read.get("new") == Sample("said")
    assert [read.get(f"key {n}") for n in range(whole)] == [
        Sample(f"reply\n{n}", truncated=n == 1) for n in range(whole)
    ]


# Which model


def test_the_model_is_asked_for_unless_it_is_named() -> None:
    with judge_server() as server:
        assert served_model(server.url, "given") == "given"
        with pytest.raises(CouldNotLook, match="--model-name"):
            served_model(server.url)
        server.models = ["a", "b"]
        with pytest.raises(UsageError, match=r"2 models.*--model-name: a, b"):
            served_model(server.url)
        server.models = ["a"]
        assert served_model(server.url + "/chat/completions") == "a"
        gone = server.url
    with pytest.raises(CouldNotLook, match=r"cannot be reached.*ConnectError"):
        served_model(gone)


# The key


def test_the_key_is_that_of_models_and_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(JUDGE_KEY, "sk-of-the-judge")
    with judge_server(obedient) as server:
        policy_at(server).sample([prompt("say a")], Decoding(9), ())
        assert "authorization" not in server.seen[-1].headers
        monkeypatch.setenv(KEY, SECRET)
        policy = policy_at(server, tmp_path / "replies")
        policy.sample([prompt("say b")], Decoding(9), ())
        assert server.seen[-1].headers["authorization"] == f"Bearer {SECRET}"
        assert SECRET not in (tmp_path / "replies").read_text() + repr(vars(policy)) + repr(vars(policy.server))
        server.answer = lambda seen: Sent(SECRET.encode(), 403)
        with pytest.raises(CouldNotLook) as caught:
            policy.sample([prompt("say c")], Decoding(9), ())
    assert SECRET not in str(caught.value)
    assert f"Set the environment variable {KEY}" in str(caught.value)


# The command


def test_eval_of_a_server(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    with judge_server(obedient) as server:
        args = ("eval", "toy", "--model", server.url, "-n", 4, "--samples", 2)
        shown = call(*args, "--model-name", "big", "--max-tokens", 9, "--out", rows, "--json")
        assert {seen.body["max_tokens"] for seen in server.seen} == {9}
    result = json.loads(shown.stdout)
    assert (result["model_name"], result["max_tokens"], result["metrics"]["itp"]) == ("big", 9, 1.0)
    assert "16 replies, 160 tokens in and 32 out" in shown.stderr
    assert len(rows.read_text().splitlines()) == 8
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.slow
def test_eval_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    with judge_server(lambda seen: obedient(seen) if seen.number < 5 else Sent(status=401)) as server:
        args = ("eval", "toy", "--model", server.url, "--model-name", "m", "-n", 4, "--concurrency", 1, "--out", rows)
        assert KEY in call(*args, code=3).stderr
        server.answer = obedient
        call(*args)
        assert len(server.seen) == 4 * 4 * 2 + 1
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.slow
def test_a_server_that_refuses_everything_gives_no_result() -> None:
    with judge_server(lambda seen: Sent(status=400)) as server:
        shown = call("eval", "toy", "--model", server.url, "--model-name", "m", "-n", 30, code=3)
    assert "refused the prompt with status 400" in shown.stderr
    assert "itp" not in shown.stdout


def test_replies_that_were_cut_off_are_said_aloud() -> None:
    with judge_server(lambda seen: says("pay me", finish_reason="length")) as server:
        shown = call("eval", "toy", "--model", server.url, "--model-name", "m", "-n", 2, "--samples", 1)
    assert "4 of them were cut off at 1024 tokens; --max-tokens N allows more" in shown.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "pocket", "--max-tokens", 5), "--max-tokens belongs to a model on a server"),
        (("--model", "script:honest", "--concurrency", 5), "--concurrency belongs"),
        (("--model", "http://127.0.0.1:9/v1", "--model-name", "m", "--max-tokens", 0), "at least 1"),
        (("--model", "http://127.0.0.1:9/v1", "--model-name", "m", "--timeout", 0), "--timeout"),
        (("--model", "http://127.0.0.1:9/v1", "--model-name", "m", "--body", "[1]"), "--body must be a JSON object"),
        (("--model", "http://127.0.0.1:9/v1", "--model-name", "m", "--body", "{"), "--body must be a JSON object"),
        (("--model", "http://me:pw@127.0.0.1/v1", "--model-name", "m"), KEY),
        (("--model", "http://", "--model-name", "m"), "must look like"),
    ],
)
def test_options_that_do_not_fit_are_refused(args: tuple[Any, ...], words: str) -> None:
    shown = call("eval", "toy", *args, code=2)
    assert words in shown.stderr
    assert "pw@" not in shown.output


def test_a_server_that_is_not_there_cannot_be_looked_at() -> None:
    assert "cannot be reached" in call("eval", "toy", "--model", "http://127.0.0.1:9/v1", code=3).stderr


def test_an_interrupt_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    """A slow server must not hold up Ctrl-C; what it has said stays."""
    rows = tmp_path / "rows.jsonl"

    def slow_later(seen: Seen) -> Sent:
        sent = says("Yes")
        return sent if seen.number < 3 else Sent(sent.content, hang=30)

    with judge_server(slow_later) as server:
        code = "from gamekeeper.cli import main\nmain()"
        args = [
            "eval",
            "arithmetic",
            "--model",
            server.url,
            "--model-name",
            "m",
            "--concurrency",
            "1",
            "--out",
            str(rows),
        ]
        with subprocess.Popen([sys.executable, "-c", code, *args], stderr=subprocess.PIPE, text=True) as process:
            while len(server.seen) < 4:
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "The same command goes on" in said
    assert len(ReplyJournal(tmp_path / ".rows.jsonl.replies")) == 3
