"""Decoding with a `Transformer`: the same function as `Transformer.hidden`, laid out for one token a row and step.

A step on a CPU is matrix products of a few hundred rows, attention over the rows' caches, and the launching of some
hundred small kernels. So projections that read the same input are one product, and the scale of the scores is a part
of the query's weights.

Shapes by suffix: N rows, T tokens, D width, H query heads, K key/value heads, E head width, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from stratagem.models.transformer import Layer, Transformer, rotate


class FusedLayer:
    """The weights of a layer in the form that a step uses."""

    def __init__(self, layer: Layer) -> None:
        a, m = layer.self_attn, layer.mlp
        weight, bias = a.fused()
        scale = torch.ones(len(bias))
        scale[: a.s.hidden_size] = a.s.head_dim**-0.5
        self.qkv = weight * scale[:, None] * layer.input_layernorm.weight
        self.qkv_bias = bias * scale
        self.out = a.o_proj.weight
        self.gate_up = (
            torch.cat((m.gate_proj.weight, m.up_proj.weight)) * layer.post_attention_layernorm.weight
        )
        self.down = m.down_proj.weight


class Decoder:
    """A model's weights as they are when this is made, and the cache of the rows that are being decoded.

    The cache has room for `rows` rows of `room` tokens; its first N rows are in use, filled up to `used`.
    """

    def __init__(self, model: Transformer, rows: int, room: int) -> None:
        s = self.shape = model.shape
        self.embedding = model.model.embed_tokens.weight
        self.words = self.embedding * model.model.norm.weight
        self.layers = [FusedLayer(layer) for layer in cast(list[Layer], model.model.layers)]
        half = s.head_dim // 2
        self.turn = torch.complex(model.cos[:, :half], model.sin[:, :half])
        # Keys and values of all layers in one tensor, so that a row is moved by one copy.
        self.cache = torch.empty(len(self.layers), 2, rows, s.num_key_value_heads, room, s.head_dim)
        self.used = 0

    def step(self, ids_NT: Tensor, positions_NT: Tensor, mask: Tensor) -> Tensor:
        """Append T tokens to each of the first N rows; returns the logits after the last one, NV.

        Args:
            mask: added to the scores of each token against the row's cache with its new tokens, broadcast to N1TT'.
        """
        s, (N, T) = self.shape, ids_NT.shape
        heads, narrow, E = s.num_attention_heads, s.num_key_value_heads, s.head_dim
        shared, end = heads // narrow, self.used + T
        turn = self.turn[positions_NT][:, :, None]
        mask = mask.repeat(1, 1, shared, 1) if T > 1 else mask
        x = F.embedding(ids_NT, self.embedding)
        for layer, (cached_k, cached_v) in zip(self.layers, self.cache, strict=True):
            qkv = F.linear(self.unit(x), layer.qkv, layer.qkv_bias).view(N, T, heads + 2 * narrow, E)
            qk, v = qkv.split((heads + narrow, narrow), 2)
            q, k = rotate(qk, turn).split((heads, narrow), 2)
            cached_k[:N, :, self.used : end] = k.transpose(1, 2)
            cached_v[:N, :, self.used : end] = v.transpose(1, 2)
            # Heads that share keys are further rows of one product.
            q = q.reshape(N, T, narrow, shared, E).permute(0, 2, 3, 1, 4).reshape(N, narrow, shared * T, E)
            scores = (q @ cached_k[:N, :, :end].transpose(2, 3)).add_(mask)
            y = scores.softmax(-1) @ cached_v[:N, :, :end]
            y = y.view(N, narrow, shared, T, E).permute(0, 3, 1, 2, 4).reshape(N, T, s.hidden_size)
            x = x + F.linear(y, layer.out)
            gate, up = F.linear(self.unit(x), layer.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate).mul_(up), layer.down)
        self.used = end
        return F.linear(self.unit(x[:, -1]), self.words)

    def unit(self, x: Tensor) -> Tensor:
        """Of root mean square 1; the norms' weights are in the projections that follow."""
        return x * torch.rsqrt(torch.linalg.vecdot(x, x)[..., None] / x.shape[-1] + self.shape.rms_norm_eps)

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Make the rows `target` what the rows `source` are; none is in both."""
        filled = self.cache[..., : self.used, :]
        for old, new in zip(source.tolist(), target.tolist(), strict=True):
            filled[:, :, new].copy_(filled[:, :, old])
