"""Batched generation with the native engine.

Samples of a prompt that have said the same so far are one row of the batch: what comes next depends on nothing else, so
it is computed once and drawn from once for each of them. Where they part, the row's cache is copied; when all of them
have ended, another row takes its place. So a prompt is computed once, whatever the number of its samples, and a policy
that is nearly sure costs little more with eight samples than with one.

The random number of each sample and token is drawn beforehand: no sample depends on what its neighbours do.

Shapes by suffix: S samples in all, A samples that have not ended, P prompts, N rows, M tokens, T new tokens,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stratagem.models.decoder import Decoder
from stratagem.models.transformer import Transformer
from stratagem.models.vocabulary import EOS_ID, PAD_ID
from stratagem.records import StratagemError
from stratagem.sampling.answer import not_finite
from stratagem.tasks import Task


@dataclass(frozen=True, slots=True)
class Generation:
    """One completion: its token ids, the end token included where it was reached, and why it ended."""

    ids: list[int]
    finish_reason: str  # "stop" or "length"


def token_limit(task: Task, steps: int) -> int:
    """Most new tokens for problems of difficulty `steps`: a demonstration's words and a third more."""
    return task.demonstration_words(steps) * 4 // 3


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[list[int]],
    *,
    samples: int = 1,
    max_new: int,
    temperature: float,
    generator: torch.Generator | None = None,
    named: str = "the model",
) -> list[Generation]:
    """`samples` completions of each prompt, in the order of the prompts.

    Args:
        prompts: token ids; a prefix that the completion has to begin with is simply a part of the prompt.
        max_new: most new tokens.
        temperature: 0 takes the most likely token.
        generator: source of randomness; required above temperature 0.
        named: what a message calls the model.

    Raises:
        StratagemError: the model's scores are no numbers to draw by.
    """
    total = len(prompts) * samples
    written_ST = torch.full((total, max_new), PAD_ID)
    uniform_ST = torch.rand(total, max_new, dtype=torch.float64, generator=generator if temperature else None)

    # The first rows of the cache are the prompts, which the others follow.
    P = len(prompts)
    length_P = torch.tensor([len(prompt) for prompt in prompts])
    end_P = length_P.cumsum(0)
    prompt_M = torch.arange(P).repeat_interleave(length_P)
    slot_M = torch.arange(len(prompt_M)) - (end_P - length_P)[prompt_M]
    decoder = Decoder(model, P + total, max(int(length_P.max()), max_new))
    ids_M = torch.tensor([token for prompt in prompts for token in prompt])
    hidden_MD = decoder.step(ids_M, prompt_M, torch.zeros_like(prompt_M), prompt_M, slot_M)
    logits_NV = decoder.logits(hidden_MD[end_P - 1])

    prompt_N = torch.arange(P)
    place_N = P + prompt_N
    sample_A = torch.arange(total)
    row_A = sample_A // samples
    for t in range(max_new):
        if not logits_NV.isfinite().all():
            raise StratagemError(not_finite(named))
        token_A = choose(logits_NV, row_A, temperature, uniform_ST[sample_A, t])
        written_ST[sample_A, t] = token_A
        going_A = token_A != EOS_ID
        sample_A, row_A, token_A = sample_A[going_A], row_A[going_A], token_A[going_A]
        if t + 1 == max_new or not len(sample_A):
            break
        parent_N, token_N, row_A = part(row_A, token_A)
        prompt_N, old_N = prompt_N[parent_N], place_N[parent_N]
        place_N = settle(old_N, range(P, P + total))
        moved = (place_N != old_N).nonzero()[:, 0]
        decoder.copy(old_N[moved], place_N[moved], t)
        slot_N = torch.full_like(place_N, t)
        logits_NV = decoder.logits(decoder.step(token_N, prompt_N, length_P[prompt_N], place_N, slot_N))
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
        each new row's parent and its token, in the order of the parents, and the new row of each sample.
    """
    sizes = int(token_A.max()) + 1
    keys, new_A = torch.unique(row_A * sizes + token_A, return_inverse=True)
    return keys // sizes, keys % sizes, new_A


def settle(old_N: Tensor, places: range) -> Tensor:
    """Where rows are kept, given their parents' places: a first child stays there, others take free places."""
    stays_N = torch.ones_like(old_N, dtype=torch.bool)
    stays_N[1:] = old_N[1:] != old_N[:-1]
    free = torch.ones(len(places), dtype=torch.bool)
    free[old_N - places.start] = False
    new = places.start + free.nonzero()[: len(old_N) - int(stays_N.sum()), 0]
    return old_N.masked_scatter(~stays_N, new)


def completion(ids: list[int]) -> Generation:
    if EOS_ID in ids:
        return Generation(ids[: ids.index(EOS_ID) + 1], "stop")
    return Generation(ids, "length")
