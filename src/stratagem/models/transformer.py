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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# From queries MHE and keys and values MKE to what each token attends to, MHE.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


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


class Normalise(torch.autograd.Function):
    """Root-mean-square norm with its gradient in seven kernels; those of `F.rms_norm` on a CPU are twice as many."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.rsqrt(torch.linalg.vecdot(x, x)[..., None] / x.shape[-1] + eps)
        unit = x * inverse
        ctx.save_for_backward(unit, weight, inverse)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, weight, inverse = ctx.saved_tensors
        slope = grads[0] * weight
        along = torch.linalg.vecdot(slope, unit)[..., None] / -unit.shape[-1]
        return torch.addcmul(slope, unit, along) * inverse, torch.linalg.vecdot(grads[0], unit, dim=0), None


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
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


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

    def forward(self, x_MD: Tensor, turn: Tensor, attend: Attend) -> Tensor:
        s = self.s
        H, K = s.num_attention_heads, s.num_key_value_heads
        heads = F.linear(x_MD, *self.fused()).to(x_MD.dtype).view(-1, H + 2 * K, s.head_dim)
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

    def forward(self, x_MD: Tensor, turn: Tensor, attend: Attend) -> Tensor:
        x_MD = x_MD + self.self_attn(self.input_layernorm(x_MD), turn, attend)
        return x_MD + self.mlp(self.post_attention_layernorm(x_MD))


class Body(nn.Module):
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)


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

    def hidden_after(self, prompts_PT: Tensor, lengths_P: Tensor, owner_B: Tensor, ids_BR: Tensor) -> Tensor:
        """Last hidden states of responses, BRD, each prompt computed once for all of its responses.

        Args:
            prompts_PT: token ids, padded on the right.
            lengths_P: tokens of each prompt.
            owner_B: which prompt each response follows.
            ids_BR: token ids of the responses, padded on the right.
        """
        (P, T), (B, R) = prompts_PT.shape, ids_BR.shape
        places_T, places_R = torch.arange(T), torch.arange(R)
        # A response token sees its prompt, and of its response what is not behind it.
        prompt_BRT = (places_T < lengths_P[owner_B][:, None])[:, None].expand(B, R, T)
        own_BRR = (places_R <= places_R[:, None]).expand(B, R, R)
        seen = torch.cat((prompt_BRT, own_BRR), -1)[:, None]
        mask = torch.zeros(seen.shape, dtype=self.cos.dtype).masked_fill(~seen, -torch.inf)

        def attend(q_MHE: Tensor, k_MKE: Tensor, v_MKE: Tensor) -> Tensor:
            q, k, v = (x[: P * T].view(P, T, *x.shape[1:]).transpose(1, 2) for x in (q_MHE, k_MKE, v_MKE))
            before = attention(q, k, v, None)
            q, *own = (x[P * T :].view(B, R, *x.shape[1:]).transpose(1, 2) for x in (q_MHE, k_MKE, v_MKE))
            k, v = (torch.cat((a[owner_B], b), 2) for a, b in zip((k, v), own, strict=True))
            after = attention(q, k, v, mask)
            return torch.cat((before.flatten(0, 1), after.flatten(0, 1)))

        ids = torch.cat((prompts_PT.flatten(), ids_BR.flatten()))
        positions = torch.cat((places_T.repeat(P), (lengths_P[owner_B][:, None] + places_R).flatten()))
        return self.layers(ids, positions, attend)[P * T :].view(B, R, -1)

    def layers(self, ids_M: Tensor, positions_M: Tensor, attend: Attend) -> Tensor:
        """Last hidden states of the tokens, MD."""
        half = self.shape.head_dim // 2
        turn = torch.complex(self.cos[:, :half], self.sin[:, :half])[positions_M][:, None]
        x_MD = self.model.embed_tokens(ids_M)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            for layer in self.model.layers:
                x_MD = layer(x_MD, turn, attend)
        return self.model.norm(x_MD)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.model.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token, BTV."""
        return self.logits(self.hidden(ids))


def attention(q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, mask: Tensor | None) -> Tensor:
    """What each query attends to, BTHE; causal where `mask` is None."""
    y = F.scaled_dot_product_attention(
        q_BHTE, k_BKTE, v_BKTE, attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return y.transpose(1, 2)
