"""Three ways in which tokens see each other, for `PocketModel.forward`.

`PromptAttention` reads prompts and keeps their keys and values; `BranchAttention` runs G replies of each prompt over
those keys, all reply tokens at once (training); `StepAttention` does the same one token at a time (sampling).
Queries of the heads that share a key head are folded into the query axis, so no key is ever copied.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCKED = float("-inf")


def _fold(q: Tensor, kv_heads: int) -> Tensor:
    """(U, L, H, E) -> (U, K, L*R, E), R = H / K query heads to a key head."""
    u, length, heads, width = q.shape
    return q.view(u, length, kv_heads, heads // kv_heads, width).permute(0, 2, 1, 3, 4).reshape(u, kv_heads, -1, width)


def _unfold(x: Tensor, length: int) -> Tensor:
    """(U, K, L*R, E) -> (U, L, H, E)."""
    u, kv_heads, rows, width = x.shape
    return x.view(u, kv_heads, length, rows // length, width).permute(0, 2, 1, 3, 4).reshape(u, length, -1, width)


class PromptAttention:
    """Causal attention over right-padded prompts (U, P). Padding is seen by padding only: no mask is needed for
    real positions, since they never look ahead. Keeps (keys, values) of each layer, (U, K, P, E)."""

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        self.kept.append((k, v))
        repeat = q.shape[2] // k.shape[1]
        out = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1), is_causal=True
        )
        return out.transpose(1, 2)


class BranchAttention:
    """Replies (U*G, T) over their prompts' keys (all prompt tokens) and their own (causal)."""

    def __init__(self, kept: list[tuple[Tensor, Tensor]], lengths_U: Tensor, group: int) -> None:
        self.kept, self.group = kept, group
        width = kept[0][0].shape[2]
        dead_U_P = torch.arange(width) >= lengths_U[:, None]
        self.bias_U_1_1_P = torch.zeros(dead_U_P.shape).masked_fill_(dead_U_P, _BLOCKED)[:, None, None, :]
        self._causal: Tensor | None = None

    def _own_bias(self, length: int, repeat: int) -> Tensor:
        if self._causal is None or self._causal.shape[0] != length * repeat:
            ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
            self._causal = torch.zeros(length, length).masked_fill_(ahead, _BLOCKED).repeat_interleave(repeat, 0)
        return self._causal

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys_U, values_U = self.kept[layer]
        n, length, heads, width = q.shape
        kv, u, g = k.shape[2], keys_U.shape[0], self.group
        rows = length * heads // kv
        q_n = _fold(q * width**-0.5, kv)  # (N, K, T*R, E)
        q_u = q_n.view(u, g, kv, rows, width).transpose(1, 2).reshape(u, kv, g * rows, width)
        shared = torch.matmul(q_u, keys_U.transpose(2, 3)) + self.bias_U_1_1_P  # (U, K, G*T*R, P)
        own = torch.matmul(q_n, k.permute(0, 2, 3, 1)) + self._own_bias(length, rows // length)  # (N, K, T*R, T)
        p = shared.shape[-1]
        shared_n = shared.view(u, kv, g, rows, p).transpose(1, 2).reshape(n, kv, rows, p)
        weights = torch.softmax(torch.cat((shared_n, own), dim=-1), dim=-1)
        from_own = torch.matmul(weights[..., p:], v.transpose(1, 2))
        w_u = weights[..., :p].view(u, g, kv, rows, p).transpose(1, 2).reshape(u, kv, g * rows, p)
        from_shared = torch.matmul(w_u, values_U).view(u, kv, g, rows, width).transpose(1, 2)
        return _unfold(from_own + from_shared.reshape(n, kv, rows, width), length)


class StepAttention:
    """One new token for each of N = U*G replies, over the prompt's keys and a cache of the reply's own."""

    def __init__(self, kept: list[tuple[Tensor, Tensor]], lengths_U: Tensor, group: int, room: int) -> None:
        self.kept, self.group, self.time = [(k.contiguous(), v.contiguous()) for k, v in kept], group, 0
        u, kv, p, width = kept[0][0].shape
        dead_U_P = torch.arange(p) >= lengths_U[:, None]
        self.bias = torch.zeros(dead_U_P.shape, dtype=kept[0][0].dtype).masked_fill_(dead_U_P, _BLOCKED)[:, None, None]
        shape = (u * group, kv, room, width)
        self.own = [(torch.empty(shape, dtype=k.dtype), torch.empty(shape, dtype=k.dtype)) for k, _ in kept]

    def keep(self, rows_U: Tensor) -> None:
        """Drop all prompts but these; their replies stay in order."""
        self.kept = [(k[rows_U], v[rows_U]) for k, v in self.kept]
        self.bias = self.bias[rows_U]
        rows_N = (rows_U[:, None] * self.group + torch.arange(self.group)).flatten()
        self.own = [(k[rows_N], v[rows_N]) for k, v in self.own]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys_U, values_U = self.kept[layer]
        own_k, own_v = self.own[layer]
        t = self.time
        own_k[:, :, t], own_v[:, :, t] = k[:, 0], v[:, 0]
        n, _, heads, width = q.shape
        kv, u, g = k.shape[2], keys_U.shape[0], self.group
        r, p = heads // kv, keys_U.shape[2]
        q_n = q.view(n, kv, r, width) * width**-0.5
        q_u = q_n.view(u, g, kv, r, width).transpose(1, 2).reshape(u, kv, g * r, width)
        shared = torch.matmul(q_u, keys_U.transpose(2, 3)) + self.bias
        own = torch.matmul(q_n, own_k[:, :, : t + 1].transpose(2, 3))  # (N, K, R, t+1)
        shared_n = shared.view(u, kv, g, r, p).transpose(1, 2).reshape(n, kv, r, p)
        weights = torch.softmax(torch.cat((shared_n, own), dim=-1), dim=-1)
        w_u = weights[..., :p].view(u, g, kv, r, p).transpose(1, 2).reshape(u, kv, g * r, p)
        from_shared = torch.matmul(w_u, values_U).view(u, kv, g, r, width).transpose(1, 2).reshape(n, kv, r, width)
        out = from_shared + torch.matmul(weights[..., p:], own_v[:, :, : t + 1])
        return out.reshape(n, 1, heads, width)
