"""The Qwen2 architecture in plain PyTorch, with the parameter names of Hugging Face.

Small enough to read, and on a CPU faster than the general code. All but attention treats every token alike, so tokens
lie in one long row of M, whatever sequences they belong to, and only attention knows of those: `hidden` for rows of
one sequence each, `hidden_after` for responses that share prompts. Decoding has a file of its own (see `decoder`). A
test holds all of it to `transformers` on the same weights.

Shapes by suffix: B rows, T tokens, M tokens of all rows, P prompts, R response tokens, D width, H query heads,
K key/value heads, E head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from stratagem.models import kernels

# In bf16 a product is prepared anew for each number of rows, which takes longer than it does itself.
ROUND = 32
# From queries MHE and keys and values MKE to what each token attends to, MHE.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a Qwen2 `config.json` that this file reads, each with what it may be at most."""

    vocab_size: Annotated[int, Meta(ge=1, le=10_000_000)]
    hidden_size: Annotated[int, Meta(ge=2, le=65_536)] = 128
    intermediate_size: Annotated[int, Meta(ge=1, le=262_144)] = 256
    num_hidden_layers: Annotated[int, Meta(ge=1, le=1_000)] = 4
    num_attention_heads: Annotated[int, Meta(ge=1, le=1_024)] = 4
    num_key_value_heads: Annotated[int, Meta(ge=1, le=1_024)] = 2
    max_position_embeddings: Annotated[int, Meta(ge=1, le=10_000_000)] = 512
    rope_theta: Annotated[float, Meta(gt=0)] = 10000.0
    rms_norm_eps: Annotated[float, Meta(gt=0, le=1)] = 1e-6

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


