"""Chat completions of an OpenAI-compatible server: asked politely, patiently, and many at once.

Judges and policies behind a server both come through here. What may go wrong, and what comes of it:
- the server is slow, dead, overloaded (429, 5xx), or sends what is no chat completion: it is asked again, with
  exponential backoff and full jitter, never sooner than a Retry-After says (all requests wait then), at most `attempts`
  times; the request then has no answer, and says why;
- requests fail that way `give_up_after` times in a row: CouldNotLook, instead of hours of waiting;
- it refuses the call itself (401, 403, 404, a redirect): CouldNotLook at once, with what to do;
- it refuses one request (400, 413, 422): no answer to that one.

The key is read from the environment alone and goes into one header. No message quotes what the server sent: it may
repeat the key.
"""

from __future__ import annotations

import json
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.extras import need

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
MOST_BYTES = 1 << 20
_AGAIN = frozenset({408, 409, 425, 429})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Role:
    """What messages call the server ("judge"), one request to it ("pair") and its answers ("verdicts"), where its key
    is and which options name it."""

    who: str
    request: str
    answers: str
    key: str
    url_option: str
    model_option: str


@dataclass(frozen=True)
class ChatSettings:
    """Which server is asked, and how."""

    url: str
    model: str
    concurrency: int = 8
    attempts: int = 5
    timeout_s: float = 60.0
    """For one answer: the longest pause before and between the headers, and no byte of the body after it."""
    backoff_s: float = 0.5
    longest_wait_s: float = 60.0
    """The most that is waited between two attempts; a server that asks for more is given up."""
    give_up_after: int = 3
    max_tokens: int = 1024
    role: ClassVar[Role]

    def __post_init__(self) -> None:
        for name in ("concurrency", "attempts", "give_up_after", "max_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"The {self.role.who}'s {name} must be at least 1, got {getattr(self, name)!r}.")
        if not self.model:
            raise UsageError(f"A {self.role.who} needs a model's name. Give it with {self.role.model_option}.")
        check_url(self.url, self.role)

    @property
    def endpoint(self) -> str:
        return address(self.url, "/chat/completions")


def address(url: str, path: str) -> str:
    """The address below a server's URL; a URL that names the chat completions themselves is cut back to its root."""
    base, mark, query = url.partition("?")
    return base.rstrip("/").removesuffix("/chat/completions") + path + mark + query


def shown(url: str) -> str:
    """A URL as messages and records have it: what follows a question mark may be a key."""
    base, mark, _ = url.partition("?")
    return base + (f"{mark}..." if mark else "")


def check_url(url: str, role: Role) -> None:
    """Raises UsageError unless the URL is one of a server and holds no secret."""
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        secret = parts.username is not None or parts.password is not None or "@" in url.partition("?")[0]
    except ValueError:
        wrong = secret = True
    if secret:
        raise UsageError(f"The {role.who}'s URL must hold no name, password or bad port. Put a key into {role.key}.")
    if wrong:
        raise UsageError(f"The {role.who}'s URL must look like http://host:port/v1, got {shown(url)!r}.")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server answered: text (None if it sent none), why it ended ("stop", "length"), tokens in and out."""

    text: str | None
    ended: str | None
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A request without an answer; `why` in words that quote nobody."""

    why: str


class Failed(Exception):
    """One attempt failed, and another may succeed; `wait` is what the server asked for, if it did."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


class ChatServer:
    """A server with its connections. One object may be used from several threads.

    Raises MissingExtra where httpx is not installed: here, before anything has been begun.
    """

    def __init__(self, settings: ChatSettings) -> None:
        need("endpoint", "Asking a server", "httpx")
        self.settings, self.role = settings, settings.role
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

    def close(self) -> None:
        """Lets go of the connections; the next question opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # Many at once

    def answers(self, bodies: Sequence[Mapping[str, Any]], read: Callable[[int, Completion], T]) -> list[T | NoAnswer]:
        """What `read(number, completion)` makes of each answer, in order, or why there is none.

        `read` is called as answers come, one at a time. Raises CouldNotLook when the server is out of reach.
        """
        # Daemon threads: Ctrl-C must not wait for a slow server.
        work: queue.SimpleQueue[int] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, T | NoAnswer | BaseException]] = queue.SimpleQueue()
        stop = threading.Event()
        for number in range(len(bodies)):
            work.put(number)

        def worker() -> None:
            while not stop.is_set():
                try:
                    number = work.get_nowait()
                except queue.Empty:
                    return
                try:
                    done.put((number, self._answer(number, bodies[number], read, stop)))
                except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
                    done.put((number, error))
                    return

        for _ in range(min(self.settings.concurrency, len(bodies))):
            threading.Thread(target=worker, daemon=True).start()
        found: dict[int, T | NoAnswer] = {}
        try:
            while len(found) < len(bodies):
                number, answer = done.get()
                if isinstance(answer, BaseException):
                    raise answer
                found[number] = answer
        finally:
            stop.set()
        return [found[number] for number in range(len(bodies))]

    def _answer(
        self, number: int, body: Mapping[str, Any], read: Callable[[int, Completion], T], stop: threading.Event
    ) -> T | NoAnswer:
        try:
            said = self._asked(json.dumps(body).encode(), stop)
        except Failed as failure:
            self._count_failure(failure.why)
            return NoAnswer(failure.why)
        with self._lock:
            self._failures = 0
            return said if isinstance(said, NoAnswer) else read(number, said)

    def _count_failure(self, why: str) -> None:
        with self._lock:
            self._failures += 1
            gone = self._failures >= self.settings.give_up_after
        if gone:
            many = self.role.answers
            raise CouldNotLook(
                f"The {self.role.who} {self.name} is out of reach: {why} ({self.settings.attempts} attempts at each of "
                f"{self.settings.give_up_after} {many} or more). Start it or give another; {many} so far are kept."
            )

    # One answer

    def _asked(self, body: bytes, stop: threading.Event) -> Completion | NoAnswer:
        """The answer, after as many attempts as it takes; Failed if they are used up."""
        for attempt in range(self.settings.attempts):
            self._wait_for_turn(stop)
            try:
                return self._attempt(body)
            except Failed as failure:
                if attempt + 1 == self.settings.attempts or stop.is_set():
                    raise
                self._back_off(attempt, failure)
        raise AssertionError("a server is asked at least once")

    def _wait_for_turn(self, stop: threading.Event) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            if stop.wait(left):
                raise Failed("stopped")

    def _back_off(self, attempt: int, failure: Failed) -> None:
        """Set when the next request may go out. A Retry-After holds for all, a backoff only postpones this one."""
        asked = failure.wait or 0.0
        if asked > self.settings.longest_wait_s:
            raise Failed(f"the {self.role.who} asks to wait for longer than is waited")
        if asked:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + asked)
        most = min(self.settings.backoff_s * 2**attempt, self.settings.longest_wait_s)
        time.sleep(self._jitter.uniform(0, most))

    def _attempt(self, body: bytes) -> Completion | NoAnswer:
        with self._lock:
            self.asked += 1
        status, retry_after, content = self.exchange("POST", self.settings.endpoint, body)
        if status == 200:
            return _completion_of(content, self.role)
        if status in _AGAIN or status >= 500:
            raise Failed(f"the {self.role.who} answered with status {status}", _seconds(retry_after))
        if status in (400, 413, 422):
            return NoAnswer(f"the {self.role.who} refused the {self.role.request} with status {status}")
        raise self.refused(status)

    def refused(self, status: int) -> CouldNotLook:
        """The error for a server that does not accept the call, with what to do."""
        return CouldNotLook(f"The {self.role.who} {self.name} answered with status {status}: {self._advice(status)}")

    def exchange(self, method: str, url: str, body: bytes = b"") -> tuple[int, str | None, bytes]:
        """(status, Retry-After, content) of one request; the content is read of a success alone.

        Raises Failed if nothing whole comes back in time, CouldNotLook if the URL is none.
        """
        import httpx

        deadline = time.monotonic() + self.settings.timeout_s
        who = self.role.who
        try:
            with self._http().stream(method, url, content=body) as response:
                if response.status_code != 200:
                    return response.status_code, response.headers.get("retry-after"), b""
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Failed(f"the {who}'s answer is encoded, which was not asked for")
                return 200, None, _body_of(response, deadline, who)
        except httpx.TimeoutException:
            raise Failed(f"the {who} took too long") from None
        except httpx.InvalidURL:
            raise CouldNotLook(f"The {who}'s URL is not one. Write e.g. http://host:port/v1.") from None
        except httpx.HTTPError as error:
            raise Failed(f"the {who} cannot be reached or broke off ({type(error).__name__})") from None

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self.settings)
            return self._client

    def _advice(self, status: int) -> str:
        role = self.role
        if status in (401, 403):
            given = "the key was not accepted" if os.environ.get(role.key, "").strip() else "no key was given"
            return f"{given}. Set the environment variable {role.key}."
        if status == 404:
            return (
                f"there is no such address or model. Check {role.url_option} (it often ends in /v1) and "
                f"{role.model_option}."
            )
        if 300 <= status < 400:
            return "a redirect, which is not followed, since a key must not go elsewhere. Give the final address."
        return f"the call was not accepted. Check {role.url_option} and {role.model_option}."


