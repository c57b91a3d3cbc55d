"""The pocket language model: the Qwen3 architecture in plain torch, for sampling and training by groups.

Why our own forward pass, when transformers has one: a GRPO step has G replies for each prompt, and both sampling
and the update can compute the prompt once for all of them. That needs attention over two key sets, the prompt's
(shared by the group) and the reply's own. The weights are read from and written to an ordinary Hugging Face
checkpoint, and the logits agree with transformers' to 1e-4 (tests/test_model.py).

Axes: _U unique prompts, _G replies of one prompt, _P prompt tokens, _T reply tokens, _L any tokens, _D width,
_H query heads, _K key heads, _E head width, _V vocabulary. Prompts and replies are padded on the right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gamekeeper.errors import DataError

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class _Bf16Product(torch.autograd.Function):
    """x @ w.T with both factors rounded to bf16, in the backward products too; sums and results in fp32.

    Why not torch.autocast: it would also round what lies between the products (norms, residual sums, attention
    weights), and it casts more often than there are products.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x16, w16 = x.flatten(0, -2).bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x16, w16)
        ctx.shape = x.shape
        return torch.mm(x16, w16.t()).float().view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x16, w16 = ctx.saved_tensors
        g16 = gradients[0].flatten(0, -2).bfloat16()
        return torch.mm(g16, w16).float().view(ctx.shape), torch.mm(g16.t(), x16).float()


class Linear(nn.Module):
    """A matrix without bias; `bf16` says in which precision its products are taken. Weights stay in fp32."""

    def __init__(self, wide_in: int, wide_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(wide_out, wide_in))
        self.bf16 = False

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bf16)


