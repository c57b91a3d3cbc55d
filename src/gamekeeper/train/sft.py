"""Supervised fine-tuning of a pocket model on conversations: the pretrainer's loss, from a checkpoint, by AdamW.

The loss falls on the assistant's words alone and every one of them counts the same (the pretrainer weighs a reply by
its root length, so that long ones do not drown the short; here all replies come from one game). Each epoch sees all
documents once, in an order of its own. Everything is drawn by address, so that equal calls give equal weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from gamekeeper.config import SftConfig
from gamekeeper.errors import UsageError
from gamekeeper.policy.pocket import PocketPolicy
from gamekeeper.seeds import rng
from gamekeeper.train.compute import check_finite
from gamekeeper.train.pretrain import Document, batches_of, encode_document, next_token_loss, padded
from gamekeeper.types import Message


def documents_of(policy: PocketPolicy, conversations: Sequence[Sequence[Message]]) -> list[Document]:
    """Conversations as token ids and weights (1 on the words of the assistant, else 0); those too long are left out."""
    room = policy.model.config.max_positions
    made = [_plain(encode_document(policy.tokenizer, c, 0.0)) for c in conversations]
    return [document for document in made if len(document[0]) <= room]


def _plain(document: Document) -> Document:
    ids, weights = document
    return ids, [1.0 if w > 0 else 0.0 for w in weights]


def epoch_batches(documents: Sequence[Document], config: SftConfig, seed: int, epoch: int) -> list[list[Document]]:
    """The batches of one epoch: documents of like length together, ties and batches in an order of the epoch's own."""
    ordered = list(documents)
    draw = rng("sft", seed, epoch)
    draw.shuffle(ordered)
    batches = [b for b in batches_of(ordered, config.tokens_per_batch) if b]
    draw.shuffle(batches)
    return batches


def fine_tune(
    policy: PocketPolicy, documents: Sequence[Document], config: SftConfig, seed: int
) -> Iterator[tuple[int, int, float]]:
    """Train in place; yields (steps done, steps in all, loss in nats a token) after each step.

    The step size warms up and then falls linearly to 0. Raises UsageError without documents.
    """
    if not documents:
        raise UsageError("There is nothing to learn from: no document is left. Ask for more samples.")
    epochs = [epoch_batches(documents, config, seed, epoch) for epoch in range(config.epochs)]
    batches = [batch for epoch in epochs for batch in epoch]
    model = policy.model
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * rate_share(config, step, len(batches))
        optimiser.zero_grad(set_to_none=True)
        loss = next_token_loss(model, *padded(batch, policy.tokenizer.pad))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimiser.step()
        yield step + 1, len(batches), check_finite("the loss", loss.item())


def rate_share(config: SftConfig, step: int, steps: int) -> float:
    """Share of the peak step size: a linear warm-up (at most half of the steps), then linearly down to 0."""
    warm = min(config.warmup_steps, steps // 2)
    if step < warm:
        return (step + 1) / (warm + 1)
    return (steps - step) / max(1, steps - warm)
