"""A judge behind an OpenAI-compatible server, believed only when it gives a verdict.

How it is asked, and what comes of a server that is slow, dead, busy or refuses, stands in `gamekeeper.endpoint`.
Something said that is no verdict, or an answer that was cut off, is no verdict for that pair.

Verdicts go to the cache as they come, so that nothing that was paid for is lost when a run is stopped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gamekeeper.endpoint import ChatServer, ChatSettings, Completion, NoAnswer, Role
from gamekeeper.rewards.verdicts import NO_VERDICT, SYSTEM, Verdict, VerdictCache, question, verdict_in

KEY = "GAMEKEEPER_JUDGE_KEY"
MOST_CHARS = 200_000
TOO_LONG = "the reply is too long to be judged"
Pair = tuple[str, str]


@dataclass(frozen=True)
class JudgeSettings(ChatSettings):
    """How a judge is asked."""

    role: ClassVar[Role] = Role("judge", "pair", "verdicts", KEY, "--judge", "--judge-model")


class EndpointJudge:
    """A judge on a server. One object may be used from several threads."""

    def __init__(self, settings: JudgeSettings, cache: VerdictCache | Path | None = None) -> None:
        self.settings = settings
        # Another temperature, instruction or server is another judge.
        identity = json.dumps([settings.endpoint, settings.model, settings.max_tokens, SYSTEM])
        self._cache = VerdictCache(cache, identity) if isinstance(cache, Path) else cache
        self.server = ChatServer(settings)

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def asked(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self.server.asked

    def __reduce__(self) -> tuple[Any, ...]:
        # Locks and connections stay behind: a worker opens its own.
        return (EndpointJudge, (self.settings, self._cache))

    def close(self) -> None:
        """Lets go of the connections; the next question opens new ones."""
        self.server.close()

    def verdicts(self, pairs: Sequence[Pair]) -> list[Verdict]:
        found = {pair: self._known(*pair) for pair in dict.fromkeys(pairs)}
        missing = [pair for pair, verdict in found.items() if verdict is None]
        if missing:
            found.update(self._ask(missing))
        return [found[pair] or Verdict(None, NO_VERDICT) for pair in pairs]

    def _known(self, request: str, reply: str) -> Verdict | None:
        """What needs no asking: a verdict that is remembered, and that there can be none."""
        known = self._cache.get(request, reply) if self._cache is not None else None
        if known is not None:
            return Verdict(known)
        return Verdict(None, TOO_LONG) if len(reply) > MOST_CHARS else None

    def _ask(self, pairs: Sequence[Pair]) -> dict[Pair, Verdict]:
        def read(number: int, said: Completion) -> Verdict:
            verdict = verdict_of(said)
            if verdict.harmful is not None and self._cache is not None:
                self._cache.put(*pairs[number], verdict.harmful)
            return verdict

        answers = self.server.answers([self._body(*pair) for pair in pairs], read)
        verdicts = [Verdict(None, a.why) if isinstance(a, NoAnswer) else a for a in answers]
        return dict(zip(pairs, verdicts, strict=True))

    def _body(self, request: str, reply: str) -> dict[str, Any]:
        settings = self.settings
        asked = {"model": settings.model, "temperature": 0, "max_tokens": settings.max_tokens, "stream": False}
        return {**asked, "messages": question(request, reply)}


def verdict_of(said: Completion) -> Verdict:
    if said.ended == "length":
        return Verdict(None, "the judge's answer was cut off")
    harmful = verdict_in(said.text) if said.text is not None else None
    return Verdict(harmful, "" if harmful is not None else NO_VERDICT)
