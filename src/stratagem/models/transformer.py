"""The Qwen2 architecture in plain PyTorch, with the parameter names of Hugging Face.

Small enough to read, and on a CPU faster than the general code: no masks where a causal one does, and a decode step
that looks at no more of the cache than is filled. A test holds it to `transformers` on the same weights.

Shapes by suffix: B rows, T tokens, D width, H query heads, K key/value heads, E head width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a Qwen2 `config.json` that this file reads."""

    vocab_size: int
    hidden_size: int = 128
    intermediate_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    max_position_embeddings: int = 512
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def config(self) -> dict[str, object]:
        """What Hugging Face reads as `config.json`."""
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            **asdict(self),
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "use_cache": True,
            "bos_token_id": None,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "dtype": "float32",
        }


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class MLP(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.up_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.down_proj = nn.Linear(s.intermediate_size, s.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding; `cos` and `sin` broadcast to x_BHTE."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Cache:
    """Keys and values of one layer, BKTE, filled up to `used`."""

    def __init__(self, rows: int, tokens: int, s: Shape, dtype: torch.dtype) -> None:
        self.k = torch.zeros(rows, s.num_key_value_heads, tokens, s.head_dim, dtype=dtype)
        self.v = torch.zeros_like(self.k)
        self.used = 0

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        end = self.used + k.shape[2]
        self.k[:, :, self.used : end] = k
        self.v[:, :, self.used : end] = v
        self.used = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Only these rows from now on; a row may come more than once."""
        self.k, self.v = self.k[rows], self.v[rows]


class Attention(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s = s
        width, narrow = s.hidden_size, s.num_key_value_heads * s.head_dim
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, narrow)
        self.v_proj = nn.Linear(width, narrow)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        s, (B, T, _) = self.s, x.shape
        q = self.q_proj(x).view(B, T, s.num_attention_heads, s.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(B, T, s.num_key_value_heads, s.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(B, T, s.num_key_value_heads, s.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.append(k, v)
        # One query against a long cache: heads that share keys become rows of one product.
        if T == 1:
            share = s.num_attention_heads // s.num_key_value_heads
            q = q.view(B, s.num_key_value_heads, share, s.head_dim)
            scores = (q @ k.transpose(2, 3)) * s.head_dim**-0.5
            if mask is not None:
                scores = scores + mask
            y = (scores.softmax(-1) @ v).reshape(B, 1, s.hidden_size)
        else:
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
            )
            y = y.transpose(1, 2).reshape(B, T, s.hidden_size)
        return self.o_proj(y)


class Layer(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.mlp = MLP(s)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)


class Transformer(nn.Module):
    """A decoder with tied embeddings. Positions are counted from 0 in each row unless given."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        inverse = 1.0 / shape.rope_theta ** (torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
        angles = torch.outer(torch.arange(shape.max_position_embeddings).float(), inverse)
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        # Unit-scale activations everywhere, and a residual stream that its layers do not drown at the start.
        for name, parameter in self.named_parameters():
            if name.endswith("embed_tokens.weight"):
                nn.init.normal_(parameter, std=0.1)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(parameter, std=0.3 * parameter.shape[1] ** -0.5)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        caches: list[Cache] | None = None,
    ) -> Tensor:
        """Last hidden states, BTD.

        Args:
            ids: token ids, BT. Rows padded on the right need no mask, since attention is causal.
            positions: of each token in its row, BT.
            mask: added to the attention scores, broadcast to BHTT'; causal where None.
            caches: one a layer; the tokens are appended to them.
        """
        if positions is None:
            cos, sin = self.cos[None, None, : ids.shape[1]], self.sin[None, None, : ids.shape[1]]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        x = self.model.embed_tokens(ids)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, mask, None if caches is None else caches[i])
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token, BTV."""
        return self.logits(self.hidden(ids))
