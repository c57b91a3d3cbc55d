"""A policy behind an OpenAI-compatible server: any served model can be measured on a game. It needs no torch.

How the server is asked, and what comes of its troubles, stands in `gamekeeper.endpoint`. A prompt without a reply gives
a `Sample` that says so (`failed`), never an empty reply: a policy that said nothing and one that was not heard differ.

Replies may be kept in a journal as they come, so that an evaluation that was stopped does not ask (and pay) twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gamekeeper.endpoint import ChatServer, ChatSettings, Completion, Failed, NoAnswer, Role, address, check_url, shown
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.policy.base import Decoding, Sample
from gamekeeper.seeds import derive
from gamekeeper.types import Prompt

KEY = "GAMEKEEPER_MODEL_KEY"
ROLE = Role("model", "prompt", "replies", KEY, "--model", "--model-name")
FILTERED = "the model's server withheld the reply (content filter)"


@dataclass(frozen=True)
class PolicySettings(ChatSettings):
    """How a policy is asked. max_tokens: the most new tokens of one reply."""

    role: ClassVar[Role] = ROLE
    concurrency: int = 16
    timeout_s: float = 300.0
    body: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that are set or, with None, left out: `{"max_tokens": None, "reasoning_effort": "low"}`."""


def is_url(model: str) -> bool:
    """Whether a model's name is the address of a server."""
    return model.startswith(("http://", "https://"))


def served_model(url: str, name: str | None = None) -> str:
    """The name of the model at a server: the one that was given, or the only one there.

    Raises UsageError when there are several, CouldNotLook when the server does not say.
    """
    if name is not None:
        return name
    check_url(url, ROLE)
    server = ChatServer(PolicySettings(url, "unknown", timeout_s=30.0))
    try:
        status, _, content = server.exchange("GET", address(url, "/models"))
        if status in (401, 403):
            raise server.refused(status)
        found = [str(m["id"]) for m in json.loads(content)["data"]] if status == 200 else []
    except Failed as failure:
        raise CouldNotLook(
            f"{failure.why[:1].upper()}{failure.why[1:]}: {shown(url)}. Start the server, or check --model."
        ) from None
    except (ValueError, LookupError, TypeError, RecursionError):
        found = []
    finally:
        server.close()
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(found)[:20])
        raise UsageError(f"The server at {shown(url)} has {len(found)} models; choose one with --model-name: {names}.")
    raise CouldNotLook(f"The server at {shown(url)} does not list its models. Name one with --model-name.")


class ReplyJournal:
    """Replies by what was asked, in a file that is only ever appended to. A torn or foreign line is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[str, bool]] = {}
        content = path.read_bytes() if path.exists() else b""
        for line in content.splitlines():
            try:
                key, text, truncated = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if isinstance(key, str) and isinstance(text, str):
                self._known[key] = (text, bool(truncated))
        if content and not content.endswith(b"\n"):
            self._append(b"\n")  # a torn line must not swallow the next

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Sample | None:
        found = self._known.get(key)
        return None if found is None else Sample(found[0], truncated=found[1])

    def put(self, key: str, sample: Sample) -> None:
        self._append(json.dumps([key, sample.text, sample.truncated]).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(line)


@dataclass(slots=True)
class Used:
    """What has been asked of a server so far. Tokens are as the server counts them, 0 where it does not."""

    replies: int = 0
    truncated: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class EndpointPolicy:
    """A `Policy` on a server. `used` counts; `heard` is called after each reply."""

    def __init__(self, settings: PolicySettings, journal: ReplyJournal | None = None) -> None:
        self.settings, self.journal = settings, journal
        self.server = ChatServer(settings)
        self.used = Used()
        self.heard: Callable[[], None] | None = None

    @classmethod
    def at(cls, url: str) -> EndpointPolicy:
        """The only model of a server, with the usual settings."""
        return cls(PolicySettings(url, served_model(url)))

    def close(self) -> None:
        """Lets go of the connections."""
        self.server.close()

    def sample(self, prompts: Sequence[Prompt], decoding: Decoding, seed: Sequence[Any]) -> list[Sample]:
        """One reply for each prompt. The seed is sent along; whether it decides the reply is the server's matter.

        `decoding.max_new_tokens` counts tokens of the pocket model; the limit here is the settings' `max_tokens`.
        """
        bodies = [self._body(prompt, decoding, derive("reply", *seed, n)) for n, prompt in enumerate(prompts)]
        keys = [self._key(seed, n, body) for n, body in enumerate(bodies)]
        known = {n: self.journal.get(key) if self.journal else None for n, key in enumerate(keys)}
        missing = [n for n, sample in known.items() if sample is None]

        def read(number: int, said: Completion) -> Sample:
            sample = self._sample(said)
            if self.journal is not None and sample.failed is None:
                self.journal.put(keys[missing[number]], sample)
            if self.heard is not None:
                self.heard()
            return sample

        answers = self.server.answers([bodies[n] for n in missing], read)
        asked = [Sample("", failed=a.why) if isinstance(a, NoAnswer) else a for a in answers]
        known.update(zip(missing, asked, strict=True))
        return [sample for sample in known.values() if sample is not None]

    def _key(self, seed: Sequence[Any], number: int, body: Mapping[str, Any]) -> str:
        text = json.dumps([self.settings.endpoint, list(seed), number, body])
        return hashlib.sha256(text.encode()).hexdigest()

    def _body(self, prompt: Prompt, decoding: Decoding, seed: int) -> dict[str, Any]:
        # A lone surrogate has no UTF-8; a server would refuse it.
        messages = [{"role": m.role, "content": m.content.encode("utf-8", "replace").decode()} for m in prompt]
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": messages,
            "temperature": decoding.temperature,
            "max_tokens": self.settings.max_tokens,
            "seed": seed >> 32,  # servers take 31 bits
            "stream": False,
        }
        if decoding.top_p < 1:
            body["top_p"] = decoding.top_p
        if decoding.top_k:
            body["top_k"] = decoding.top_k
        return {k: v for k, v in {**body, **self.settings.body}.items() if v is not None}

    def _sample(self, said: Completion) -> Sample:
        self.used.replies += 1
        self.used.tokens_in += said.tokens_in
        self.used.tokens_out += said.tokens_out
        if said.ended == "content_filter":
            return Sample("", failed=FILTERED)
        truncated = said.ended == "length"
        self.used.truncated += truncated
        # No text at all: tokens went into hidden reasoning, or the first token ended the reply. That is a reply.
        return Sample(said.text or "", truncated=truncated)


def settings_of(url: str, name: str | None, **given: Any) -> PolicySettings:
    """Settings with those that were given (None: the default); the model's name is asked for where it is absent."""
    chosen = {key: value for key, value in given.items() if value is not None}
    body = chosen.get("body", {})
    if not isinstance(body, Mapping):
        raise UsageError(f"The request's further fields must be a JSON object, got {body!r}.")
    return PolicySettings(url, served_model(url, name), **chosen)
