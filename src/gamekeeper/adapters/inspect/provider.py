"""The pocket model as an Inspect provider: `--model gamekeeper/pocket`, or `gamekeeper/DIR` for a checkpoint's folder.

It runs in the process of Inspect, without a server; what is asked for at about the same time is sampled together.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from gamekeeper.errors import UsageError
from gamekeeper.policy.base import Decoding
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.seeds import derive
from gamekeeper.serving.batches import Batcher, Reply, Telling, pass_on
from gamekeeper.types import Message


@modelapi(name="gamekeeper")
def gamekeeper() -> type[ModelAPI]:
    """The provider's name in Inspect."""
    return PocketAPI


class PocketAPI(ModelAPI):
    """One pocket checkpoint. The last part of the model's name is "pocket" or a folder."""

    is_pocket = True

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as in the base class
        **given: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if given:
            raise UsageError(f"A pocket model takes no model arguments, got: {', '.join(sorted(given))}.")
        self.batcher = Batcher(PocketPolicy.load(model_name))
        self._asked: Counter[Any] = Counter()

    def close(self) -> None:
        self.batcher.close()

    def max_connections(self) -> int:
        return 128  # they are sampled together

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        if tools:
            raise UsageError("A pocket model cannot use tools.")
        if config.num_choices not in (None, 1) or config.stop_seqs or config.top_logprobs:
            raise UsageError("A pocket model gives one choice, without stop texts or alternatives to its tokens.")
        prompt = self.batcher.render(tuple(Message(m.role, m.text) for m in input))
        room = self.batcher.context - len(prompt)
        if room < 1:
            return ModelOutput.from_content(self.model_name, "", "model_length")
        return await self._replied(prompt, min(room, config.max_tokens or room), config)

    async def _replied(self, prompt: tuple[int, ...], limit: int, config: GenerateConfig) -> ModelOutput:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        telling, entries = Telling(self.batcher.policy.tokenizer), list[Logprob]()
        count = 0

        def hear(token: int | None, logp: float, last: str | None) -> None:  # on the sampling thread
            nonlocal count
            count += 1
            telling.add(token, last is not None)
            if token is not None:
                text = self.batcher.policy.tokenizer.decode([token])
                entries.append(Logprob(token=text, logprob=logp, bytes=list(text.encode())))
            if last is not None:
                pass_on(loop, reply, _end, done, last)

        def fail(error: Exception) -> None:
            pass_on(loop, reply, _end, done, error)

        reply = Reply(prompt, self._seed(prompt, config.seed), limit, _style(config), hear, fail)
        self.batcher.ask([reply])
        try:
            ended = await done
        finally:
            reply.unwanted = True
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=telling.text, model=self.model_name, source="generate"),
            stop_reason="stop" if ended == "stop" else "max_tokens",
            logprobs=Logprobs(content=entries) if config.logprobs else None,
        )
        usage = ModelUsage(input_tokens=len(prompt), output_tokens=count, total_tokens=len(prompt) + count)
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage)

    def _seed(self, prompt: tuple[int, ...], seed: int | None) -> int:
        """Equal prompts (of several epochs, say) get independent replies, whatever the seed."""
        if seed is None:
            return secrets.randbits(62)
        self._asked[seed, prompt] += 1
        return derive("inspect", seed, prompt, self._asked[seed, prompt])


def _end(done: asyncio.Future[str], how: str | Exception) -> None:
    """Nobody may be waiting any more."""
    if done.done():
        return
    if isinstance(how, Exception):
        done.set_exception(how)
    else:
        done.set_result(how)


def _style(config: GenerateConfig) -> Decoding:
    temperature = 1.0 if config.temperature is None else config.temperature
    return Decoding(1, temperature, 1.0 if config.top_p is None else config.top_p, config.top_k or 0)
