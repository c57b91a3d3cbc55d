"""Next-token training of a pocket model on conversations: pretraining from scratch, and SFT from a checkpoint.

The loss falls on the assistant's words; the other messages count with a small weight, since most of what they hold
is drawn at random and cannot be predicted. Documents of like length share a batch. Everything is drawn by address
(step and seed), so that a run resumed from a checkpoint repeats bit by bit.

Axes: _B documents, _L tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gamekeeper.policy.attention import PromptAttention
from gamekeeper.policy.model import PocketModel
from gamekeeper.policy.tokenizer import END, START, PocketTokenizer
from gamekeeper.seeds import rng
from gamekeeper.train.compute import check_finite
from gamekeeper.types import Message

Document = tuple[list[int], list[float]]


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """Sizes of a next-token run. tokens_per_batch counts padding."""

    steps: int = 7000
    tokens_per_batch: int = 2048
    learning_rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup_steps: int = 100
    final_share: float = 0.02
    prompt_weight: float = 0.0
    max_grad_norm: float = 1.0
    pool_batches: int = 16


def encode_document(tokenizer: PocketTokenizer, messages: Sequence[Message], prompt_weight: float) -> Document:
    """Token ids, and the weight of predicting each of them."""
    ids: list[int] = []
    weights: list[float] = []
    for message in messages:
        head = tokenizer.encode(f"{START}{message.role}\n")
        body = tokenizer.encode(f"{message.content}{END}")
        gap = tokenizer.encode("\n")
        ids += head + body + gap
        # By its root, or one-word replies (a verdict, a sum) would drown among the long ones of the same batch.
        inside = len(body) ** -0.5 if message.role == "assistant" else prompt_weight
        weights += [prompt_weight] * len(head) + [inside] * len(body) + [0.0] * len(gap)
    return ids, weights


def batches_of(documents: Sequence[Document], tokens: int) -> list[list[Document]]:
    """Documents sorted by length, cut so that each batch holds at most `tokens` including padding."""
    ordered = sorted(documents, key=lambda d: len(d[0]))
    batches: list[list[Document]] = [[]]
    for document in ordered:
        if batches[-1] and len(document[0]) * (len(batches[-1]) + 1) > tokens:
            batches.append([])
        batches[-1].append(document)
    return batches


def padded(batch: Sequence[Document], pad: int) -> tuple[Tensor, Tensor]:
    """Tokens and weights, (B, L) each."""
    width = max(len(ids) for ids, _ in batch)
    tokens_B_L = torch.full((len(batch), width), pad)
    weights_B_L = torch.zeros(len(batch), width)
    for row, (ids, weights) in enumerate(batch):
        tokens_B_L[row, : len(ids)] = torch.tensor(ids)
        weights_B_L[row, : len(ids)] = torch.tensor(weights)
    return tokens_B_L, weights_B_L


def next_token_loss(model: PocketModel, tokens_B_L: Tensor, weights_B_L: Tensor) -> Tensor:
    """Weighted mean cross-entropy of each token given those before it, in nats."""
    hidden = model(tokens_B_L[:, :-1], torch.arange(tokens_B_L.shape[1] - 1)[None], PromptAttention())
    weights = weights_B_L[:, 1:]
    wanted = weights > 0
    losses = F.cross_entropy(model.logits(hidden[wanted]), tokens_B_L[:, 1:][wanted], reduction="none")
    return (losses * weights[wanted]).sum() / weights[wanted].sum()


def rate_share(config: PretrainConfig, step: int) -> float:
    """Share of the peak step size: linear warm-up, then a cosine down to `final_share`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    shape = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.final_share + (1 - config.final_share) * shape


class Feed:
    """Batches by step: pools of documents, sorted, cut, and shuffled by address. `documents`: how many were drawn."""

    def __init__(self, document: Callable[[int], Document], config: PretrainConfig, seed: int) -> None:
        self.document, self.config, self.seed = document, config, seed
        self._pool: list[list[Document]] = []
        self._first_step, self.documents, self._number = 0, 0, 0

    def batch(self, step: int) -> list[Document]:
        """The batch of a step; steps must not decrease from call to call."""
        while step >= self._first_step + len(self._pool):
            self._first_step += len(self._pool)
            self._fill()
        return self._pool[step - self._first_step]

    def _fill(self) -> None:
        tokens, documents = 0, []
        while tokens < self.config.tokens_per_batch * self.config.pool_batches:
            documents.append(self.document(self.documents))
            tokens += len(documents[-1][0])
            self.documents += 1
        self._pool = batches_of(documents, self.config.tokens_per_batch)
        rng("feed", self.seed, self._number).shuffle(self._pool)
        self._number += 1


class Pretrainer:
    """Model, optimisers and step counter of a next-token run.

    Hidden matrices are stepped by Muon (orthogonalised momentum), embeddings and norms by AdamW. With AdamW alone the
    model had not learnt to copy after ten times as many steps (LOG.md).
    """

    def __init__(self, model: PocketModel, config: PretrainConfig) -> None:
        self.model, self.config, self.step = model, config, 0
        matrices = [p for n, p in model.named_parameters() if p.dim() > 1 and "embed" not in n]
        others = [p for n, p in model.named_parameters() if p.dim() == 1 or "embed" in n]
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=config.matrix_rate, weight_decay=0.0),
            torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        )

    def steps(self, feed: Feed, pad: int) -> Iterator[tuple[int, float]]:
        """Run the steps that are left, in place; yields (steps done, loss in nats a weighted token)."""
        while self.step < self.config.steps:
            share = rate_share(self.config, self.step)
            for optimiser, peak in zip(
                self.optimisers, (self.config.matrix_rate, self.config.learning_rate), strict=True
            ):
                optimiser.zero_grad(set_to_none=True)
                for group in optimiser.param_groups:
                    group["lr"] = peak * share
            loss = next_token_loss(self.model, *padded(feed.batch(self.step), pad))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
            for optimiser in self.optimisers:
                optimiser.step()
            self.step += 1
            yield self.step, check_finite("the loss", loss.item())
