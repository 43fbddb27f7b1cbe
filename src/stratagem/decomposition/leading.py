"""Which part of a gain is larger, in one sentence for every place that shows a gain.

The convention is select, then improve. Where improving first would make another part lead, none is named: the sentence
gives the range of both parts over both orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from stratagem.decomposition.parts import Account, ByProblem, HasParts, Split, Unparsed
from stratagem.records import UNDEFINED, Estimate, Result, points

PLAIN = {"selection": "choice", "choice": "choice", "improvement": "execution"}


class Terms(Result, frozen=True, kw_only=True):
    """What a lead is read from: some fields of `Decomposed`, of the same names.

    `by` is None where the level goes without saying.
    """

    gain: Estimate = UNDEFINED
    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED
    gap: Estimate = UNDEFINED
    reverse: Split = Split()
    lead: str | None = None
    order_dependent: bool | None = None
    by: tuple[str, ...] | None = None
    by_problem: ByProblem = ByProblem()


class HasTerms(HasParts, Protocol):
    """What has the fields of `Terms` but the gap."""

    @property
    def gain(self) -> Estimate: ...
    @property
    def reverse(self) -> Split: ...
    @property
    def lead(self) -> Any: ...
    @property
    def order_dependent(self) -> bool | None: ...
    @property
    def by(self) -> tuple[str, ...] | None: ...
    @property
    def by_problem(self) -> ByProblem: ...


class Leading(NamedTuple):
    """The level that the headline rests on.

    Attributes:
        name: of the first part: `selection` at the level of strata, `choice` by problem.
        way: the level in words.
        choice, improvement: select, then improve. new_strategy: None by problem, where it is part of the choice.
        lead: `selection` or `choice`, `improvement`, `new_strategy` or `undecided`.
        range_choice, range_improvement: least and most over both orders.
    """

    name: str
    way: str
    choice: Estimate
    improvement: Estimate
    new_strategy: Estimate | None
    gap: Estimate
    lead: str
    order_dependent: bool
    range_choice: tuple[float, float]
    range_improvement: tuple[float, float]


def leading(terms: HasTerms) -> Leading:
    """The split by problem where it leads (`ByProblem.leads`), else that by stratum.

    New strategies that lead by stratum are said at that level: by problem they are part of the choice.
    """
    sizes = max(abs(terms.selection.value), abs(terms.improvement.value))
    fresh = terms.new_strategy.low > sizes and terms.gain.low > 0
    if terms.by_problem.leads and not fresh:
        split = terms.by_problem
        choice, reverse = split.choice, split.reverse
        name, way, new, lead = "choice", "problem by problem", None, split.lead
        other, gap, depends = reverse.choice, split.gap, split.order_dependent
        improvement, executed = split.improvement, reverse.improvement
    else:
        name, way, new, lead = "selection", level_in_words(terms.by), terms.new_strategy, terms.lead
        choice, other = terms.selection, terms.reverse.selection
        improvement, executed = terms.improvement, terms.reverse.improvement
        gap, depends = getattr(terms, "gap", UNDEFINED), terms.order_dependent
    parts = {name: choice, "improvement": improvement}
    # A part leads that is larger than the other, significantly, and itself significant.
    named = parts.get(lead or "")
    if named is None or not (named.low > 0 or named.high < 0):
        lead = "undecided"
    if fresh:
        lead = "new_strategy"
    return Leading(
        name,
        way,
        choice,
        improvement,
        new,
        gap,
        lead or "undecided",
        bool(depends) and lead != "new_strategy",
        _range(choice, other),
        _range(improvement, executed),
    )


def lead_clause(terms: HasTerms) -> str:
    """The clause of a sentence that says which part moved accuracy more, with what stands before it."""
    x = leading(terms)
    way = f"{x.way} " if x.way else ""
    if x.order_dependent:
        return f"; {way}it depends on the order of counting whether {x.name} or improvement moved it more"
    if x.lead == "undecided":
        return f"; {way}it is open whether {x.name} or improvement moved it more"
    if x.lead == "new_strategy":
        return f", most of it by strategies not seen before{f', {x.way}' if x.way else ''}"
    parts = {x.name: x.choice, "improvement": x.improvement}
    other = next(name for name in parts if name != x.lead)
    end = f", {x.way}" if x.new_strategy is None else f" {x.way}".rstrip()
    if terms.gain.high < 0 and parts[x.lead].high < 0:
        return f", more by worse {PLAIN[x.lead]} than by {PLAIN[other]}{end}"
    if terms.gain.low > 0 and parts[x.lead].low > 0:
        return f", more by {x.lead} than by {other}{end}"
    return f"; {way}{x.lead} is larger in size than {other}"


def ranges(x: Leading) -> str:
    """Both parts over both orders of counting."""
    return (
        f"{x.name} is {_ends(x.range_choice)} points and improvement {_ends(x.range_improvement)} points, whichever is "
        "counted first"
    )


def lead_sentence(terms: HasTerms) -> str:
    """The same as a sentence by itself, ranges included."""
    clause = lead_clause(terms).lstrip(",; ")
    x = leading(terms)
    text = f"{clause}: {ranges(x)}" if x.order_dependent else f"select, then improve: {clause}"
    return f"{text[:1].upper()}{text[1:]}."


def no_split(unparsed: Unparsed) -> str:
    """Why a gain has no parts, as a sentence: the labels find no answer in most right responses."""
    sides = (("before", unparsed.of_right_before), ("after", unparsed.of_right_after))
    parts = [f"{points(part)}% {side}" for side, part in sides if part > 0]
    return (
        "Selection and improvement cannot be told apart: of the right responses the labels find no answer in "
        f"{' and '.join(parts)}."
    )


def terms_of(account: Account, by_problem: ByProblem | None = None) -> Terms:
    """The terms of an account whose level goes without saying, and the split by problem beside it."""
    names = ("gain", "selection", "improvement", "new_strategy", "reverse", "lead", "order_dependent")
    return Terms(**{name: getattr(account, name) for name in names}, by_problem=by_problem or ByProblem())


def level_in_words(by: Sequence[str] | None) -> str:
    if by is None:
        return ""
    if not by:
        return "with all problems as one stratum"
    if tuple(by) == ("problem_id",):
        return "problem by problem"
    names = by[0] if len(by) == 1 else f"{', '.join(by[:-1])} and {by[-1]}"
    return f"at the level of {names}"


def _range(first: Estimate, second: Estimate) -> tuple[float, float]:
    return min(first.value, *second.ends), max(first.value, *second.ends)


def _ends(ends: tuple[float, float]) -> str:
    low, high = (points(end, sign="+") for end in ends)
    return low if low == high else f"{low} to {high}"
