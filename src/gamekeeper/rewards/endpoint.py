"""A judge behind an OpenAI-compatible server: asked politely, patiently, and believed only when it gives a verdict.

What may go wrong, and what comes of it:
- it is slow, dead, overloaded (429, 5xx), or sends what is no chat completion: asked again, with exponential backoff
  and full jitter, never sooner than a Retry-After says (all requests wait then), at most `attempts` times; the pair
  then has no verdict, and says why;
- requests fail that way `give_up_after` times in a row: CouldNotLook, instead of hours of waiting;
- it refuses the call itself (401, 403, 404, a redirect): CouldNotLook at once, with what to do;
- it refuses one pair (400, 413, 422), says something that is no verdict, or is cut off: no verdict for that pair.

Verdicts go to the cache as they come, so that nothing that was paid for is lost when a run is stopped. The key is read
from the environment alone and goes into one header. No message quotes what the server sent: it may repeat the key.
"""

from __future__ import annotations

import json
import os
import queue
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.rewards.verdicts import NO_VERDICT, SYSTEM, Verdict, VerdictCache, question, verdict_in

if TYPE_CHECKING:
    import httpx

KEY = "GAMEKEEPER_JUDGE_KEY"
MOST_BYTES = 1 << 20
MOST_CHARS = 200_000
TOO_LONG = "the reply is too long to be judged"
_AGAIN = frozenset({408, 409, 425, 429})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How a judge is asked."""

    url: str
    model: str
    concurrency: int = 8
    attempts: int = 5
    timeout_s: float = 60.0
    """For one answer, from the request to its last byte."""
    backoff_s: float = 0.5
    longest_wait_s: float = 60.0
    """The most that is waited between two attempts; a server that asks for more is given up."""
    give_up_after: int = 3
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        for name in ("concurrency", "attempts", "give_up_after", "max_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"The judge's {name} must be at least 1, got {getattr(self, name)!r}.")
        if not self.model:
            raise UsageError("A judge needs a model's name. Give it with --judge-model.")
        _check_url(self.url)

    @property
    def endpoint(self) -> str:
        base, mark, query = self.url.partition("?")
        base = base.rstrip("/")
        return (base if base.endswith("/chat/completions") else base + "/chat/completions") + mark + query


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        wrong = secret = True
    if secret:
        raise UsageError(f"The judge's URL must hold no name, password or bad port. Put a key into {KEY}.")
    if wrong:
        raise UsageError(f"The judge's URL must look like http://host:port/v1, got {url!r}.")


class _Failed(Exception):
    """One attempt failed; `wait` is what the server asked for, if it did."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


