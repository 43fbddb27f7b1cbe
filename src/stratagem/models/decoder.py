"""Decoding with a `Transformer`: the same function as `Transformer.hidden`, laid out for few tokens a row and step.

A step on a CPU is matrix products of a few hundred rows and what lies between them. So projections that read the same
input are one product, the scale of the scores is a part of the query's weights, norms' weights are parts of the
projections that follow, and all the rest is four kernels a layer (see `kernels`).

Shapes by suffix: N rows of the cache, M tokens, D width, H query heads, K key/value heads, E head width, T slots,
V vocabulary.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stratagem.models import kernels
from stratagem.models.transformer import Layer, Transformer


class FusedLayer:
    """The weights of a layer in the form that a step uses."""

    def __init__(self, layer: Layer) -> None:
        a, m = layer.self_attn, layer.mlp
        scale = a.s.head_dim**-0.5
        before, after = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self.bias = torch.cat((a.q_proj.bias * scale, a.k_proj.bias, a.v_proj.bias))
        self.heads = (torch.cat((a.q_proj.weight * scale, a.k_proj.weight, a.v_proj.weight)) * before).T
        self.out = a.o_proj.weight.T
        self.gate_up = (torch.cat((m.gate_proj.weight, m.up_proj.weight)) * after).T
        self.down = m.down_proj.weight.T


class Decoder:
    """A model's weights as they are when this is made, and a cache with `rows` rows of `room` tokens."""

    def __init__(self, model: Transformer, rows: int, room: int) -> None:
        s = self.shape = model.shape
        self.embedding = model.model.embed_tokens.weight
        self.words = (self.embedding * model.model.norm.weight).T
        self.layers = [FusedLayer(layer) for layer in cast(list[Layer], model.model.layers)]
        self.cos, self.sin = model.cos.numpy(), model.sin.numpy()
        blocks, wide = (-(-size // kernels.LANES) for size in (room, s.head_dim))
        size = len(self.layers), blocks, rows, s.num_key_value_heads
        self.keys = np.empty((*size, s.head_dim, kernels.LANES), np.float32)
        self.values = np.empty((*size, kernels.LANES, wide * kernels.LANES), np.float32)
        self.scratch = np.empty(2 * (blocks + 1) * kernels.LANES, np.float32)

    def step(self, ids_M: Tensor, base_M: Tensor, before_M: Tensor, row_M: Tensor, slot_M: Tensor) -> Tensor:
        """Append tokens to rows; returns their last hidden states, MD.

        Args:
            base_M, before_M: a token follows the first `before` tokens of the row `base`, which rows can share,
            row_M, slot_M: and those of its own row up to this slot, where it is put; a row's tokens come in order.
        """
        s, M = self.shape, len(ids_M)
        places = [where.numpy() for where in (base_M, before_M, row_M, slot_M)]
        x_MD = F.embedding(ids_M, self.embedding)
        y_MHE = torch.empty(M, s.num_attention_heads, s.head_dim)
        z_MF = torch.empty(M, s.intermediate_size)
        y, z = y_MHE.numpy(), z_MF.numpy()
        for layer, keys, values in zip(self.layers, self.keys, self.values, strict=True):
            heads = torch.addmm(layer.bias, self.unit(x_MD), layer.heads).view(M, -1, s.head_dim).numpy()
            kernels.attend(heads, self.cos, self.sin, *places, keys, values, self.scratch, y)
            x_MD.addmm_(y_MHE.flatten(1), layer.out)
            kernels.gate((self.unit(x_MD) @ layer.gate_up).numpy(), z)
            x_MD.addmm_(z_MF, layer.down)
        return x_MD

    def logits(self, x_MD: Tensor) -> Tensor:
        """Of the next token, MV."""
        return self.unit(x_MD) @ self.words

    def unit(self, x_MD: Tensor) -> Tensor:
        """Of root mean square 1; the norms' weights are in the projections that follow."""
        out = torch.empty_like(x_MD)
        kernels.unit(x_MD.numpy(), np.float32(self.shape.rms_norm_eps), out.numpy())
        return out

    def copy(self, source: Tensor, target: Tensor, filled: int) -> None:
        """Make the rows `target` what the rows `source` are, whose first slots are filled; none is in both."""
        flat = (cache.reshape(*cache.shape[:3], -1) for cache in (self.keys, self.values))
        kernels.copy(source.numpy(), target.numpy(), filled, *flat)
