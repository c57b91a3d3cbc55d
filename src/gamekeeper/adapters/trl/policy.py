"""Replies by a transformers model that is in memory: the policy that measurements before and after training ask.

Slower than a server, and always at hand: it samples from the very weights that are being trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig

from gamekeeper.adapters.trl.rows import no_room, prompt_ids
from gamekeeper.policy.base import Decoding, Sample
from gamekeeper.seeds import derive
from gamekeeper.types import Prompt


class TransformersPolicy:
    """A `Policy` on a model and its tokenizer.

    chat: keyword arguments of the chat template. The `Decoding` alone says how tokens are drawn: what the model's files
    recommend besides (a penalty on repetition, say) is not applied, as it is not when TRL samples for training.
    Sampling leaves torch's random state as it found it, so that measuring does not change training.
    """

    def __init__(self, model: Any, tokenizer: Any, rows: int = 64, chat: Mapping[str, Any] | None = None) -> None:
        self.model, self.tokenizer, self.rows, self.chat = model, tokenizer, rows, dict(chat or {})
        self.ends = end_ids(model, tokenizer)

    def sample(self, prompts: Sequence[Prompt], decoding: Decoding, seed: Sequence[Any]) -> list[Sample]:
        """One reply for each prompt, `rows` at a time, prompts of like length together.

        A prompt that leaves no room for its reply is not asked, and its sample says so.
        """
        ids = [prompt_ids(self.tokenizer, p, self.chat) for p in prompts]
        positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        reasons = [no_room(len(row), decoding.max_new_tokens, positions) for row in ids]
        found = {i: Sample("", tuple(ids[i]), failed=why) for i, why in enumerate(reasons) if why is not None}
        order = sorted((i for i in range(len(ids)) if i not in found), key=lambda i: len(ids[i]))
        with _measuring(self.model):
            for start in range(0, len(order), self.rows):
                at = order[start : start + self.rows]
                torch.manual_seed(derive("sample", *seed, start))
                for index, reply in zip(at, self._generate([ids[i] for i in at], decoding), strict=True):
                    found[index] = self._sample(ids[index], reply)
        return [found[i] for i in range(len(ids))]

    def _sample(self, prompt: list[int], reply: list[int]) -> Sample:
        text = self.tokenizer.decode(reply, skip_special_tokens=True)
        return Sample(text, tuple(prompt), tuple(reply), truncated=not reply or reply[-1] not in self.ends)

    def _generate(self, ids: list[list[int]], decoding: Decoding) -> list[list[int]]:
        """Replies of one batch, each cut after its first end token."""
        longest = max(map(len, ids))
        pad = self.tokenizer.pad_token_id
        rows = torch.tensor([[pad] * (longest - len(row)) + row for row in ids], device=self.model.device)
        seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=self.model.device)
        made = self.model.generate(
            input_ids=rows, attention_mask=seen, max_new_tokens=decoding.max_new_tokens, **self._how(decoding)
        )
        return [self._cut(row) for row in made[:, longest:].tolist()]

    def _how(self, decoding: Decoding) -> dict[str, Any]:
        common = {"pad_token_id": self.tokenizer.pad_token_id, "eos_token_id": sorted(self.ends), "use_cache": True}
        if decoding.temperature == 0:
            return {**common, "do_sample": False}
        drawn = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": decoding.top_k}
        return {**common, "do_sample": True, **drawn}

    def _cut(self, reply: list[int]) -> list[int]:
        first = next((n for n, token in enumerate(reply) if token in self.ends), len(reply) - 1)
        return reply[: first + 1]


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a reply: the tokenizer's and those that the model declares."""
    declared = getattr(model.generation_config, "eos_token_id", None)
    several = declared if isinstance(declared, list) else [declared]
    return {i for i in (tokenizer.eos_token_id, *several) if i is not None}


@contextmanager
def _measuring(model: Any) -> Iterator[None]:
    """No gradients, no dropout, nothing of the model's own generation settings; afterwards these, and the random state,
    as before."""
    training = model.training
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    # A model with adapters hands its settings to the one below; either would fill in what a call leaves open.
    holders = [model, model.get_base_model()] if hasattr(model, "get_base_model") else [model]
    declared = [holder.generation_config for holder in holders]
    model.eval()
    try:
        for holder in holders:
            holder.generation_config = GenerationConfig()
        with torch.no_grad(), torch.random.fork_rng(devices):
            yield
    finally:
        for holder, own in zip(holders, declared, strict=True):
            holder.generation_config = own
        model.train(training)
