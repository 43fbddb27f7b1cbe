"""The parts of a gain: what a decomposition is made of, as types."""

from __future__ import annotations

import math
from typing import Literal, Protocol

from stratagem.records import UNDEFINED, Estimate, Real, Result

MOST = 0.5  # of the right responses of a side

# Which of selection and improvement is larger in size at the level of the intervals, selecting first.
Lead = Literal["selection", "improvement", "undecided"]
# The same by problem, where selection and new strategies are one.
ChoiceLead = Literal["choice", "improvement", "undecided"]


class HasParts(Protocol):
    """What has the three terms of a gain."""

    @property
    def selection(self) -> Estimate: ...
    @property
    def improvement(self) -> Estimate: ...
    @property
    def new_strategy(self) -> Estimate: ...


class Split(Result, frozen=True):
    """A gain in three parts."""

    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED


class ThreeFold(Result, frozen=True):
    """A gain in four parts: both changes from the old state, and what they do only together."""

    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    interaction: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED


class InTwo(Result, frozen=True):
    """A gain in two parts: the choice of strategies, new ones included, and their execution."""

    choice: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED


class ByProblem(Result, frozen=True, kw_only=True):
    """The gain with every problem as its own stratum (`by_problem.by_problem`).

    Attributes:
        choice: selection and new strategies together. improvement: execution. Select, then improve; they sum to the
            gain. Intervals reach over what responses too few to show every strategy leave open.
        gap: |choice| - |improvement|. lead: which is larger in size; None where the split is not made.
        reverse: improve, then select. order_dependent: the other order's lead is another one.
        difference: improvement by problem minus improvement by stratum. disagrees: it is significant and more than 2
            points, so that problems inside a stratum differ; None where the split is not made.
        with_2, with_4: problems with so many responses or more on both sides; of 90% of the problems, the former
            allow the split, the latter make it lead.
        leads: whether the headline rests on this split.
    """

    choice: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    gap: Estimate = UNDEFINED
    reverse: InTwo = InTwo()
    difference: Estimate = UNDEFINED
    lead: ChoiceLead | None = None
    order_dependent: bool | None = None
    disagrees: bool | None = None
    with_2: int = 0
    with_4: int = 0
    leads: bool = False


class Unparsed(Result, frozen=True, kw_only=True):
    """Responses in which the labels find no answer.

    Attributes:
        share_before, share_after: of all responses.
        right_before, right_after: the part of them that is right all the same; NaN where there are none.
        of_right_before, of_right_after: the part of all right responses that is unparsed; NaN where none is right.
    """

    share_before: Real = 0.0
    share_after: Real = 0.0
    right_before: Real = math.nan
    right_after: Real = math.nan
    of_right_before: Real = math.nan
    of_right_after: Real = math.nan

    @property
    def hides_split(self) -> bool:
        """Most right responses of a side are unparsed.

        Selection and improvement say by which strategies right responses were won. Where most of these follow no
        strategy that is known, both parts are made of how many the labels miss.
        """
        return self.of_right_before > MOST or self.of_right_after > MOST


class Account(Result, frozen=True, kw_only=True):
    """A gain as selection, improvement and new strategies, in both orders of accounting.

    Attributes:
        gain: accuracy after minus before, as a fraction; standard error in closed form, t interval.
        selection, improvement, new_strategy: select, then improve. They sum to the gain.
        reverse: improve, then select. symmetric: the mean of both orders.
        simultaneous: selection, improvement and new strategy with intervals that hold together.
        lead: which of selection and improvement is larger in size; None where strategies are not known, or of too few
            right responses (`Unparsed.hides_split`): then the parts are undefined.
        order_dependent: the lead of one order is not that of the other, or is open there.
        problems: that were compared. level: of all intervals.
    """

    gain: Estimate = UNDEFINED
    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED
    reverse: Split = Split()
    symmetric: Split = Split()
    simultaneous: Split = Split()
    lead: Lead | None = None
    order_dependent: bool | None = None
    problems: int = 0
    level: float = 0.95
