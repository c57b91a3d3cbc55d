"""Group-relative advantages, as GRPO defines them.

Axes: _U groups, _G rollouts of one group.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-4


def group_advantages(rewards_U_G: Tensor, known_U_G: Tensor | None = None) -> Tensor:
    """(r - mean) / (std + 1e-4) within each group, std with Bessel's correction (n - 1), as in TRL and verl.

    known_U_G: False where the grader failed; such a rollout gets 0 and does not enter its group's mean and std.
    A group with fewer than two known rewards, or with equal ones, is all zeros. Shape (U, G) in and out.
    """
    known = torch.ones_like(rewards_U_G) if known_U_G is None else known_U_G.to(rewards_U_G)
    count_U = known.sum(1, keepdim=True)
    mean_U = (rewards_U_G * known).sum(1, keepdim=True) / count_U.clamp(min=1)
    centred = (rewards_U_G - mean_U) * known
    # Equal rewards leave rounding dust that the division would blow up.
    centred = torch.where(flat_groups(rewards_U_G, known)[:, None], torch.zeros_like(centred), centred)
    variance_U = centred.square().sum(1, keepdim=True) / (count_U - 1).clamp(min=1)
    return centred / (variance_U.sqrt() + EPSILON)


def flat_groups(rewards_U_G: Tensor, known_U_G: Tensor) -> Tensor:
    """(U,) True where all known rewards of a group are equal: it gives no gradient."""
    known = known_U_G.bool()
    low = rewards_U_G.masked_fill(~known, float("inf")).amin(1)
    high = rewards_U_G.masked_fill(~known, float("-inf")).amax(1)
    return low >= high