def product(x: Tensor, weight: Tensor, bf16: bool) -> Tensor:
    """(..., in) times (out, in) -> (..., out), in fp32 or with bf16 factors."""
    return _Bf16Product.apply(x, weight) if bf16 else F.linear(x, weight)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of a Qwen3 model with tied embeddings."""

    vocab: int = 1024
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 32
    ffn: int = 384
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    max_positions: int = 512

    def to_hf(self, eos: int, pad: int) -> dict[str, Any]:
        """As a Hugging Face `config.json`."""
        return {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "vocab_size": self.vocab,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "intermediate_size": self.ffn,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "max_position_embeddings": self.max_positions,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "use_cache": True,
            "bos_token_id": None,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "dtype": "float32",
        }

    @classmethod
    def from_hf(cls, data: dict[str, Any]) -> ModelConfig:
        """From `config.json`; raises DataError for an architecture that this forward pass does not compute."""
        if data.get("model_type") != "qwen3" or not data.get("tie_word_embeddings"):
            raise DataError(
                f"The native trainer reads Qwen3 checkpoints with tied embeddings, not {data.get('model_type')!r}. "
                "Use the pocket checkpoint or one that `gamekeeper pretrain` made."
            )
        rope = data.get("rope_theta") or (data.get("rope_parameters") or {}).get("rope_theta") or 10000.0
        return cls(
            vocab=data["vocab_size"],
            width=data["hidden_size"],
            layers=data["num_hidden_layers"],
            heads=data["num_attention_heads"],
            kv_heads=data["num_key_value_heads"],
            head_width=data["head_dim"],
            ffn=data["intermediate_size"],
            rope_theta=float(rope),
            norm_eps=data["rms_norm_eps"],
            max_positions=data["max_position_embeddings"],
        )


class Layer(nn.Module):
    """One transformer block. Query, key and value projections are one matrix, and so are gate and up."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = self.config = config
        self.attn_norm = nn.Parameter(torch.ones(c.width))
        self.qkv = Linear(c.width, (c.heads + 2 * c.kv_heads) * c.head_width)
        self.q_norm = nn.Parameter(torch.ones(c.head_width))
        self.k_norm = nn.Parameter(torch.ones(c.head_width))
        self.out = Linear(c.heads * c.head_width, c.width)
        self.mlp_norm = nn.Parameter(torch.ones(c.width))
        self.gate_up = Linear(c.width, 2 * c.ffn)
        self.down = Linear(c.ffn, c.width)

    def heads_of(self, x_D: Tensor, cos_E: Tensor, sin_E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (..., H, E), keys and values (..., K, E), rotated and normalised."""
        c = self.config
        mixed = self.qkv(rms_norm(x_D, self.attn_norm, c.norm_eps)).unflatten(-1, (-1, c.head_width))
        qk, v = mixed.split([c.heads + c.kv_heads, c.kv_heads], dim=-2)
        # Queries and keys are normalised and rotated in one go, each head with its own weights.
        scale = torch.cat((self.q_norm.expand(c.heads, -1), self.k_norm.expand(c.kv_heads, -1)))
        q, k = _rotate(rms_norm(qk, scale, c.norm_eps), cos_E, sin_E).split([c.heads, c.kv_heads], dim=-2)
        return q, k, v

    def feed_forward(self, x_D: Tensor) -> Tensor:
        gate, up = self.gate_up(rms_norm(x_D, self.mlp_norm, self.config.norm_eps)).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class PocketModel(nn.Module):
    """Embedding, blocks, norm; the output matrix is the embedding's. How tokens see each other is the caller's
    `attend(layer, q, k, v)`, see `policy/attention.py`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.bf16 = False
        self.norm = nn.Parameter(torch.ones(config.width))
        # Plain tensors, no buffers: they are not part of a checkpoint and the model stays on the CPU.
        self.cos, self.sin = _rope_tables(config)

    def forward(self, tokens_L: Tensor, positions_L: Tensor, attend: Attend) -> Tensor:
        """Final hidden states (..., L, D) of integer tokens (..., L); positions have the same or a broadcast shape."""
        x = self.embed(tokens_L)
        # One axis for the heads, so that the tables broadcast over queries and keys alike.
        cos, sin = self.cos[positions_L].unsqueeze(-2), self.sin[positions_L].unsqueeze(-2)
        for index, block in enumerate(self.layers()):
            q, k, v = block.heads_of(x, cos, sin)
            x = x + block.out(attend(index, q, k, v).flatten(-2))
            x = x + block.feed_forward(x)
        return rms_norm(x, self.norm, self.config.norm_eps)

    def layers(self) -> Iterator[Layer]:
        for block in self.blocks:
            assert isinstance(block, Layer)
            yield block

    def logits(self, hidden_D: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        return product(hidden_D, self.embed.weight, self.bf16)

    def use_precision(self, name: str) -> None:
        """ "fp32", or "bf16" for bf16 factors in matrix products."""
        self.bf16 = name == "bf16"
        for module in self.modules():
            if isinstance(module, Linear):
                module.bf16 = self.bf16

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights: matrices keep the scale of their input, residual outputs start small, embeddings at .05."""
        with torch.no_grad():
            for name, p in self.named_parameters():
                if "embed" in name:
                    p.normal_(0.0, 0.05, generator=generator)
                elif p.dim() > 1:
                    shrink = (2 * self.config.layers) ** -0.5 if "out." in name or "down." in name else 1.0
                    p.normal_(0.0, shrink * p.shape[1] ** -0.5, generator=generator)


class _RmsNorm(torch.autograd.Function):
    """x / rms(x) * weight over the last axis, with its gradient written out: torch has no fused kernel for the CPU,
    and its composite one passes over the data about twice as often."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, weight)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse, weight = ctx.saved_tensors
        (g,) = gradients
        product_ = g * unit
        for_weight = product_.flatten(0, -1 - weight.dim()).sum(0)
        along = product_.mul_(weight).mean(-1, keepdim=True)
        return (g * weight).addcmul_(unit, along, value=-1).mul_(inverse), for_weight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square normalisation of the last axis; `weight` has the shape of x's last axis or axes."""
    return _RmsNorm.apply(x, weight, eps)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding; the tables hold each angle twice, the sine's first half negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def _rope_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    half = torch.arange(0, config.head_width, 2, dtype=torch.float64) / config.head_width
    angles = torch.arange(config.max_positions, dtype=torch.float64)[:, None] / config.rope_theta**half
    cos, sin = angles.cos().float(), angles.sin().float()
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


# Reading and writing Hugging Face checkpoints


def _hf_names(config: ModelConfig) -> dict[str, list[tuple[str, int]]]:
    """Our parameter -> the Hugging Face parameters that it stacks, with their row counts."""
    q, kv = config.heads * config.head_width, config.kv_heads * config.head_width
    table = {
        "embed.weight": [("model.embed_tokens.weight", config.vocab)],
        "norm": [("model.norm.weight", config.width)],
    }
    for i in range(config.layers):
        hf, own = f"model.layers.{i}.", f"blocks.{i}."
        table |= {
            own + "attn_norm": [(hf + "input_layernorm.weight", config.width)],
            own + "qkv.weight": [(hf + f"self_attn.{n}_proj.weight", r) for n, r in (("q", q), ("k", kv), ("v", kv))],
            own + "q_norm": [(hf + "self_attn.q_norm.weight", config.head_width)],
            own + "k_norm": [(hf + "self_attn.k_norm.weight", config.head_width)],
            own + "out.weight": [(hf + "self_attn.o_proj.weight", config.width)],
            own + "mlp_norm": [(hf + "post_attention_layernorm.weight", config.width)],
            own + "gate_up.weight": [(hf + f"mlp.{n}_proj.weight", config.ffn) for n in ("gate", "up")],
            own + "down.weight": [(hf + "mlp.down_proj.weight", config.width)],
        }
    return table


def save_weights(model: PocketModel, folder: Path, eos: int, pad: int) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors` into a folder that exists."""
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for own, parts in _hf_names(model.config).items():
        pieces = state[own].float().split([rows for _, rows in parts], dim=0)
        tensors |= {name: piece.contiguous() for (name, _), piece in zip(parts, pieces, strict=True)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.config.to_hf(eos, pad), indent=2) + "\n")
    generation = {"eos_token_id": eos, "pad_token_id": pad, "do_sample": True, "temperature": 1.0}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def _inside(folder: Path) -> str:
    """Where a run's folder was given: the checkpoints in it, newest first."""
    steps = [*folder.glob("checkpoints/step-*"), *folder.glob("*/checkpoints/step-*")]  # of one run, or of both arms
    whole = [p for p in steps if p.name[5:].isdigit()]
    found = sorted(whole, key=lambda p: (p.parent, -int(p.name[5:])))
    return f" There are: {', '.join(str(p) for p in found[:4])}." if found else ""


def load_weights(folder: Path) -> PocketModel:
    """The model of a Hugging Face checkpoint folder, in fp32.

    Raises DataError when files are missing or broken, or hold another architecture.
    """
    try:
        config = ModelConfig.from_hf(json.loads((folder / "config.json").read_text()))
        tensors = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} is no checkpoint: {error.filename} is missing. Give a folder with config.json, "
            f"model.safetensors and tokenizer.json, or `pocket`.{_inside(folder)}"
        ) from None
    except DataError:
        raise
    except Exception as error:  # a damaged file fails in the reader's own ways
        raise DataError(f"The checkpoint {folder} cannot be read: {error}. Copy it again or make it anew.") from error
    model = PocketModel(config)
    state = {}
    for own, parts in _hf_names(config).items():
        missing = [name for name, _ in parts if name not in tensors]
        if missing:
            raise DataError(f"The checkpoint {folder} lacks the tensor {missing[0]!r}: it is no complete Qwen3 model.")
        state[own] = torch.cat([tensors[name].float() for name, _ in parts], dim=0)
    model.load_state_dict(state, strict=True)
    return model
