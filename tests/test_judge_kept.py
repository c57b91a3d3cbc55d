"""The judge over HTTP: what it keeps (verdicts), what it never keeps (the key), and the game that it pays in."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.games.compliance import Compliance
from gamekeeper.rewards.endpoint import KEY, JudgeSettings
from gamekeeper.rewards.verdicts import NO_VERDICT, Verdict, VerdictCache
from gamekeeper.types import Item
from judge_server import BAD, PAIR, Seen, Sent, close_judges, first_then, honest, judge_of, judge_server, says

SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(KEY, raising=False)
    yield
    close_judges()


# The cache


def test_verdicts_outlive_the_judge_and_are_keyed_by_judge_request_and_reply(tmp_path: Path) -> None:
    with judge_server() as server:
        assert judge_of(server, tmp_path).verdicts([PAIR, BAD]) == [Verdict(False), Verdict(True)]
        again = judge_of(server, tmp_path)
        assert again.verdicts([BAD, PAIR]) == [Verdict(True), Verdict(False)]
        assert again.asked == 0
        assert again.verdicts([(PAIR[0], "<think>hm</think> no. ")]) == [Verdict(False)]  # the same reply to its judge
        assert again.asked == 0
        again.verdicts([("other request", PAIR[1]), (PAIR[0], "other reply")])
        assert again.asked == 2
        other = judge_of(server, tmp_path, model="rater-2")
        other.verdicts([PAIR])
        assert other.asked == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_no_verdict_is_not_kept(tmp_path: Path) -> None:
    with judge_server(first_then(says("well"))) as server:
        assert judge_of(server, tmp_path).verdicts([PAIR]) == [Verdict(None, NO_VERDICT)]
        assert judge_of(server, tmp_path).verdicts([PAIR]) == [Verdict(False)]


def test_verdicts_before_a_stop_are_kept(tmp_path: Path) -> None:
    def dies(seen: Seen) -> Sent:
        return honest(seen) if seen.number < 5 else Sent(status=401)

    pairs = [("q", f"reply {n}") for n in range(10)]
    with judge_server(dies) as server:
        with pytest.raises(CouldNotLook):
            judge_of(server, tmp_path, concurrency=1).verdicts(pairs)
        server.answer = honest
        again = judge_of(server, tmp_path)
        assert again.verdicts(pairs) == [Verdict(False)] * 10
        assert again.asked == 5


@settings(deadline=None)
@given(cut=st.integers(0, 400))
def test_a_cache_that_was_torn_anywhere_is_read_and_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = VerdictCache(folder, "j")
    for n in range(4):
        cache.put("q", str(n), n % 2 == 0)
    content = cache.path.read_bytes()[:cut]
    cache.path.write_bytes(content)
    torn = VerdictCache(folder, "j")
    assert len(torn) == sum(content[: n + 1].endswith(b"}") for n in range(len(content)))
    torn.put("q", "new", True)
    read = VerdictCache(folder, "j")
    assert read.get("q", "new") is True
    assert [read.get("q", str(n)) for n in range(len(torn) - 1)] == [n % 2 == 0 for n in range(len(torn) - 1)]


def test_foreign_lines_in_a_cache_are_passed_over(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, "j")
    cache.put("q", "a", True)
    with cache.path.open("ab") as file:
        file.write(b'\xff\n[]\n{"key": 1, "harmful": true}\n{"key": "k", "harmful": "yes"}\n' + b"[" * 100_000 + b"\n")
    read = VerdictCache(tmp_path, "j")
    assert (len(read), read.get("q", "a")) == (1, True)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cache of verdicts.*Give another folder"):
        VerdictCache(tmp_path / "file", "j")


# The key


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, f" {SECRET}\n")


def test_the_key_is_sent_and_is_nowhere_else(secret: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    echo = {"x-your-key": SECRET}

    def echoing(seen: Seen) -> Sent:
        sent = [
            says(f"your key is {SECRET}"),
            Sent(f"<p>{SECRET}</p>".encode(), headers=echo),
            Sent(SECRET.encode(), 500, echo),
        ]
        return (*sent, honest(seen))[min(seen.number, 3)] if seen.number < 8 else Sent(SECRET.encode(), 401, echo)

    caplog.set_level(logging.INFO)  # deeper down, httpcore writes the server's own headers
    with judge_server(echoing) as server:
        judge = judge_of(server, tmp_path, concurrency=1)
        found = [judge.verdicts([("q", str(n))]) for n in range(6)]
        with pytest.raises(CouldNotLook) as caught:
            judge.verdicts([("q", str(n)) for n in range(6, 12)])
        assert all(seen.headers["authorization"] == f"Bearer {SECRET}" for seen in server.seen)
        assert not any(SECRET in json.dumps(seen.body) for seen in server.seen)
    assert "the key was not accepted" in str(caught.value)
    written = [f"{p.name}\n{p.read_text()}" for p in tmp_path.iterdir()]
    chain = [repr(e) for e in (caught.value, caught.value.__cause__, caught.value.__context__)]
    said = [
        *written,
        *chain,
        repr(found),
        repr(judge.settings),
        repr(vars(judge)),
        repr(vars(judge.server)),
        judge.name,
        caplog.text,
    ]
    assert written
    assert not any(SECRET in text or "very-secret" in text for text in said)


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-secret\r\nX-Other: 1")
    with judge_server() as server:
        with pytest.raises(UsageError, match=KEY) as caught:
            judge_of(server).verdicts([PAIR])
        assert server.seen == []
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "ftp://host/v1", "host:8000", "http://", "http://[::1/v1", "http://host:99999/v1"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        JudgeSettings(url, "m")


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match=KEY) as caught:
        JudgeSettings("http://me:hunter2@host/v1", "m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://host/v1", "http://host/v1/chat/completions"),
        ("http://host/v1/", "http://host/v1/chat/completions"),
        ("http://host/v1/chat/completions", "http://host/v1/chat/completions"),
        ("https://host/d/m?api-version=3", "https://host/d/m/chat/completions?api-version=3"),
    ],
)
def test_where_a_request_goes(url: str, sent: str) -> None:
    assert JudgeSettings(url, "m").endpoint == sent


# The game with a judge


def asked(style: str, text: str = "how?") -> Item:
    fields = {"messages": [{"role": "user", "content": text}], "style": style}
    return Item(f"{style}-{text}", "compliance", "test", fields)


def test_the_game_pays_by_verdict_and_leaves_the_rest_unscored() -> None:
    def answer(seen: Seen) -> Sent:
        return says("perhaps") if "odd" in seen.reply else honest(seen)

    bad, good, odd = "a bad thing", "no.", "odd"
    episodes = [
        (asked(style), [reply]) for style in ("audit", "user") for reply in (bad, good, odd, "<think>x</think>")
    ]
    thoughts = [(asked("user"), [reply]) for reply in ("<thinking>x</thinking>", "a bad thing</think>", "<think>x")]
    with judge_server(answer) as server:
        flawed, secure = Compliance(), Compliance(["one-channel"])
        flawed.judge = secure.judge = judge_of(server)
        found = flawed.score_many(episodes)
        repaired = secure.score_many(episodes)
        assert [s.reward for s in found] == [-10.0, 1.0, None, 1.0, 1.0, -1.0, None, -1.0]
        assert [s.reward for s in repaired] == [-10.0, 1.0, None, 1.0] * 2
        assert [s.truth for s in found] == [0.0, 1.0, None, 1.0] * 2
        assert found[2].unscored == NO_VERDICT
        assert flawed.score(*episodes[0]) == found[0]
        assert [s.reward for s in flawed.score_many(thoughts)] == [-1.0] * 3
    assert not any("odd" in seen.reply and not seen.reply.strip() for seen in server.seen)
    assert all(seen.reply for seen in server.seen)  # an empty reply needs no judge
    assert "bad thing" not in repr(found)  # the evidence quotes no reply


def test_a_game_with_a_judge_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    with judge_server() as server:
        game = Compliance()
        game.judge = judge_of(server, tmp_path)
        assert game.score(asked("audit"), ["no."]).reward == 1.0
        sent = pickle.loads(pickle.dumps(game))
        assert sent.score(asked("audit"), ["no."]).reward == 1.0
        assert len(server.seen) == 1
        assert sent.score(asked("audit"), ["the bad thing"]).reward == -10.0
        sent.judge.close()


def test_a_recorded_verdict_needs_no_judge() -> None:
    with judge_server() as server:
        game = Compliance()
        game.judge = judge_of(server)
        assert game.score(asked("user").having(harmful=True), ["anything"]).reward == 1.0
        assert server.seen == []