def _client(settings: ChatSettings) -> httpx.Client:
    import httpx

    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    key = os.environ.get(settings.role.key, "").strip()
    if key:
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"{settings.role.key} holds characters that no HTTP header may hold. Set it to the key alone."
            )
        headers["authorization"] = f"Bearer {key}"
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(settings.timeout_s, connect=min(10.0, settings.timeout_s)),
        limits=httpx.Limits(max_connections=settings.concurrency),
        follow_redirects=False,  # the key belongs to the server that was named
        trust_env=urlsplit(settings.url).hostname not in _LOCAL,
    )


def _body_of(response: httpx.Response, deadline: float, who: str) -> bytes:
    """At most a megabyte, and no byte after the deadline: a server may drip for ever."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_raw():
        size += len(part)
        if size > MOST_BYTES:
            raise Failed(f"the {who}'s answer is longer than a megabyte")
        if time.monotonic() > deadline:
            raise Failed(f"the {who} took too long")
        parts.append(part)
    return b"".join(parts)


def _completion_of(body: bytes, role: Role) -> Completion:
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        said, ended = _text_of(choice["message"]["content"]), choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise Failed(f"the {role.who} sent no chat completion") from None
    usage = data.get("usage")
    counted = [usage.get(key) if isinstance(usage, dict) else 0 for key in ("prompt_tokens", "completion_tokens")]
    tokens = [n if isinstance(n, int) and n >= 0 else 0 for n in counted]
    return Completion(said, ended if isinstance(ended, str) else None, tokens[0], tokens[1])


def _text_of(content: Any) -> str | None:
    """A message's text. Servers may send it in parts, thoughts among them; raises TypeError for anything else."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError("content is a text, a list of parts or null")
    return "".join(part["text"] for part in content if part["type"] in ("text", "output_text"))


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