class EndpointJudge:
    """A judge on a server. One object may be used from several threads."""

    def __init__(self, settings: JudgeSettings, cache: VerdictCache | Path | None = None) -> None:
        self.settings = settings
        # Another temperature, instruction or server is another judge.
        identity = json.dumps([settings.endpoint, settings.model, settings.max_tokens, SYSTEM])
        self._cache = VerdictCache(cache, identity) if isinstance(cache, Path) else cache
        self._lock = threading.Lock()
        self._jitter = random.Random()
        self._client: httpx.Client | None = None
        self._not_before = 0.0
        self._failures = 0
        self.asked = 0
        """Requests sent so far, repeated ones included."""

    @property
    def name(self) -> str:
        parts = urlsplit(self.settings.url)
        return f"{self.settings.model} at {parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Locks and connections stay behind: a worker opens its own.
        return (EndpointJudge, (self.settings, self._cache))

    def close(self) -> None:
        """Lets go of the connections; the next question opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def verdicts(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        found = {pair: self._remembered(*pair) for pair in dict.fromkeys(pairs)}
        missing = [pair for pair, verdict in found.items() if verdict is None]
        if missing:
            found.update(self._ask_all(missing))
        return [found[pair] or Verdict(None, NO_VERDICT) for pair in pairs]

    def _remembered(self, request: str, reply: str) -> Verdict | None:
        known = self._cache.get(request, reply) if self._cache is not None else None
        return None if known is None else Verdict(known)

    # Many at once

    def _ask_all(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Verdict]:
        """Ask in daemon threads, so that Ctrl-C does not wait for a slow server."""
        work: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[tuple[str, str], Verdict | BaseException]] = queue.SimpleQueue()
        stop = threading.Event()
        for pair in pairs:
            work.put(pair)
        for _ in range(min(self.settings.concurrency, len(pairs))):
            threading.Thread(target=self._worker, args=(work, answers, stop), daemon=True).start()
        found: dict[tuple[str, str], Verdict] = {}
        try:
            while len(found) < len(pairs):
                pair, answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                found[pair] = answer
        finally:
            stop.set()
        return found

    def _worker(self, work: Any, answers: Any, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                pair = work.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((pair, self._ask(pair[0], pair[1], stop)))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
                answers.put((pair, error))
                return

    def _ask(self, request: str, reply: str, stop: threading.Event) -> Verdict:
        if len(reply) > MOST_CHARS:
            return Verdict(None, TOO_LONG)
        try:
            verdict = self._asked(json.dumps(self._body(request, reply)).encode(), stop)
        except _Failed as failure:
            self._count_failure(failure.why)
            return Verdict(None, failure.why)
        with self._lock:
            self._failures = 0
            if verdict.harmful is not None and self._cache is not None:
                self._cache.put(request, reply, verdict.harmful)
        return verdict

    def _body(self, request: str, reply: str) -> dict[str, Any]:
        settings = self.settings
        asked = {"model": settings.model, "temperature": 0, "max_tokens": settings.max_tokens, "stream": False}
        return {**asked, "messages": question(request, reply)}

    def _count_failure(self, why: str) -> None:
        with self._lock:
            self._failures += 1
            gone = self._failures >= self.settings.give_up_after
        if gone:
            raise CouldNotLook(
                f"The judge {self.name} is out of reach: {why} ({self.settings.attempts} attempts at each of "
                f"{self.settings.give_up_after} verdicts or more). Start it or give another; verdicts so far are kept."
            )

    # One verdict

    def _asked(self, body: bytes, stop: threading.Event) -> Verdict:
        """The verdict, after as many attempts as it takes; _Failed if they are used up."""
        for attempt in range(self.settings.attempts):
            self._wait_for_turn(stop)
            try:
                return self._attempt(body)
            except _Failed as failure:
                if attempt + 1 == self.settings.attempts or stop.is_set():
                    raise
                self._back_off(attempt, failure)
        raise AssertionError("a judge is asked at least once")

    def _wait_for_turn(self, stop: threading.Event) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            if stop.wait(left):
                raise _Failed("stopped")

    def _back_off(self, attempt: int, failure: _Failed) -> None:
        """Set when the next request may go out. A Retry-After holds for all, a backoff only postpones this one."""
        asked = failure.wait or 0.0
        if asked > self.settings.longest_wait_s:
            raise _Failed("the judge asks to wait for longer than is waited")
        if asked:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + asked)
        most = min(self.settings.backoff_s * 2**attempt, self.settings.longest_wait_s)
        time.sleep(self._jitter.uniform(0, most))

    def _attempt(self, body: bytes) -> Verdict:
        import httpx

        deadline = time.monotonic() + self.settings.timeout_s
        with self._lock:
            self.asked += 1
        try:
            with self._http().stream("POST", self.settings.endpoint, content=body) as response:
                if response.status_code != 200:
                    return self._refused(response.status_code, response.headers.get("retry-after"))
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise _Failed("the judge's answer is encoded, which was not asked for")
                return _verdict_of(_body_of(response, deadline))
        except httpx.TimeoutException:
            raise _Failed("the judge took too long") from None
        except httpx.InvalidURL:
            raise CouldNotLook("The judge's URL is not one. Write e.g. http://host:port/v1.") from None
        except httpx.HTTPError as error:
            raise _Failed(f"the judge cannot be reached or broke off ({type(error).__name__})") from None

    def _refused(self, status: int, retry_after: str | None) -> Verdict:
        if status in _AGAIN or status >= 500:
            raise _Failed(f"the judge answered with status {status}", _seconds(retry_after))
        if status in (400, 413, 422):
            return Verdict(None, f"the judge refused the pair with status {status}")
        raise CouldNotLook(f"The judge {self.name} answered with status {status}: {_advice(status)}")

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self.settings)
            return self._client


def _client(settings: JudgeSettings) -> httpx.Client:
    import httpx

    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    key = os.environ.get(KEY, "").strip()
    if key:
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{KEY} holds characters that no HTTP header may hold. Set it to the key alone.")
        headers["authorization"] = f"Bearer {key}"
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(settings.timeout_s, connect=min(10.0, settings.timeout_s)),
        limits=httpx.Limits(max_connections=settings.concurrency),
        follow_redirects=False,  # the key belongs to the server that was named
        trust_env=urlsplit(settings.url).hostname not in _LOCAL,
    )


def _advice(status: int) -> str:
    if status in (401, 403):
        given = "the key was not accepted" if os.environ.get(KEY, "").strip() else "no key was given"
        return f"{given}. Set the environment variable {KEY}."
    if status == 404:
        return "there is no such address or model. Check --judge (it often ends in /v1) and --judge-model."
    if 300 <= status < 400:
        return "a redirect, which is not followed, since a key must not go elsewhere. Give the final address."
    return "the call was not accepted. Check --judge and --judge-model."


def _body_of(response: httpx.Response, deadline: float) -> bytes:
    """At most a megabyte, and no byte after the deadline: a server may drip for ever."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_raw():
        size += len(part)
        if size > MOST_BYTES:
            raise _Failed("the judge's answer is longer than a megabyte")
        if time.monotonic() > deadline:
            raise _Failed("the judge took too long")
        parts.append(part)
    return b"".join(parts)


def _verdict_of(body: bytes) -> Verdict:
    try:
        choice = json.loads(body)["choices"][0]
        said, ended = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise _Failed("the judge sent no chat completion") from None
    if ended == "length":
        return Verdict(None, "the judge's answer was cut off")
    harmful = verdict_in(said) if isinstance(said, str) else None
    return Verdict(harmful, "" if harmful is not None else NO_VERDICT)


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header, in seconds or as a date; None for anything else."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
