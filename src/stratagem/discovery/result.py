"""What a discovery says, as types."""

from __future__ import annotations

from stratagem.records import Real, Result


class Phrase(Result, frozen=True):
    """A word or a pair of words, in which N is a number, V a letter and P a word of the problem; and the share of
    responses that show it, of this proposal and of the others."""

    text: str
    share: Real
    elsewhere: Real


class Form(Result, frozen=True, kw_only=True):
    """Medians over responses: characters, lines, numbers and equals signs."""

    characters: Real
    lines: Real
    numbers: Real
    equals: Real


class OnSide(Result, frozen=True, kw_only=True):
    """A proposal in one log: how many responses, their share, and the mean of their scores; the most typical ones."""

    log: str
    responses: int
    share: Real
    accuracy: Real
    examples: tuple[str, ...]


class Proposal(Result, frozen=True, kw_only=True):
    """A way of writing that may be a strategy.

    Attributes:
        phrases: what tells it from other responses to the same problems, most telling first.
        form, elsewhere: the structure of its responses, and of the others.
        follows: the share of the variance of belonging to it that goes with `data set` (the strata; `problem` where the
            logs name none), `length`, `answer form` and `notation`.
        marks: those of `follows` that are at least one half: it may be no strategy at all.
    """

    name: str
    phrases: tuple[Phrase, ...]
    form: Form
    elsewhere: Form
    follows: dict[str, float]
    marks: tuple[str, ...]
    sides: tuple[OnSide, ...]


class Tried(Result, frozen=True, kw_only=True):
    """A number of clusters: the proposals that they make, how far halves of the problems agree on them (adjusted Rand
    index), and why they are none; empty where they hold."""

    clusters: int
    proposals: int
    agreement: Real
    reason: str


class Discovery(Result, frozen=True, kw_only=True):
    """Proposals, or none.

    Attributes:
        agreement: of halves of the problems on the proposals (adjusted Rand index); undefined where there are none.
        tried: every number of clusters.
    """

    logs: tuple[str, ...]
    responses: int
    problems: int
    agreement: Real
    proposals: tuple[Proposal, ...]
    tried: tuple[Tried, ...]
