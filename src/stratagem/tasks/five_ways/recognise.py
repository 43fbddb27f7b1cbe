"""Which of five strategies a response follows.

Its form says. Behind ``fold``, or where two rows of steps begin at zero and at one, is a fold; what is walked before it
makes it `meet`; ``again`` and ``accept`` are checks of guesses. Other walks are read as `finite_field` reads them, by
the direction of their steps. The form of a strategy with the opening of another, or whose steps go the wrong way, is
mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Label, Problem
from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field import recognise as walks
from stratagem.tasks.finite_field.chain import EVALUATION, Chain
from stratagem.tasks.finite_field.strategy import Strategy as Walk
from stratagem.tasks.five_ways import algebraic, guess, meet
from stratagem.tasks.five_ways.events import Item, Response, Symbol, Word, parse
from stratagem.tasks.five_ways.fold import zero_and_one
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
    form = form_of(task, response, chain, announced)
    if form is None:
        found = walks.label_among(WALKS, task, problem, completion, finish_reason)
        contradicted = announced in OTHERS and found.strategy not in (OTHER, UNPARSED, TRUNCATED)
        return Label(MIXED, found.error, found.step, found.marks) if contradicted else found
    judge = Judge(task, chain, response, truncated)
    judged_by = form if announced is None else announced
    OTHERS.get(judged_by, OTHERS[form]).judge(judge)
    if truncated:
        return judge.label(TRUNCATED)
    return judge.label(form if is_pure(task, response, chain, form, announced) else MIXED)


def opening_of(response: Response) -> str | None:
    """The strategy whose opening stands before the first step."""
    openings = {strategy.OPENING: name for name, strategy in {**WALKS, **OTHERS}.items()}
    for event in response.events:
        if isinstance(event, Item):
            return None
        if isinstance(event, Word) and event.text in openings:
            return openings[event.text]
    return None


def form_of(task: FiniteField, response: Response, chain: Chain, announced: str | None) -> str | None:
    """The strategy whose form a response has, None for one walk, or for no steps at all."""
    rows = rows_of(response)
    if any(word in (ACCEPT, AGAIN) for word in response.words) and rows:
        return "guess"
    begun = fold_begins(task, chain, rows)
    if begun is not None:
        return "algebraic" if begun == 0 and (announced != "meet" or len(chain.steps) > 1) else "meet"
    if announced == "guess" and rows:
        return "guess"  # it ended before it checked
    if announced == "meet" and 0 < len(response.items) < len(chain.steps):
        return "meet"  # it ended before it folded
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """Steps one after another: the symbol they begin from, if any, their labels, and whether ``fold`` stands before."""

    head: str | None
    items: list[Item]
    folds: bool


def rows_of(response: Response) -> list[Row]:
    """The rows of labelled steps; each begins where a symbol stands before a step."""
    rows: list[Row] = []
    head: str | None = None
    folds = False
    for event in response.events:
        match event:
            case Item() if event.label >= 0:
                if not rows or head is not None:
                    rows.append(Row(head, [], folds))
                    folds = False
                rows[-1].items.append(event)
                head = None
            case Word():
                folds |= event.text == FOLD
            case Symbol():
                head = event.text
            case _:
                head = None
    return rows


def fold_begins(task: FiniteField, chain: Chain, rows: list[Row]) -> int | None:
    """The row in which a fold begins, None where there is none."""
    ends = [task.symbol(index) for index in zero_and_one(chain.residues)]
    heads = [row.head for row in rows]
    for i, row in enumerate(rows):
        # The word alone, as the opening, makes no fold of steps that are not in its form.
        if row.folds and (i > 0 or heads[0] == ends[0] or heads[1:2] == ends[1:]):
            return i
    return next((i for i in range(len(rows) - 1) if heads[i : i + 2] == ends), None)


def is_pure(task: FiniteField, response: Response, chain: Chain, form: str, announced: str | None) -> bool:
    """Whether the steps of a form go its way, and its opening, where there is one, says so."""
    if announced not in (None, form):
        return False
    rows = rows_of(response)
    evaluates = chain.kind == EVALUATION
    if form == "guess":  # it works from the asked end to the given one
        return goes([item for row in rows for item in row.items], forward=not evaluates)
    begun = fold_begins(task, chain, rows)
    folded = [] if begun is None else [item for row in rows[begun:] for item in row.items]
    walked = [item for row in rows[:begun] for item in row.items]
    return goes(folded, forward=True) and goes(walked, forward=evaluates)


def goes(items: list[Item], forward: bool) -> bool:
    """Whether no more than half of the operations are of the other direction."""
    operators = [item.operation.text[0] for item in items if item.operation.text]
    return 2 * sum(operator in ("-/" if forward else "+*") for operator in operators) <= len(operators)
