"""Batched generation with the native engine.

All prompts are decoded in one batch: padded on the left, so that every row writes the same slot of the cache, with
positions counted from each row's own first token. A prompt is computed once, whatever the number of its samples;
finished rows leave the batch.

Shapes by suffix: B rows, T tokens, V vocabulary, P prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stratagem.models.transformer import Cache, Transformer
from stratagem.models.vocabulary import EOS_ID, PAD_ID


@dataclass(frozen=True, slots=True)
class Generation:
    """One completion: its token ids, the end token included where it was reached, and why it ended."""

    ids: list[int]
    finish_reason: str  # "stop" or "length"


def token_limit(steps: int) -> int:
    """Most new tokens for chains of up to `steps` operations: a demonstration's length and a third more."""
    return (3 * steps + 6) * 4 // 3


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[list[int]],
    *,
    samples: int = 1,
    max_new: int,
    temperature: float,
    generator: torch.Generator | None = None,
) -> list[Generation]:
    """`samples` completions of each prompt, in the order of the prompts.

    Args:
        prompts: token ids; a prefix that the completion has to begin with is simply a part of the prompt.
        max_new: most new tokens.
        temperature: 0 takes the most likely token.
        generator: source of randomness; required above temperature 0.
    """
    longest = max(map(len, prompts))
    ids_PT = torch.tensor([[PAD_ID] * (longest - len(prompt)) + prompt for prompt in prompts])
    pads_P = torch.tensor([longest - len(prompt) for prompt in prompts])
    positions_PT = (torch.arange(longest) - pads_P[:, None]).clamp(min=0)
    slots = torch.arange(longest + max_new)
    visible = (slots[None, :longest] <= slots[:longest, None]) & (slots[:longest] >= pads_P[:, None, None])
    # A padding token sees itself, so that its row of the softmax is not empty; nobody looks at the outcome.
    visible |= torch.eye(longest, dtype=torch.bool)
    mask_P1TT = torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)[:, None]
    caches = [
        Cache(len(prompts), longest + max_new, model.shape, torch.float32)
        for _ in range(model.shape.num_hidden_layers)
    ]
    last_PD = model.hidden(ids_PT, positions_PT, mask_P1TT, caches)[:, -1]

    rows = torch.arange(len(prompts)).repeat_interleave(samples)
    for cache in caches:
        cache.keep(rows)
    logits_BV, pads_B = model.logits(last_PD)[rows], pads_P[rows]
    alive = torch.arange(len(rows))  # which completion each row of the batch is
    written = torch.full((len(rows), max_new), PAD_ID)
    lengths = torch.full((len(rows),), max_new)
    for t in range(max_new):
        token_B = choose(logits_BV, temperature, generator)
        written[alive, t] = token_B
        going = token_B != EOS_ID
        lengths[alive[~going]] = t + 1
        if t + 1 == max_new or not going.any():
            break
        if not going.all():
            kept = going.nonzero()[:, 0]
            alive, token_B, pads_B = alive[kept], token_B[kept], pads_B[kept]
            for cache in caches:
                cache.keep(kept)
        slot = longest + t
        mask = torch.zeros(len(alive), 1, 1, slot + 1)
        mask.masked_fill_(slots[: slot + 1] < pads_B[:, None, None, None], -torch.inf)
        hidden = model.hidden(token_B[:, None], (slot - pads_B)[:, None], mask, caches)
        logits_BV = model.logits(hidden[:, -1])
    return [
        Generation(ids[:n], "stop" if ids[n - 1] == EOS_ID else "length")
        for ids, n in zip(written.tolist(), lengths.tolist(), strict=True)
    ]


def choose(logits_BV: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """The next token of each row, B.

    Dividing probabilities by independent exponentials and taking the largest is a draw from them.
    """
    if temperature == 0:
        return logits_BV.argmax(-1)
    noise_BV = torch.empty_like(logits_BV).exponential_(generator=generator)
    return ((logits_BV / temperature).softmax(-1) / noise_BV).argmax(-1)
