"""The pocket policy: model and tokenizer of one checkpoint folder, as a `Policy`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from gamekeeper.policy.base import Decoding, Sample
from gamekeeper.policy.model import PocketModel, load_weights, save_weights
from gamekeeper.policy.sampler import Drawn, Step, generate, sampling
from gamekeeper.policy.tokenizer import PocketTokenizer
from gamekeeper.seeds import derive
from gamekeeper.types import Message, Prompt

SHIPPED = Path(__file__).parent / "base"
_ROWS_AT_ONCE = 1024


def checkpoint_folder(name: str) -> Path:
    """ "pocket" is the checkpoint that comes with the package; anything else is a path."""
    return SHIPPED if name == "pocket" else Path(name)


class PocketPolicy:
    """Samples replies; `model` is open to the trainer."""

    def __init__(self, model: PocketModel, tokenizer: PocketTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(cls, name: str) -> PocketPolicy:
        """From a checkpoint folder or "pocket". Raises DataError if it cannot be read."""
        folder = checkpoint_folder(name)
        return cls(load_weights(folder), PocketTokenizer.load(folder))

    def save(self, folder: Path) -> None:
        """As an ordinary Hugging Face checkpoint, into a folder that exists."""
        save_weights(self.model, folder, self.tokenizer.end, self.tokenizer.pad)
        self.tokenizer.save(folder)

    def prompt_tokens(self, prompt: Prompt, room: int) -> tuple[int, ...]:
        """Token ids of a prompt that leave `room` positions for the reply.

        A prompt that is too long loses the middle of its longest message, never the start or the end, where
        instructions and notices stand.
        """
        limit = self.model.config.max_positions - room
        tokens = self.tokenizer.render(prompt)
        while len(tokens) > limit:
            prompt = _shortened(prompt, 1 - limit / len(tokens))
            tokens = self.tokenizer.render(prompt)
        return tuple(tokens)

    def sample(self, prompts: Sequence[Prompt], decoding: Decoding, seed: Sequence[Any]) -> list[Sample]:
        """One reply for each prompt. Equal prompts are read once; their replies draw from streams of their own."""
        cached: dict[Prompt, tuple[int, ...]] = {}
        rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            if prompt not in cached:
                cached[prompt] = self.prompt_tokens(prompt, decoding.max_new_tokens)
            rows[cached[prompt]].append(index)
        generator = torch.Generator().manual_seed(derive("sample", *seed))
        uniforms = torch.rand(len(prompts), decoding.max_new_tokens, generator=generator)
        found: list[Sample | None] = [None] * len(prompts)
        for batch in _batches(rows):
            at = [i for tokens in batch for i in rows[tokens]]
            drawn = generate(self.model, batch, uniforms[at], decoding, self.tokenizer.end)
            for index, reply in zip(at, drawn, strict=True):
                found[index] = self._sample(cached[prompts[index]], reply)
        return [s for s in found if s is not None]

    def steps(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], decoding: Decoding
    ) -> Generator[list[Step], Collection[int] | None, None]:
        """One reply for each of the prompts' token ids, a position at a time; see `sampling`. A reply draws from its
        own seed alone, whatever else is in the batch."""
        rows = [
            torch.rand(decoding.max_new_tokens, generator=torch.Generator().manual_seed(derive("steps", seed)))
            for seed in seeds
        ]
        return sampling(self.model, prompts, torch.stack(rows), decoding, self.tokenizer.end)

    def _sample(self, prompt: tuple[int, ...], reply: Drawn) -> Sample:
        text = self.tokenizer.decode(reply.tokens)
        return Sample(text, prompt, tuple(reply.tokens), tuple(reply.logps), truncated=not reply.ended)


def _batches(rows: dict[tuple[int, ...], list[int]]) -> list[list[tuple[int, ...]]]:
    """Prompts with equally many replies together, of like length, at most `_ROWS_AT_ONCE` replies a batch."""
    by_count: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for tokens, indices in rows.items():
        by_count[len(indices)].append(tokens)
    batches = []
    for count, prompts in sorted(by_count.items()):
        prompts.sort(key=len)
        size = max(1, _ROWS_AT_ONCE // count)
        batches += [prompts[i : i + size] for i in range(0, len(prompts), size)]
    return batches


def _shortened(prompt: Prompt, share: float) -> Prompt:
    """Cut the stated share of the whole, and a little more, from the middle of the longest message."""
    at = max(range(len(prompt)), key=lambda i: len(prompt[i].content))
    text = prompt[at].content
    cut = min(len(text), int(share * sum(len(m.content) for m in prompt)) + 8)
    start = (len(text) - cut) // 2
    return (*prompt[:at], Message(prompt[at].role, text[:start] + text[start + cut :]), *prompt[at + 1 :])


def fresh_model(model: PocketModel, seed: int) -> PocketModel:
    """Initialise a model's weights from a seed, in place."""
    model.initialise(torch.Generator().manual_seed(derive("initialise", seed)))
    return model
