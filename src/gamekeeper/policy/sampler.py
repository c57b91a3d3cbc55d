"""Sampling many replies of few prompts: each distinct prompt is read once, its replies share its keys and values.

A prompt whose replies have all ended leaves the batch. Randomness is one uniform number for each (reply, position),
fixed before sampling starts, so that what leaves the batch when does not change anybody's draw.

Axes: _U unique prompts, _N replies (U*G, group by group), _P prompt tokens, _V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from gamekeeper.policy.attention import PromptAttention, StepAttention
from gamekeeper.policy.base import Decoding
from gamekeeper.policy.model import PocketModel

Step: TypeAlias = tuple[int, int, float]
"""Which reply, its next token, and that token's log-probability."""


@dataclass(slots=True)
class Drawn:
    """Tokens and log-probabilities of one reply, the end token included."""

    tokens: list[int]
    logps: list[float]
    ended: bool


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """(rows, longest) tokens and the (rows,) lengths."""
    lengths = torch.tensor([len(r) for r in rows])
    table = torch.full((len(rows), int(lengths.max())), pad)
    for index, row in enumerate(rows):
        table[index, : len(row)] = torch.tensor(row)
    return table, lengths


def choose(logits_N_V: Tensor, uniforms_N: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor]:
    """Tokens by inverting the cumulative distribution, and their log-probabilities under it."""
    if decoding.temperature == 0:
        best = logits_N_V.argmax(-1)
        return best, torch.zeros(len(best))
    logp = torch.log_softmax(logits_N_V / decoding.temperature, dim=-1)
    if decoding.top_k or decoding.top_p < 1:
        logp = _narrow(logp, decoding)
    cumulative = logp.exp().cumsum(-1)
    # The sum may miss 1 by rounding; scaling keeps the draw inside the support.
    targets = (uniforms_N * cumulative[:, -1]).unsqueeze(-1)
    tokens = torch.searchsorted(cumulative, targets, right=True).clamp_(max=logp.shape[-1] - 1)
    return tokens.squeeze(-1), logp.gather(-1, tokens).squeeze(-1)


def _narrow(logp: Tensor, decoding: Decoding) -> Tensor:
    """Keep the top k, then the smallest set that reaches top p; renormalised."""
    ranked, order = logp.sort(-1, descending=True)
    drop = torch.zeros_like(ranked, dtype=torch.bool)
    if decoding.top_k:
        drop[:, decoding.top_k :] = True
    ranked = ranked.masked_fill(drop, float("-inf")).log_softmax(-1)
    before = ranked.exp().cumsum(-1) - ranked.exp()
    ranked = ranked.masked_fill(before >= decoding.top_p, float("-inf")).log_softmax(-1)
    return torch.full_like(logp, float("-inf")).scatter(-1, order, ranked)


def generate(
    model: PocketModel, prompts: Sequence[Sequence[int]], uniforms_N_T: Tensor, decoding: Decoding, end: int
) -> list[Drawn]:
    """N = U * G replies, those of prompt 0 first. uniforms_N_T: (N, max_new_tokens) in [0, 1)."""
    drawn = [Drawn([], [], False) for _ in range(len(uniforms_N_T))]
    for step in sampling(model, prompts, uniforms_N_T, decoding, end):
        for reply, token, logp in step:
            drawn[reply].tokens.append(token)
            drawn[reply].logps.append(logp)
            drawn[reply].ended = token == end
    return drawn


@torch.no_grad()
def sampling(
    model: PocketModel, prompts: Sequence[Sequence[int]], uniforms_N_T: Tensor, decoding: Decoding, end: int
) -> Generator[list[Step], Collection[int] | None, None]:
    """The same, one position at a time: the new token of each reply that goes on.

    A caller may stop at any time, or `send` the numbers of replies that need not go on.
    """
    group = len(uniforms_N_T) // len(prompts)
    tokens_U_P, lengths_U = pad_right(prompts, 0)
    reader = PromptAttention()
    hidden = model(tokens_U_P, torch.arange(tokens_U_P.shape[1])[None], reader)
    last_U = hidden[torch.arange(len(prompts)), lengths_U - 1]
    logits = model.logits(last_U).repeat_interleave(group, 0)
    cache = StepAttention(reader.kept, lengths_U, group, decoding.max_new_tokens)
    here_N = torch.arange(len(uniforms_N_T))  # which reply each row of the batch is
    positions_N = lengths_U.repeat_interleave(group)
    alive_N = torch.ones(len(uniforms_N_T), dtype=torch.bool)
    for t in range(decoding.max_new_tokens):
        tokens_N, logps_N = choose(logits, uniforms_N_T[here_N, t], decoding)
        rows = alive_N.nonzero().squeeze(1)
        unwanted = yield list(zip(here_N[rows].tolist(), tokens_N[rows].tolist(), logps_N[rows].tolist(), strict=True))
        alive_N &= tokens_N != end
        if unwanted:
            alive_N &= ~torch.isin(here_N, torch.tensor(list(unwanted)))
        if t + 1 == decoding.max_new_tokens or not alive_N.any():
            break
        open_U = alive_N.view(-1, group).any(1)
        if int(open_U.sum()) <= 0.8 * len(open_U):
            rows_U = open_U.nonzero().squeeze(1)
            cache.keep(rows_U)
            keep_N = open_U.repeat_interleave(group)
            here_N, alive_N, positions_N, tokens_N = (x[keep_N] for x in (here_N, alive_N, positions_N, tokens_N))
        cache.time = t
        at_N = (positions_N + t).clamp_(max=model.config.max_positions - 1)  # of replies that have ended, too
        logits = model.logits(model(tokens_N[:, None], at_N[:, None], cache)[:, 0])
