"""Batched generation with the native engine.

Samples of a prompt that have said the same so far are one row of the batch: what comes next depends on nothing else, so
it is computed once and drawn from once for each of them. Where they part, the row's cache is copied; when all of them
have ended, another row takes its place. So a prompt is computed once, whatever the number of its samples, and a policy
that is nearly sure costs little more with eight samples than with one.

Prompts are padded on the left, so that every row writes the same slot of the cache, with positions counted from each
row's own first token. The random number of each sample and token is drawn beforehand: no sample depends on what its
neighbours do.

Shapes by suffix: P prompts, S samples in all, A samples that have not ended, N rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stratagem.models.decoder import Decoder
from stratagem.models.transformer import Transformer
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
    total = len(prompts) * samples
    written_ST = torch.full((total, max_new), PAD_ID)
    uniform_ST = torch.rand(total, max_new, dtype=torch.float64, generator=generator if temperature else None)

    # The prompts, each of which is one row.
    longest = max(map(len, prompts))
    pads_N = torch.tensor([longest - len(prompt) for prompt in prompts])
    ids_NT = torch.tensor([[PAD_ID] * (longest - len(prompt)) + prompt for prompt in prompts])
    slots_T = torch.arange(longest + max_new)
    hidden_NTT = slots_T[:longest] > slots_T[:longest, None]
    hidden_NTT = hidden_NTT | (slots_T[:longest] < pads_N[:, None, None])
    # A padding token sees itself, so that its row of the softmax is not empty; nobody looks at the outcome.
    hidden_NTT &= ~torch.eye(longest, dtype=torch.bool)
    decoder = Decoder(model, total, longest + max_new)
    logits_NV = decoder.step(
        ids_NT, (slots_T[:longest] - pads_N[:, None]).clamp(min=0), minus_infinity(hidden_NTT)[:, None]
    )
    mask_NT = minus_infinity(slots_T < pads_N[:, None])

    sample_A = torch.arange(total)
    row_A = sample_A // samples
    for t in range(max_new):
        token_A = choose(logits_NV, row_A, temperature, uniform_ST[sample_A, t])
        written_ST[sample_A, t] = token_A
        going_A = token_A != EOS_ID
        sample_A, row_A, token_A = sample_A[going_A], row_A[going_A], token_A[going_A]
        if t + 1 == max_new or not len(sample_A):
            break
        parent_N, token_N, row_A = part(row_A, token_A)
        moved = (parent_N != torch.arange(len(parent_N))).nonzero()[:, 0]
        if len(moved) or len(parent_N) < len(pads_N):
            decoder.copy(parent_N[moved], moved)
            pads_N, mask_NT = pads_N[parent_N], mask_NT[parent_N]
        logits_NV = decoder.step(
            token_N[:, None], (decoder.used - pads_N)[:, None], mask_NT[:, None, None, : decoder.used + 1]
        )
    return [completion(ids) for ids in written_ST.tolist()]


def choose(logits_NV: Tensor, row_A: Tensor, temperature: float, uniform_A: Tensor) -> Tensor:
    """The next token of each sample, whose row is `row_A`: where its random number falls among the probabilities."""
    if temperature == 0:
        return logits_NV.argmax(-1)[row_A]
    # In double precision, so that rounding cannot lift a number below 1 to the last sum.
    sums_NV = (logits_NV / temperature).softmax(-1).cumsum(-1, dtype=torch.float64)
    point_A = uniform_A * sums_NV[row_A, -1]
    return torch.searchsorted(sums_NV[row_A], point_A[:, None], right=True)[:, 0]


def part(row_A: Tensor, token_A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows after a token: samples of one row that said the same word stay together.

    Returns:
        each new row's parent, its token, and the new row of each sample. One child of a row takes its place unless
        that is beyond the new number of rows; the other children take the places that are free.
    """
    sizes = int(token_A.max()) + 1
    keys, new_A = torch.unique(row_A * sizes + token_A, return_inverse=True)
    parents, tokens = keys // sizes, keys % sizes
    N = len(keys)
    stays = parents < N
    stays[1:] &= parents[1:] != parents[:-1]
    free = torch.ones(N, dtype=torch.bool)
    free[parents[stays]] = False
    place = parents.clone()
    place[~stays] = free.nonzero()[:, 0]
    order = place.argsort()
    return parents[order], tokens[order], place[new_A]


def minus_infinity(where: Tensor) -> Tensor:
    """A mask to add to scores."""
    return torch.zeros(where.shape).masked_fill(where, -torch.inf)


def completion(ids: list[int]) -> Generation:
    if EOS_ID in ids:
        return Generation(ids[: ids.index(EOS_ID) + 1], "stop")
    return Generation(ids, "length")
