"""What the visible shift says, as types."""

from __future__ import annotations

from stratagem.records import UNDEFINED, Estimate, Real, Result


class Placebo(Result, frozen=True, kw_only=True):
    """The same computation where the truth is 0: its mean over rounds, and the range of the middle 95% of them."""

    mean: Real
    low: Real
    high: Real
    rounds: int


class Phrase(Result, frozen=True, kw_only=True):
    """A word or a pair of words, and the part of the responses that have it. `toward` is 1 where responses of the same
    problem that have it were right more often before, -1 where less often."""

    text: str
    share_before: Real
    share_after: Real
    toward: int


class Resolution(Result, frozen=True):
    """The shift with so many components of wording."""

    components: int
    shift: Estimate


class VisibleShift(Result, frozen=True, kw_only=True):
    """How much of the gain goes with a change in how answers are written (`visible.shift`).

    Attributes:
        reason: why it cannot be estimated; empty where it can, and nothing else is defined where not.
        shift: in accuracy, as the gain is.
        length, answer_form, wording: its parts, which sum to it; not defined where they change so much together that
            one would be over 100 points.
        resolutions: the shift by the number of components of wording.
        shuffled: outcomes shuffled within each problem before. halves: the side before, split at random into two.
        unlike: the share of the responses after that are further from all before than 99% of those before are.
        phrases: what the responses that moved are told by, most first.
        rates: the number of slopes: 1 where one served all kinds of problem, else one for each large stratum, and one
            for all small ones together.
        problems, responses: that it rests on: a random part of a large log.
    """

    reason: str = ""
    shift: Estimate = UNDEFINED
    length: Estimate = UNDEFINED
    answer_form: Estimate = UNDEFINED
    wording: Estimate = UNDEFINED
    resolutions: tuple[Resolution, ...] = ()
    shuffled: Placebo | None = None
    halves: Placebo | None = None
    unlike: Real = float("nan")
    phrases: tuple[Phrase, ...] = ()
    rates: int = 0
    problems: int = 0
    responses: int = 0
