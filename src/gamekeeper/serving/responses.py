"""`/v1/responses`, the younger of OpenAI's two ways to ask for a reply: text in, text out, nothing kept.

Clients such as Inspect's `openai/` provider use it unless they are told not to. A request becomes the chat completion
that asks the same; what this way has besides (tools, conversations kept on the server, work in the background,
streams) is refused by name. There is one choice, and no seed and no stop texts: this protocol has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gamekeeper.serving.asked import Asked, Refused, asked_for, prompt_of
from gamekeeper.types import Message

if TYPE_CHECKING:
    from gamekeeper.serving.server import Conversation

_UNABLE = ("background", "conversation", "previous_response_id", "prompt", "stream", "top_logprobs")
_SAME = ("model", "temperature", "top_p", "tools")
_TEXTS = ("input_text", "output_text")
_LOGPROBS = "message.output_text.logprobs"


def response_asked_for(body: Any) -> Asked:
    """The chat completion that asks the same. Raises Refused, which names the field and what it may be."""
    if not isinstance(body, Mapping):
        raise Refused("The body must be a JSON object with 'model' and 'input'.")
    for name in _UNABLE:
        if body.get(name):
            raise Refused(f"This server cannot do {name!r} here; leave it out, or ask /v1/chat/completions.", name)
    text = body.get("text") or {}
    form = text.get("format") if isinstance(text, Mapping) else text
    wanted = body.get("include") or ()
    same = {name: body.get(name) for name in _SAME}
    # The prompt is read apart, so that complaints name the fields as this client knows them.
    chat = {**same, "response_format": form, "messages": [{"role": "user", "content": ""}]}
    asked = asked_for({**chat, "logprobs": isinstance(wanted, list) and _LOGPROBS in wanted})
    return replace(asked, prompt=_prompt(body), limit=_limit(body.get("max_output_tokens")))


def _limit(given: Any) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise Refused(f"'max_output_tokens' must be a whole number from 1, got {given!r:.60}.", "max_output_tokens")
    return None if given is None else int(given)


def _prompt(body: Mapping[str, Any]) -> tuple[Message, ...]:
    given, first = body.get("input"), body.get("instructions")
    if first is not None and not isinstance(first, str):
        raise Refused("'instructions' must be a text.", "instructions")
    if isinstance(given, str) and given:
        given = [{"role": "user", "content": given}]
    for n, item in enumerate(given if isinstance(given, list) else ()):
        kind = item.get("type", "message") if isinstance(item, Mapping) else "message"
        if kind != "message":
            raise Refused(f"input[{n}].type must be 'message', got {kind!r:.60}: this model reads text alone.", "input")
    head = (Message("system", first),) if first else ()
    return head + prompt_of(given, "input", _TEXTS)


def response_json(talk: Conversation, head: Mapping[str, Any]) -> dict[str, Any]:
    """The finished reply. head: its id, time and model, as a chat completion has them."""
    choice = talk.choices[0]
    cut = choice.ended == "length"
    state = "incomplete" if cut else "completed"
    part = {"type": "output_text", "text": choice.telling.text, "annotations": [], "logprobs": choice.entries}
    message = {"type": "message", "id": f"msg_{secrets.token_hex(12)}", "role": "assistant", "status": state}
    used = talk.usage
    return {
        "id": f"resp_{secrets.token_hex(12)}",
        "object": "response",
        "created_at": head["created"],
        "model": head["model"],
        "status": state,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "output": [{**message, "content": [part]}],
        "usage": {
            "input_tokens": used["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": used["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used["total_tokens"],
        },
        "temperature": talk.asked.temperature,
        "top_p": talk.asked.top_p,
        "max_output_tokens": talk.asked.limit,
        # What a client may expect to find, though nothing here could differ.
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "truncation": "disabled",
    }
