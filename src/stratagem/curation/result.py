"""What `curation.json` holds, as types."""

from __future__ import annotations

import msgspec

from stratagem.records import Estimate, Real, Result


class LogFacts(Result, frozen=True, kw_only=True):
    """A log: how many of its problems are prompts of the pool, and by what they were found there."""

    name: str
    files: tuple[str, ...]
    format: str
    score: str
    problems: int
    matched: int
    responses: int
    join: str


class StratumFacts(Result, frozen=True, kw_only=True):
    """A stratum: its prompts, those chosen, the share aimed at, and the Beta distribution of its pass rates.

    `spread` says where that distribution comes from (`passrates.Prior.source`); of rewards that are not right or wrong
    there is none, and the three are null and empty.
    """

    name: str
    prompts: int
    with_rollouts: int
    chosen: int
    share: Real
    target: Real
    mean: Real = float("nan")
    alpha: Real = float("nan")
    beta: Real = float("nan")
    spread: str = ""


class PromptSet(Result, frozen=True, kw_only=True):
    """Some prompts: the mean over them of their expected signal, of its interval, and of their pass rates."""

    prompts: int
    with_rollouts: int
    signal: Estimate
    rate: Real


class Dropped(Result, frozen=True, kw_only=True):
    """How many prompts are not taken, by reason. `less` are those whose signal is less than that of the chosen."""

    held_out: int
    duplicate: int
    no_rollouts: int
    all_wrong: int
    all_right: int
    flat: int
    less: int


class Moves(Result, frozen=True, kw_only=True):
    """The pool before and after training, over the prompts with rollouts of both.

    Attributes:
        counts: prompts by where they most probably lay (row) and lie now (column): too hard, at the frontier, too easy.
        left: of those that were at the frontier, how many are not now; entered: the other way round.
    """

    prompts: int
    counts: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    left: int
    entered: int
    before: PromptSet
    after: PromptSet


class Curation(Result, frozen=True, kw_only=True):
    """Which prompts were chosen and what is expected of them.

    Attributes:
        measure: ``signal``, the share of groups with right and wrong samples, or ``variance``, of the reward in a
            group.
        sure: the probability from which a prompt that looks flat is dropped.
        samples: fewest, median and most of the prompts with rollouts.
        eligible: prompts that a random choice could take: the pool without what is held out, there twice, or, where
            that was asked for, without rollouts.
        shared: prompts that are both chosen and in the control.
        files: what was written, by what it is.
        inputs: SHA-256 of every file read.
    """

    pool: str
    prompts: int
    eligible: int
    with_rollouts: int
    samples: tuple[int, float, int]
    measure: str
    group: int
    min_signal: float
    sure: float
    level: float
    by: tuple[str, ...]
    curriculum: str
    logs: tuple[LogFacts, ...]
    again: tuple[LogFacts, ...]
    strata: tuple[StratumFacts, ...]
    everything: PromptSet
    chosen: PromptSet
    control: PromptSet
    shared: int
    dropped: Dropped
    moves: Moves | None
    files: dict[str, str]
    inputs: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        what = "of groups with signal" if self.measure == "signal" else "variance of the reward in a group"
        return (
            f"{self.chosen.prompts} of {self.prompts} prompts: {self.chosen.signal.value:.3g} {what}, "
            f"at random {self.control.signal.value:.3g}"
        )


def decode(data: bytes) -> Curation:
    """What a `curation.json` says.

    Raises:
        msgspec.ValidationError: it is no such file; the message names the field.
    """
    return msgspec.json.decode(data, type=Curation)