class Normalise(torch.autograd.Function):
    """Root-mean-square norm of rows MD."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.eps, unit = eps, torch.empty_like(x)
        kernels.unit(x.detach().numpy(), eps, unit.numpy())
        return unit.mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        dx, dweight = torch.empty_like(x), torch.zeros_like(weight)
        slopes = grads[0].contiguous()
        arrays = (tensor.detach().numpy() for tensor in (weight, slopes, dx, dweight))
        kernels.unit_gradient(x.detach().numpy(), ctx.eps, *arrays)
        return dx, dweight, None


class Gate(torch.autograd.Function):
    """silu(gate) * up of rows MF in float32, of which gate is the first half and up the second."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        out = both.new_empty(len(both), both.shape[1] // 2)
        kernels.gate(both.detach().numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        out = torch.empty_like(both)
        kernels.gate_gradient(both.detach().numpy(), grads[0].contiguous().numpy(), out.numpy())
        return out


class Spread(torch.autograd.Function):
    """Rows put at places of a larger tensor of zeros."""

    @staticmethod
    def forward(ctx: Any, x_MX: Tensor, place_M: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(place_M)
        return x_MX.new_zeros(size, *x_MX.shape[1:]).index_copy_(0, place_M, x_MX)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (place_M,) = ctx.saved_tensors
        return grads[0].index_select(0, place_M), None, None


class RMSNorm(nn.Module):
    """Of rows MD."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_MD: Tensor) -> Tensor:
        return Normalise.apply(x_MD, self.weight, self.eps)


class MLP(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.up_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.down_proj = nn.Linear(s.intermediate_size, s.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        both = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight)))
        if both.dtype == torch.float32:
            return self.down_proj(Gate.apply(both))
        gate, up = both.chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


def paired(weight: Tensor, width: int) -> Tensor:
    """A projection whose outputs i and i + width/2 of each head, which rotate together, stand side by side."""
    return weight.unflatten(0, (-1, 2, width // 2)).transpose(1, 2).flatten(0, 2)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Rotary position embedding of `paired` heads, ...E: a product of complex numbers; `turn` broadcasts to ...E/2."""
    pairs = torch.view_as_complex(x.unflatten(-1, (x.shape[-1] // 2, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2)


class Attention(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s = s
        width, narrow = s.hidden_size, s.num_key_value_heads * s.head_dim
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, narrow)
        self.v_proj = nn.Linear(width, narrow)
        self.o_proj = nn.Linear(width, width, bias=False)

    def fused(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of queries, keys and values as one projection, queries and keys `paired`."""
        q, k, v, width = self.q_proj, self.k_proj, self.v_proj, self.s.head_dim
        return (
            torch.cat((paired(q.weight, width), paired(k.weight, width), v.weight)),
            torch.cat((paired(q.bias, width), paired(k.bias, width), v.bias)),
        )

    def forward(self, x_MD: Tensor, turn: Tensor, attend: Attend, first: int) -> Tensor:
        s, (weight, bias) = self.s, self.fused()
        H, K, E = s.num_attention_heads, s.num_key_value_heads, s.head_dim
        if first:
            q = F.linear(x_MD[first:], weight[: H * E], bias[: H * E]).to(x_MD.dtype).view(-1, H, E)
            heads = F.linear(x_MD, weight[H * E :], bias[H * E :]).to(x_MD.dtype).view(-1, 2 * K, E)
            k, v = heads.split(K, 1)
            q, k = rotate(q, turn[first:]), rotate(k, turn)
        else:
            heads = F.linear(x_MD, weight, bias).to(x_MD.dtype).view(-1, H + 2 * K, E)
            turned, v = heads.split((H + K, K), 1)
            q, k = rotate(turned, turn).split((H, K), 1)
        with torch.autocast("cpu", enabled=False):
            y = attend(q, k, v)
        return self.o_proj(y.reshape(-1, s.hidden_size))


class Layer(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.mlp = MLP(s)

    def forward(self, x_MD: Tensor, turn: Tensor, attend: Attend, first: int = 0) -> Tensor:
        """The tokens from `first` on, after attending to all."""
        x_MD = x_MD[first:] + self.self_attn(self.input_layernorm(x_MD), turn, attend, first)
        return x_MD + self.mlp(self.post_attention_layernorm(x_MD))


class Body(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        weight = torch.empty(s.vocab_size, s.hidden_size)
        if (
            not weight.is_meta
        ):  # there `normal_` imports torch's compiler, for a second or two of the processor
            nn.init.normal_(weight)
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size, _weight=weight)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)


def parameter_sizes(shape: Shape) -> dict[str, list[int]]:
    """The sizes of a Transformer's parameters, by name, without taking memory for them."""
    with torch.device("meta"):
        return {f"model.{name}": list(p.shape) for name, p in Body(shape).named_parameters()}


class Transformer(nn.Module):
    """A decoder with tied embeddings. Positions are counted from 0 in each row unless given.

    Where `bf16` is set, the layers' projections take inputs and weights rounded to bf16; the residual stream,
    attention, logits and all that is learnt stay in float32.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.bf16 = shape, False
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
        self, ids_BT: Tensor, positions_BT: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Last hidden states, BTD.

        Args:
            ids_BT: token ids. Rows padded on the right need no mask, since attention is causal.
            positions_BT: of each token in its row; from 0 on where None.
            mask: added to the attention scores, broadcast to BHTT; causal where None.
        """
        B, T = ids_BT.shape
        if positions_BT is None:
            positions_BT = torch.arange(T).expand(B, T)

        def attend(q_MHE: Tensor, k_MKE: Tensor, v_MKE: Tensor) -> Tensor:
            q, k, v = (x.view(B, T, *x.shape[1:]).transpose(1, 2) for x in (q_MHE, k_MKE, v_MKE))
            return attention(q, k, v, mask)

        return self.layers(ids_BT.flatten(), positions_BT.flatten(), attend).view(B, T, -1)

    def hidden_after(
        self, prompts_PT: Tensor, lengths_P: Tensor, owner_B: Tensor, ids_BR: Tensor, real_BR: Tensor
    ) -> Tensor:
        """Last hidden states of the real tokens of responses, MD, each prompt computed once for all of its responses.

        Args:
            prompts_PT: token ids, padded on the right.
            lengths_P: tokens of each prompt.
            owner_B: which prompt each response follows.
            ids_BR: token ids of the responses, padded on the right.
            real_BR: where they are no padding.
        """
        (P, T), (B, R) = prompts_PT.shape, ids_BR.shape
        slot_T, slot_R = torch.arange(T), torch.arange(R)
        real_PT = slot_T < lengths_P[:, None]
        prompt_M, own_M = (places(real, ROUND if self.bf16 else 1) for real in (real_PT, real_BR))
        first = len(prompt_M)
        # A response token sees its prompt, and of its response what is not behind it.
        prompt_BRT = real_PT[owner_B][:, None].expand(B, R, T)
        own_BRR = (slot_R <= slot_R[:, None]).expand(B, R, R)
        seen = torch.cat((prompt_BRT, own_BRR), -1)[:, None]
        mask = torch.zeros(seen.shape, dtype=self.cos.dtype).masked_fill(~seen, -torch.inf)

        def prompts(x: Tensor) -> Tensor:
            return Spread.apply(x, prompt_M, P * T).view(P, T, *x.shape[1:]).transpose(1, 2)

        def own(x: Tensor) -> Tensor:
            return Spread.apply(x, own_M, B * R).view(B, R, *x.shape[1:]).transpose(1, 2)

        def attend(q_MHE: Tensor, k_MKE: Tensor, v_MKE: Tensor) -> Tensor:
            attended = []
            old_k, old_v = prompts(k_MKE[:first]), prompts(v_MKE[:first])
            if len(q_MHE) == len(k_MKE):
                y = attention(prompts(q_MHE[:first]), old_k, old_v, None)
                attended.append(y.flatten(0, 1).index_select(0, prompt_M))
                q_MHE = q_MHE[first:]
            k, v = (
                torch.cat((old[owner_B], own(x[first:])), 2) for old, x in ((old_k, k_MKE), (old_v, v_MKE))
            )
            y = attention(own(q_MHE), k, v, mask)
            return torch.cat((*attended, y.flatten(0, 1).index_select(0, own_M)))

        ids = torch.cat((prompts_PT.flatten()[prompt_M], ids_BR.flatten()[own_M]))
        positions_BR = lengths_P[owner_B][:, None] + slot_R
        positions = torch.cat((slot_T.repeat(P)[prompt_M], positions_BR.flatten()[own_M]))
        return self.layers(ids, positions, attend, first)[: int(real_BR.sum())]

    def layers(self, ids_M: Tensor, positions_M: Tensor, attend: Attend, first: int = 0) -> Tensor:
        """Last hidden states of the tokens from `first` on, MD."""
        half = self.shape.head_dim // 2
        turn = torch.complex(self.cos[:, :half], self.sin[:, :half])[positions_M][:, None]
        x_MD = self.model.embed_tokens(ids_M)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            *layers, last = self.model.layers
            for layer in layers:
                x_MD = layer(x_MD, turn, attend)
            x_MD = last(x_MD, turn, attend, first)
        return self.model.norm(x_MD)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token, BTV."""
        return self.logits(self.hidden(ids))


def places(real: Tensor, multiple: int) -> Tensor:
    """Where the real tokens of padded rows are, and then as much padding as makes their number a multiple."""
    positions = real.flatten().nonzero()[:, 0]
    padding = (~real).flatten().nonzero()[: -len(positions) % multiple, 0]
    return torch.cat((positions, padding)) if (len(positions) + len(padding)) % multiple == 0 else positions


def attention(q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, mask: Tensor | None) -> Tensor:
    """What each query attends to, BTHE; causal where `mask` is None."""
    y = F.scaled_dot_product_attention(
        q_BHTE, k_BKTE, v_BKTE, attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return y.transpose(1, 2)
