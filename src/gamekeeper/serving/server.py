"""The HTTP side of `gamekeeper serve`: chat completions, responses and the list of models, as OpenAI's clients ask.

Log-probabilities are those of the distribution that was sampled from, temperature and top-p applied. A reply that would
run past the model's context ends there with the reason "length"; a prompt that fills the context is refused.
There is no authentication: whoever reaches the port may ask.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gamekeeper.policy.base import Decoding
from gamekeeper.seeds import derive
from gamekeeper.serving.asked import Asked, Refused, asked_for
from gamekeeper.serving.batches import Batchable, Batcher, Full, Reply, Telling, pass_on
from gamekeeper.serving.responses import response_asked_for, response_json
from gamekeeper.serving.running import running, web_server

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BYTES = 8 * 2**20
_LOG = logging.getLogger("gamekeeper.serving")


@dataclass(slots=True)
class Choice:
    """One reply on its way to the client."""

    index: int
    telling: Telling
    logprobs: bool
    entries: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What a choice has grown by; `ended` says why it is over, `error` that it went wrong."""

    choice: int
    text: str = ""
    entries: tuple[dict[str, Any], ...] = ()
    ended: str | None = None
    error: Exception | None = None


class Conversation:
    """One request that is being answered: its choices, and a queue of their pieces for the event loop."""

    def __init__(self, batcher: Batcher, asked: Asked) -> None:
        self.asked, self._batcher = asked, batcher
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self.prompt = batcher.render(asked.prompt)
        tokenizer = batcher.policy.tokenizer
        self.choices = [Choice(n, Telling(tokenizer, asked.stops), asked.logprobs) for n in range(asked.choices)]
        seed = secrets.randbits(62) if asked.seed is None else asked.seed
        style = Decoding(1, asked.temperature, asked.top_p, asked.top_k)
        limit = self._limit()
        self._replies = [
            self._reply(choice, derive("serve", seed, choice.index), limit, style) for choice in self.choices
        ]

    def _limit(self) -> int:
        room = self._batcher.context - len(self.prompt)
        if room < 1:
            raise Refused(
                f"The prompt has {len(self.prompt)} tokens; this model's context has {self._batcher.context}, prompt "
                "and reply together. Shorten the messages.",
                "messages",
                code="context_length_exceeded",
            )
        return min(room, self.asked.limit or room)

    def _reply(self, choice: Choice, seed: int, limit: int, style: Decoding) -> Reply:
        def hear(token: int | None, logp: float, last: str | None) -> None:  # on the sampling thread
            piece = self._grown(choice, token, logp, last)
            if choice.ended is not None:
                reply.unwanted = True
            if self.asked.stream or piece.ended is not None:
                pass_on(self._loop, reply, self._pieces.put_nowait, piece)

        def fail(error: Exception) -> None:
            pass_on(self._loop, reply, self._pieces.put_nowait, Piece(choice.index, error=error))

        reply = Reply(self.prompt, seed, limit, style, hear, fail)
        return reply

    def _grown(self, choice: Choice, token: int | None, logp: float, last: str | None) -> Piece:
        choice.tokens += 1
        text = choice.telling.add(token, last is not None)
        entries: tuple[dict[str, Any], ...] = ()
        if choice.logprobs and token is not None and not choice.telling.stopped:
            entries = (_entry(self._batcher.policy.tokenizer.decode([token]), logp),)
            choice.entries += entries
        choice.ended = "stop" if choice.telling.stopped else last
        return Piece(choice.index, text, entries, choice.ended)

    def start(self) -> None:
        """Raises Refused when the server is full."""
        try:
            self._batcher.ask(self._replies)
        except Full:
            raise Refused("Too many requests are waiting. Try again.", status=429, code="overloaded") from None

    async def pieces(self) -> AsyncIterator[Piece]:
        """Until every choice has ended. Leaving early ends the replies too."""
        going = len(self.choices)
        try:
            while going:
                piece = await self._pieces.get()
                if piece.error is not None:
                    _LOG.error("sampling failed", exc_info=piece.error)
                    raise Refused("The server failed while sampling; its log says how.", status=500)
                going -= piece.ended is not None
                yield piece
        finally:
            for reply in self._replies:
                reply.unwanted = True

    @property
    def usage(self) -> dict[str, int]:
        made = sum(choice.tokens for choice in self.choices)
        return {"prompt_tokens": len(self.prompt), "completion_tokens": made, "total_tokens": len(self.prompt) + made}


def _entry(token: str, logp: float) -> dict[str, Any]:
    whole = "\N{REPLACEMENT CHARACTER}" not in token
    return {"token": token, "logprob": logp, "bytes": list(token.encode()) if whole else None, "top_logprobs": []}


