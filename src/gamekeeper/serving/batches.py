"""Replies in batches: what is asked for at about the same time is sampled together, on one thread.

A batch is taken from the queue when the one before has ended; each reply draws from its own seed, so that what else was
in the batch does not change it (beyond rounding). Tokens are handed over as they come.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gamekeeper.policy.base import Decoding
from gamekeeper.types import Prompt

GATHER_S = 0.004
MOST_AT_ONCE = 256
MOST_WAITING = 4096
_LOG = logging.getLogger("gamekeeper.serving")


class Batchable(Protocol):
    """What is needed of a policy (`policy.pocket.PocketPolicy` has it)."""

    model: Any
    tokenizer: Any

    def steps(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], decoding: Decoding) -> Any: ...


@dataclass(eq=False, slots=True)
class Reply:
    """One reply that is wanted. `hear(token, logp, last)` is called on the sampling thread for each token but the
    end token; `fail(error)` once if sampling goes wrong. Set `unwanted` to end it early."""

    prompt: tuple[int, ...]
    seed: int
    limit: int
    style: Decoding
    hear: Callable[[int | None, float, str | None], None]
    fail: Callable[[Exception], None]
    unwanted: bool = False
    count: int = field(default=0)


class Full(Exception):
    """Too many replies are waiting."""


class Batcher:
    """A thread that samples. Close it, or use it as a context manager."""

    def __init__(self, policy: Batchable) -> None:
        self.policy = policy
        self.batches = 0
        """How many batches were sampled so far."""
        self._waiting: queue.Queue[Reply | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="gamekeeper-sampling", daemon=True)
        self._thread.start()

    @property
    def context(self) -> int:
        """Most tokens of a prompt and its reply together."""
        return int(self.policy.model.config.max_positions)

    def render(self, prompt: Prompt) -> tuple[int, ...]:
        """A prompt's tokens. A lone surrogate, which has no UTF-8, becomes a question mark."""
        clean = tuple(replace(m, content=m.content.encode("utf-8", "replace").decode()) for m in prompt)
        return tuple(self.policy.tokenizer.render(clean))

    def ask(self, replies: Sequence[Reply]) -> None:
        """Queues replies. Raises Full, and queues none, where there is no room."""
        if self._waiting.qsize() + len(replies) > MOST_WAITING:
            raise Full
        for reply in replies:
            self._waiting.put(reply)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(10)

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The thread

    def _work(self) -> None:
        while (batch := self._gathered()) is not None:
            for alike in _by_style(batch):
                self.batches += 1
                try:
                    self._sample(alike)
                except Exception as error:  # noqa: BLE001 - the server goes on; who asked is told
                    for reply in alike:
                        _tell_failure(reply, error)

    def _gathered(self) -> list[Reply] | None:
        """At least one reply, and what else comes within a moment; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        batch = [first]
        until = time.monotonic() + GATHER_S
        while len(batch) < MOST_AT_ONCE:
            try:
                more = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if more is None:
                self._waiting.put(None)  # the end comes after what was asked before it
                break
            batch.append(more)
        return [reply for reply in batch if not reply.unwanted]

    def _sample(self, batch: list[Reply]) -> None:
        longest = max(reply.limit for reply in batch)
        style = batch[0].style
        now = Decoding(longest, style.temperature, style.top_p, style.top_k)
        end = self.policy.tokenizer.end
        steps = self.policy.steps([r.prompt for r in batch], [r.seed for r in batch], now)
        over: list[int] | None = None
        try:
            while True:
                step = next(steps) if over is None else steps.send(over)
                over = [n for n, token, logp in step if _heard(batch[n], token, logp, end)]
        except StopIteration:
            return


def pass_on(loop: asyncio.AbstractEventLoop, reply: Reply, call: Callable[..., object], *args: Any) -> None:
    """Has a call made on the event loop of whoever asked. Where that loop is closed nobody listens any more: the reply
    is unwanted."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise
        reply.unwanted = True


def _tell_failure(reply: Reply, error: Exception) -> None:
    """The thread outlives whatever happens to one who asked."""
    reply.unwanted = True
    try:
        reply.fail(error)
    except Exception:  # noqa: BLE001 - it is logged, and the thread goes on
        _LOG.exception("nobody could be told that sampling failed: %s", error)


def _heard(reply: Reply, token: int, logp: float, end: int) -> bool:
    """Passes a token on; whether the reply is over. Where one cannot be passed on, the others of the batch go on."""
    try:
        return _passed(reply, token, logp, end)
    except Exception as error:  # noqa: BLE001 - who asked is told
        _tell_failure(reply, error)
        return True


def _passed(reply: Reply, token: int, logp: float, end: int) -> bool:
    reply.count += 1
    if token == end:
        reply.hear(None, logp, "stop")
        return True
    over = reply.count == reply.limit
    reply.hear(token, logp, "length" if over else None)
    return over or reply.unwanted


def _by_style(batch: Sequence[Reply]) -> Iterator[list[Reply]]:
    """Replies that are sampled the same way, together."""
    styles: dict[tuple[float, float, int], list[Reply]] = {}
    for reply in batch:
        style = reply.style
        styles.setdefault((style.temperature, style.top_p, style.top_k), []).append(reply)
    yield from styles.values()


class Telling:
    """A reply's text as it grows: whole characters only, and nothing of what may become a stop text."""

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self._tokenizer, self._stops = tokenizer, stops
        self._tokens: list[int] = []
        self._told = 0
        self.text = ""
        self.stopped = False
        """Whether a stop text came."""

    def add(self, token: int | None, last: bool) -> str:
        """What can be told now that could not before. token: None for none, at the end."""
        if self.stopped:
            return ""
        if token is not None:
            self._tokens.append(token)
        self.text = self._tokenizer.decode(self._tokens)
        found = [at for stop in self._stops if (at := self.text.find(stop)) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
        safe = len(self.text) if last or self.stopped else self._safe()
        piece = self.text[self._told : safe]
        self._told = max(self._told, safe)
        return piece

    def _safe(self) -> int:
        """How many characters stay whatever comes next."""
        whole = len(self.text.rstrip("\N{REPLACEMENT CHARACTER}"))  # behind it, the first bytes of a character
        return min([whole, *(whole - _begun(self.text[:whole], stop) for stop in self._stops)])


def _begun(text: str, stop: str) -> int:
    """How many of a stop text's first characters the text ends with."""
    return next((n for n in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:n])), 0)
