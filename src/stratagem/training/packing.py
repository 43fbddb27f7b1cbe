"""An update's completions as few tokens: each prompt once, and of equal completions of a prompt one.

A group's completions begin with the same prompt, and a policy that is nearly sure says the same thing many times. Equal
completions have equal log-probabilities, so they are computed once and looked up; gradients add up by themselves.

Shapes by suffix: P prompts, T prompt tokens, B different completions, R response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stratagem.models.vocabulary import PAD_ID

IGNORE = -100
# Tokens of one forward and backward pass: bounds the memory, changes no result beyond rounding. The fastest of
# 1,024, 2,048, 4,096 and 8,192 on the machine of docs/performance.md.
TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Part:
    """Some completions of an update, as tensors.

    A prompt's last token is the first input of its responses, so that inputs and targets stand side by side.

    Attributes:
        members: which completions of the update, several of which may be equal.
        which: the row of each member among the different ones.
        prompts_PT: prompts without their last token, padded on the right.
        lengths_P: their tokens.
        owner_B: which prompt each row follows.
        ids_BR: inputs.
        targets_BR: the token after each input; IGNORE where the response has ended.
    """

    members: list[int]
    which: Tensor
    prompts_PT: Tensor
    lengths_P: Tensor
    owner_B: Tensor
    ids_BR: Tensor
    targets_BR: Tensor

    @property
    def real_BR(self) -> Tensor:
        """Where a response has not ended."""
        return self.targets_BR != IGNORE


def pack(rows: Sequence[tuple[list[int], list[int]]], tokens: int = TOKENS) -> list[Part]:
    """Parts of about `tokens` tokens each from (prompt, response) pairs; those of like length lie together."""
    groups: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
    for i, (prompt, response) in enumerate(rows):
        groups.setdefault(tuple(prompt), {}).setdefault(tuple(response), []).append(i)
    parts: list[Part] = []
    chosen: list[tuple[tuple[int, ...], dict[tuple[int, ...], list[int]]]] = []
    size = 0
    for prompt, responses in sorted(
        groups.items(), key=lambda group: (len(group[0]), max(map(len, group[1])))
    ):
        more = len(prompt) - 1 + sum(map(len, responses))
        if chosen and size + more > tokens:
            parts.append(part(chosen))
            chosen, size = [], 0
        chosen.append((prompt, responses))
        size += more
    return [*parts, part(chosen)]


def part(groups: Sequence[tuple[tuple[int, ...], dict[tuple[int, ...], list[int]]]]) -> Part:
    members, which, owner, ids, targets = [], [], [], [], []
    for k, (prompt, responses) in enumerate(groups):
        for response, equal in responses.items():
            which += [len(ids)] * len(equal)
            members += equal
            owner.append(k)
            ids.append([prompt[-1], *response[:-1]])
            targets.append(response)
    before = [prompt[:-1] for prompt, _ in groups]
    return Part(
        members,
        torch.tensor(which),
        padded(before, PAD_ID),
        torch.tensor([len(prompt) for prompt in before]),
        torch.tensor(owner),
        padded(ids, PAD_ID),
        padded(targets, IGNORE),
    )


def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """Rows of different length as one tensor, padded on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=torch.long)