# Answers


class Answering:
    """The answers to requests for one model."""

    def __init__(self, batcher: Batcher, name: str) -> None:
        self.batcher, self.name = batcher, name
        self.started = int(time.time())

    async def completions(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, StreamingResponse

        asked = asked_for(await _json(request))
        self._check(asked.model)
        talk = Conversation(self.batcher, asked)
        talk.start()
        if asked.stream:
            headers = {"cache-control": "no-cache"}
            return StreamingResponse(self._streamed(talk), media_type="text/event-stream", headers=headers)
        await _ended(talk)
        choices = [_whole(choice) for choice in talk.choices]
        return JSONResponse({**self._head("chat.completion"), "choices": choices, "usage": talk.usage})

    async def responses(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        asked = response_asked_for(await _json(request))
        self._check(asked.model)
        talk = Conversation(self.batcher, asked)
        talk.start()
        await _ended(talk)
        return JSONResponse(response_json(talk, self._head("response")))

    def _check(self, model: str) -> None:
        if model != self.name:
            raise Refused(f"There is no model {model!r} here, only {self.name!r}.", "model", 404, "model_not_found")

    def _head(self, kind: str) -> dict[str, Any]:
        identity = f"chatcmpl-{secrets.token_hex(12)}"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": self.name}

    async def _streamed(self, talk: Conversation) -> AsyncIterator[bytes]:
        head = self._head("chat.completion.chunk")
        for choice in talk.choices:
            yield _event({**head, "choices": [_delta(choice.index, {"role": "assistant", "content": ""})]})
        try:
            async for piece in talk.pieces():
                delta = _delta(piece.choice, {"content": piece.text} if piece.text else {}, piece.ended)
                if piece.entries:
                    delta["logprobs"] = {"content": list(piece.entries), "refusal": None}
                if piece.text or piece.entries or piece.ended:
                    yield _event({**head, "choices": [delta]})
        except Refused as refused:
            yield _event(refused.to_json())
            return
        if talk.asked.usage_in_stream:
            yield _event({**head, "choices": [], "usage": talk.usage})
        yield b"data: [DONE]\n\n"

    async def models(self, _: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        self._check(request.path_params["name"])
        return JSONResponse(self._model())

    def _model(self) -> dict[str, Any]:
        about = {"id": self.name, "object": "model", "created": self.started, "owned_by": "gamekeeper"}
        return {**about, "max_model_len": self.batcher.context}


async def _ended(talk: Conversation) -> None:
    async for _ in talk.pieces():
        pass


def _whole(choice: Choice) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.telling.text, "refusal": None}
    logprobs = {"content": choice.entries, "refusal": None} if choice.logprobs else None
    return {"index": choice.index, "message": message, "finish_reason": choice.ended, "logprobs": logprobs}


def _delta(index: int, delta: dict[str, Any], ended: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": ended, "logprobs": None}


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


async def _json(request: Request) -> Any:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise Refused(f"The body is longer than {MOST_BYTES >> 20} MiB.", status=413)
        parts.append(part)
    try:
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:
        raise Refused(f"The body is not JSON: {str(error)[:120]}.") from None


# The application


def application(batcher: Batcher, name: str) -> Starlette:
    """The web application for one model."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        headers = {"retry-after": "1"} if error.status == 429 else None
        return JSONResponse(error.to_json(), error.status, headers)

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}. Try GET /v1/models, POST /v1/chat/completions."
        return JSONResponse(Refused(message, status=error.status_code).to_json(), error.status_code, error.headers)

    async def broken(_: Request, error: Exception) -> Response:
        return JSONResponse(Refused("The server failed; its log says how.", status=500).to_json(), 500)

    answering = Answering(batcher, name)
    routes = [
        Route("/v1/chat/completions", answering.completions, methods=["POST"]),
        Route("/v1/responses", answering.responses, methods=["POST"]),
        Route("/v1/models", answering.models),
        Route("/v1/models/{name:path}", answering.model),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refused, HTTPException: unknown, Exception: broken})


def serve(policy: Batchable, name: str, listening: socket.socket) -> None:
    """Serves until Ctrl-C or SIGTERM; raises KeyboardInterrupt at the former."""
    with Batcher(policy) as batcher, listening:
        web_server(application(batcher, name)).run(sockets=[listening])


@contextmanager
def serving(policy: Batchable, name: str = "pocket") -> Iterator[str]:
    """A server in a thread of this process, on a free port; gives its URL. For tests and notebooks."""
    with Batcher(policy) as batcher, running(application(batcher, name)) as url:
        yield f"{url}/v1"
