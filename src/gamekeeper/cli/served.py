"""Options of a model behind an OpenAI-compatible server, and the policy that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console
from gamekeeper.cli.progress import Meter
from gamekeeper.errors import UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame
    from gamekeeper.policy.endpoint import EndpointPolicy, PolicySettings


@dataclass(frozen=True)
class Served:
    """What the options say of a served model. They belong to a URL."""

    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="pocket, the directory of a checkpoint, script:NAME (honest, exploit, null), or the http(s) URL of an "
            "OpenAI-compatible server. Its key: GAMEKEEPER_MODEL_KEY.",
        ),
    ]
    model_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Server: the model. Default: the only one there.", show_default=False),
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Server: most new tokens of a reply. Default: 1024.", show_default=False),
    ] = None
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="Server: requests at once. Default: 16.", show_default=False)
    ] = None
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Server: for one reply. Default: 300.", show_default=False)
    ] = None
    body: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Server: fields to set in each request; null leaves one out, e.g. '{\"max_tokens\": null}'.",
            show_default=False,
        ),
    ] = None

    def __post_init__(self) -> None:
        given = [f.name for f in fields(self)[1:] if getattr(self, f.name) is not None]
        if given and not self.is_one:
            raise UsageError(
                f"--{given[0].replace('_', '-')} belongs to a model on a server, but --model is {self.model!r}. "
                "Leave it out, or give a URL such as http://localhost:8000/v1."
            )
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"--timeout must be above 0 seconds, got {self.timeout}.")

    @property
    def is_one(self) -> bool:
        from gamekeeper.policy.endpoint import is_url

        return is_url(self.model)

    @cached_property
    def settings(self) -> PolicySettings:
        """Asks the server for its model if none was named."""
        from gamekeeper.policy.endpoint import settings_of

        body = _object(self.body)
        more = {"max_tokens": self.max_tokens, "concurrency": self.concurrency, "timeout_s": self.timeout}
        return settings_of(self.model, self.model_name, body=body, **more)

    def described(self) -> dict[str, Any]:
        """What an evaluation's result says of the server, and what tells one evaluation from another."""
        if not self.is_one:
            return {}
        about = {"model_name": self.settings.model, "max_tokens": self.settings.max_tokens}
        return {**about, "body": dict(self.settings.body)} if self.settings.body else about

    @contextmanager
    def policy(self, out: Path | None, game: BaseGame, config: Any, meter: Meter) -> Iterator[Any]:
        """The policy to measure: the model's name itself where it is none of a server."""
        if not self.is_one:
            yield self.model
            return
        from gamekeeper.policy.endpoint import EndpointPolicy, ReplyJournal

        journal = None if out is None else ReplyJournal(out.with_name(f".{out.name}.replies"))
        policy = EndpointPolicy(self.settings, journal)
        share = 1 / (config.samples * len(game.reply_tokens))  # of an item, for the bar; an episode may end early
        policy.heard = lambda: meter.to(meter.at + share)
        meter.total = None if game.level == "paper" else config.items
        try:
            yield policy
        finally:
            policy.close()
            _say(policy)
        if journal is not None:
            journal.path.unlink(missing_ok=True)


def _say(policy: EndpointPolicy) -> None:
    used = policy.used
    tokens = f", {used.tokens_in} tokens in and {used.tokens_out} out" if used.tokens_in or used.tokens_out else ""
    console.say(f"{policy.server.name}: {used.replies} replies{tokens}")
    if used.truncated:
        limit = policy.settings.max_tokens
        console.say(f"{used.truncated} of them were cut off at {limit} tokens; --max-tokens N allows more")


def _object(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"--body must be a JSON object such as '{{\"max_tokens\": null}}', got {text[:80]!r}.")
    return value
