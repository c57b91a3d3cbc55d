"""The clipped policy-gradient loss over replies that share prompts, and its log-probabilities.

`branch_logps` computes each distinct prompt once for all of its replies; the result equals running every
(prompt, reply) pair alone (tests/test_loss.py), at a fraction of the work.

Axes: _U unique prompts, _G replies of one prompt, _N = U*G, _P prompt tokens, _T reply tokens, _M trained tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gamekeeper.policy.attention import BranchAttention, PromptAttention
from gamekeeper.policy.model import PocketModel
from gamekeeper.policy.sampler import pad_right


@dataclass(frozen=True, slots=True)
class Branches:
    """Replies of some prompts, all with equally many; `replies` group by group."""

    prompts: Sequence[Sequence[int]]
    replies: Sequence[Sequence[int]]

    @property
    def group(self) -> int:
        return len(self.replies) // len(self.prompts)


def branch_logps(model: PocketModel, branches: Branches, temperature: float) -> Tensor:
    """log pi(token | before) of every reply token, reply after reply, shape (M,)."""
    prompts_U_P, lengths_U = pad_right(branches.prompts, 0)
    replies_N_T, sizes_N = pad_right(branches.replies, 0)
    width = replies_N_T.shape[1]
    reader = PromptAttention()
    hidden_U_P = model(prompts_U_P, torch.arange(prompts_U_P.shape[1])[None], reader)
    first_N = hidden_U_P[torch.arange(len(lengths_U)), lengths_U - 1].repeat_interleave(branches.group, 0)
    seen = first_N[:, None]
    if width > 1:
        positions = lengths_U.repeat_interleave(branches.group)[:, None] + torch.arange(width - 1)
        attend = BranchAttention(reader.kept, lengths_U, branches.group)
        seen = torch.cat((seen, model(replies_N_T[:, :-1], positions, attend)), dim=1)
    real_N_T = torch.arange(width) < sizes_N[:, None]
    logits_M_V = model.logits(seen[real_N_T]) / temperature
    chosen_M = logits_M_V.gather(1, replies_N_T[real_N_T][:, None]).squeeze(1)
    return chosen_M - logits_M_V.logsumexp(1)


def clipped_objective(logps_M: Tensor, old_M: Tensor, advantages_M: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """PPO's pessimistic objective min(r A, clip(r) A) of each token, and whether the clip bites; both (M,)."""
    ratio = (logps_M - old_M).exp()
    plain, bounded = ratio * advantages_M, ratio.clamp(1 - clip, 1 + clip) * advantages_M
    return torch.minimum(plain, bounded), bounded < plain


def k3(logps_M: Tensor, reference_M: Tensor) -> Tensor:
    """Schulman's estimate of KL(pi || reference) at each token: e^d - d - 1, d = log reference - log pi; (M,)."""
    d = reference_M - logps_M
    return d.exp() - d - 1
