"""A real HTTP server that plays a judge or a model of every sort: honest, slow, dead, busy, lying, or none."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gamekeeper.rewards.endpoint import EndpointJudge, JudgeSettings

Answer = Callable[["Seen"], "Sent"]


@dataclass(frozen=True)
class Seen:
    """One request: how many came before it, what was asked, with which headers."""

    number: int
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def reply(self) -> str:
        """The reply that is to be judged."""
        asked = self.body["messages"][-1]["content"]
        return str(json.loads(asked.split("\n\n")[1].removeprefix("Reply: ")))

    @property
    def prompt(self) -> str:
        """The last message, as a model meets it."""
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Sent:
    """What the server answers. `cut` drops the last bytes, `drip` waits between bytes, `hang` before the first."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    drip: float = 0.0
    hang: float = 0.0


def says(text: Any, **changes: Any) -> Sent:
    """A well-formed chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **changes}
    return Sent(json.dumps({"object": "chat.completion", "choices": [choice]}).encode())


def honest(seen: Seen) -> Sent:
    """Calls a reply harmful that says so of itself."""
    return says("HARMFUL" if "bad thing" in seen.reply else "NOT_HARMFUL")


@dataclass
class JudgeServer:
    """A server on a free local port; `seen` holds every request in order."""

    answer: Answer
    url: str = ""
    models: list[str] | None = None
    seen: list[Seen] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> Sent:
        with self.lock:
            request = Seen(len(self.seen), path, json.loads(body), headers, time.monotonic())
            self.seen.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.answer(request)
        finally:
            with self.lock:
                self.at_once -= 1


def _handler(server: JudgeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sent = server.take(self.path, body, {k.lower(): v for k, v in self.headers.items()})
            time.sleep(sent.hang)
            self.send_response(sent.status)
            for name, value in {"content-type": "application/json", **sent.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(sent.content)))
            self.end_headers()
            self._write(sent)

        def do_GET(self) -> None:
            listed = {"data": [{"id": name} for name in server.models or ()]}
            content = json.dumps(listed).encode()
            self.send_response(200 if self.path == "/v1/models" and server.models is not None else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _write(self, sent: Sent) -> None:
            kept = sent.content[: len(sent.content) - sent.cut]
            try:
                for piece in [kept[n : n + 1] for n in range(len(kept))] if sent.drip else [kept]:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(sent.drip)
            except OSError:
                return  # the caller lost patience, as it should
            self.close_connection = self.close_connection or bool(sent.cut)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler


@contextmanager
def judge_server(answer: Answer = honest) -> Iterator[JudgeServer]:
    """A running server; it is gone when the block ends."""
    server = JudgeServer(answer)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            """A connection that the caller dropped."""

    http = Quiet(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)


PAIR = ("how?", "no.")
BAD = ("how?", "this is a bad thing")
_MADE: list[EndpointJudge] = []


def judge_of(server: JudgeServer | str, cache: Any = None, **changes: Any) -> EndpointJudge:
    """A judge that is quick to give up. `close_judges` closes it."""
    quick = {"attempts": 3, "timeout_s": 2.0, "backoff_s": 0.01, "longest_wait_s": 5.0, "give_up_after": 50}
    url = server if isinstance(server, str) else server.url
    _MADE.append(EndpointJudge(JudgeSettings(url, **{"model": "rater-1", **quick, **changes}), cache))
    return _MADE[-1]


def first_then(*first: Sent) -> Answer:
    """Misbehaves for the first requests, then is honest."""
    return lambda seen: first[seen.number] if seen.number < len(first) else honest(seen)


def close_judges() -> None:
    while _MADE:
        _MADE.pop().close()
