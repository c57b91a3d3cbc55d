"""What a client may ask for in a chat completion. What cannot be done is refused, never passed over in silence.

Fields that change nothing here (a user's name, metadata, penalties of zero) are accepted, as other servers do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamekeeper.types import Message, Prompt

MOST_CHOICES = 128
MOST_STOPS = 16
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# Asking for these would change the reply, and nothing here could do it.
_UNABLE = ("tools", "functions", "audio", "logit_bias", "prediction", "guided_json", "structured_outputs")
_MUST_BE_ZERO = ("frequency_penalty", "presence_penalty", "min_p")


class Refused(Exception):
    """A request that is not carried out: the status, what is wrong, which field, and a code for programs."""

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code

    def to_json(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat completion that was asked for. limit: most new tokens, None for as many as there is room."""

    model: str
    prompt: Prompt
    choices: int = 1
    limit: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stops: tuple[str, ...] = ()
    stream: bool = False
    usage_in_stream: bool = False
    logprobs: bool = False


def asked_for(body: Any) -> Asked:
    """Raises Refused, which names the field and what it may be."""
    if not isinstance(body, Mapping):
        raise Refused("The body must be a JSON object with 'model' and 'messages'.")
    _refuse_what_cannot_be_done(body)
    options = body.get("stream_options") or {}
    return Asked(
        model=_text(body, "model"),
        prompt=prompt_of(body.get("messages"), "messages", ("text",)),
        choices=_whole(body, "n", 1, MOST_CHOICES) or 1,
        limit=_limit(body),
        temperature=_number(body, "temperature", 0, 2, 1.0),
        top_p=_number(body, "top_p", 1e-9, 1, 1.0),
        top_k=max(0, _whole(body, "top_k", -1, 2**31) or 0),
        seed=_whole(body, "seed", -(2**63), 2**63),
        stops=_stops(body.get("stop")),
        stream=_truth(body, "stream"),
        usage_in_stream=_truth(options, "include_usage") if isinstance(options, Mapping) else False,
        logprobs=_truth(body, "logprobs"),
    )


def _refuse_what_cannot_be_done(body: Mapping[str, Any]) -> None:
    for name in _UNABLE:
        if body.get(name):
            raise Refused(f"This server cannot do {name!r}; leave it out.", name)
    for name in _MUST_BE_ZERO:
        if body.get(name) not in (None, 0):
            raise Refused(f"This server has no {name}; it must be 0 or left out, got {body[name]!r}.", name)
    if body.get("top_logprobs") not in (None, 0):
        raise Refused("This server gives the log-probability of sampled tokens alone; leave top_logprobs out.")
    if body.get("repetition_penalty") not in (None, 1):
        raise Refused("This server has no repetition_penalty; it must be 1 or left out.", "repetition_penalty")
    form = body.get("response_format")
    if form is not None and (not isinstance(form, Mapping) or form.get("type") != "text"):
        raise Refused("This server writes plain text; response_format must be {'type': 'text'}.", "response_format")


def prompt_of(messages: Any, where: str, kinds: Sequence[str]) -> Prompt:
    """Messages of a request's field `where`; their text may be in parts of these kinds. Raises Refused."""
    if not isinstance(messages, list) or not messages:
        raise Refused(f"{where!r} must be a list with at least one message.", where)
    return tuple(_message(message, f"{where}[{n}]", kinds) for n, message in enumerate(messages))


def _message(message: Any, where: str, kinds: Sequence[str]) -> Message:
    if not isinstance(message, Mapping):
        raise Refused(f"{where} must be an object with 'role' and 'content'.", where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise Refused(f"{where}.role must be one of {', '.join(_ROLES)}, got {role!r}.", f"{where}.role")
    return Message(_ROLES[role], _content(message.get("content"), f"{where}.content", kinds))


def _content(content: Any, where: str, kinds: Sequence[str]) -> str:
    """A text, or a list of text parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused(f"{where} must be a text or a list of text parts.", where)
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") not in kinds or not isinstance(part.get("text"), str):
            known = " or ".join(repr(k) for k in kinds)
            raise Refused(f"{where} may hold parts of type {known} alone: this model reads nothing else.", where)
        texts.append(part["text"])
    return "".join(texts)


def _limit(body: Mapping[str, Any]) -> int | None:
    """`max_completion_tokens`, or its older name; -1 means no limit, as some clients send it."""
    for name in ("max_completion_tokens", "max_tokens"):
        found = _whole(body, name, -1, 2**31)
        if found == 0:
            raise Refused(f"{name} must be at least 1, got 0.", name)
        if found is not None:
            return None if found < 0 else found
    return None


def _stops(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops) or len(stops) > MOST_STOPS:
        raise Refused(f"'stop' must be a text or at most {MOST_STOPS} texts, none of them empty.", "stop")
    return tuple(stops)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"{name!r} must be a text, got {value!r}.", name)
    return value


def _truth(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refused(f"{name!r} must be true or false, got {value!r}.", name)
    return bool(value)


def _whole(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused(f"{name!r} must be a whole number from {low} to {high}, got {_short(value)}.", name)
    return value


def _number(body: Mapping[str, Any], name: str, low: float, high: float, otherwise: float) -> float:
    value = body.get(name)
    if value is None:
        return otherwise
    wrong = isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high
    if wrong or not math.isfinite(value):
        raise Refused(f"{name!r} must be a number from {low:g} to {high:g}, got {_short(value)}.", name)
    return float(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
