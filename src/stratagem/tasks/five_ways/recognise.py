"""Which of five strategies a response follows.

Its form says: steps with a pair of symbols are a fold, with one a walk, ``again`` and ``accept`` checks. Walks alone
are read as `finite_field` reads them, by the direction of their steps. The form of a strategy with the opening of
another, or with too much of another form in it (two steps, and a third of all), is mixed. One step of the wrong form is
a mistake in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Label, Problem
from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field import recognise as walks
from stratagem.tasks.finite_field.chain import EVALUATION, Chain
from stratagem.tasks.finite_field.strategy import Strategy as Walk
from stratagem.tasks.five_ways import algebraic, guess, meet
from stratagem.tasks.five_ways.events import Item, Response, Word, parse
from stratagem.tasks.five_ways.judge import Judge
from stratagem.tasks.five_ways.words import ACCEPT, AGAIN, FOLD

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField


class Strategy(Protocol):
    """The shape of a module of a strategy that is more than a walk."""

    @property
    def OPENING(self) -> str: ...

    def demonstrate(self, task: FiniteField, content: Chain) -> str:
        """The gold response."""
        ...

    def judge(self, judge: Judge) -> None:
        """Mark a response that is of this strategy."""
        ...


WALKS: Mapping[str, Walk] = {"forward": forward, "backward": backward}
OTHERS: Mapping[str, Strategy] = {"meet": meet, "guess": guess, "algebraic": algebraic}


def label(task: FiniteField, problem: Problem, completion: str, finish_reason: str) -> Label:
    """As `Task.label`: one mark for each head, step, check and answer; see `judge` for the kinds of error."""
    chain: Chain = problem.data
    response = parse(completion)
    truncated = finish_reason == "length"
    if truncated and response.answer is None:
        response = response.without_last_step()  # it may be cut in its middle
    announced = opening_of(response)
    form = form_of(response, chain, announced)
    if form is None:
        found = walks.label_among(WALKS, task, problem, completion, finish_reason)
        contradicted = announced in OTHERS and found.strategy not in (OTHER, UNPARSED, TRUNCATED)
        return Label(MIXED, found.error, found.step, found.marks) if contradicted else found
    judge = Judge(task, chain, response, truncated)
    judged_by = form if announced is None else announced
    OTHERS.get(judged_by, OTHERS[form]).judge(judge)
    if truncated:
        return judge.label(TRUNCATED)
    return judge.label(form if is_pure(response, chain, form, announced) else MIXED)


def opening_of(response: Response) -> str | None:
    """The strategy whose opening stands before the first step."""
    openings = {strategy.OPENING: name for name, strategy in {**WALKS, **OTHERS}.items()}
    for event in response.events:
        if isinstance(event, Item):
            return None
        if isinstance(event, Word) and event.text in openings:
            return openings[event.text]
    return None


def form_of(response: Response, chain: Chain, announced: str | None) -> str | None:
    """The strategy whose form a response has, None for a walk, or for no steps at all."""
    items = response.items
    states = sum(item.is_walked for item in items)
    pairs = sum(bool(item.pair) for item in items)
    # One pair in a walk is a slip, where no word says that it is a fold.
    if pairs > 1 or (pairs and (FOLD in response.words or (announced is None and states < 3))):
        before = len(walked_before(items))
        return (
            "meet"
            if before > 1 or (before and announced != "algebraic") or announced == "meet"
            else "algebraic"
        )
    checked = any(word in (ACCEPT, AGAIN) for word in response.words)
    if states and (checked or announced == "guess"):
        return "guess"
    if announced == "meet" and 0 < states < len(chain.steps):
        return "meet"  # it ended before it folded
    return None


def is_pure(response: Response, chain: Chain, form: str, announced: str | None) -> bool:
    """Whether a response is of its form throughout, and its opening, where there is one, says so."""
    if announced not in (None, form):
        return False
    items = response.items
    if form == "guess":  # it works towards the given end
        towards = "-/" if chain.kind == EVALUATION else "+*"
        return 2 * sum(item.operation.text[:1] in towards for item in items if item.operation.text) >= len(
            items
        )
    behind = walked_behind(items)
    before = len(walked_before(items))
    if behind >= 2 and 3 * behind >= len(items) - before:
        return False
    return before < 2 if form == "algebraic" else before > 0 or len(chain.steps) == 1


def walked_before(items: list[Item]) -> list[Item]:
    """The steps before the first pair."""
    first = next((i for i, item in enumerate(items) if item.pair), len(items))
    return items[:first]


def walked_behind(items: list[Item]) -> int:
    """How many steps behind the first pair have one symbol in its place."""
    return sum(item.is_walked for item in items[len(walked_before(items)) :])
