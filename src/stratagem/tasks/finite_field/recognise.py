"""Which strategy a response follows, and where it first goes wrong.

Nothing here knows a particular strategy: each one states its path (`Strategy.path`), and a response is
compared with the paths of all.

**Which.** Each step as written votes, by its operator (`Strategy.OPERATORS`) and by its place: the first step
for the paths that begin with its label, a later one for those on which its label comes after the one before.
Where operator and place speak for different strategies, the opening word decides between the two; without one
the step is a slip and does not vote. The strategy with most votes wins. The response is `mixed` instead where
two steps or a third of the votes speak against the winner, where slips outnumber its votes, and where the
opening word names another strategy. So an opening word that nothing else supports decides nothing.

**Where it goes wrong.** Each step is judged by what stands written before it, so that one mistake is counted
once. Within a step the first wrong part counts: label, then operation, then state. After a label out of order
the path is taken up again from there. `Label.error` is the first error in the text, with one exception: a
wrong guess is no slip of execution, so `GUESSED_START` is the error only where nothing else is wrong. Whether
a state is called ``guess`` or ``last`` is never judged, only the state.

A mixed response is judged by the strategy that it announced or began with, so its first error is where it
leaves that one. A truncated one is judged up to the last whole step. `other` and `unparsed` are not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Label, Mark, Problem
from stratagem.tasks.finite_field.chain import Step
from stratagem.tasks.finite_field.strategy import Path, Strategy, Walk
from stratagem.tasks.finite_field.trace import GUESS, LAST, Item, Span, Trace, parse

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

# The operation is not the prompt's for that label (undone where the strategy undoes), or there is none.
OPERAND_LOOKUP = "operand_lookup"
# The new state is not the operation applied to the state before, and CARRIED_STATE does not explain it.
ARITHMETIC_FACT = "arithmetic_fact"
# The label is not the next on the strategy's path: skipped, repeated or not in the prompt.
ORDER = "order"
# A value was not carried over: the first state is not the given one; the operation was applied to the state
# before the preceding one, or not at all; no state is written; the answer is not the state that it should
# repeat. Goes before ARITHMETIC_FACT where both explain a state. States further back are not searched: in
# GF(11) they would explain most random mistakes by chance, where these two explain at most 2 in p - 1.
CARRIED_STATE = "carried_state"
# The strategy does not suit the problem, so the first state had to be guessed, and the guess is wrong.
GUESSED_START = "guessed_start"
# Ends before the last step, goes on after it, or gives no answer.
STOPPING = "stopping"

ERRORS = (OPERAND_LOOKUP, ARITHMETIC_FACT, ORDER, CARRIED_STATE, GUESSED_START, STOPPING)


def label_among(
    strategies: Mapping[str, Strategy],
    task: FiniteField,
    problem: Problem,
    completion: str,
    finish_reason: str,
) -> Label:
    """The label of one completion among `strategies`.

    There is one mark for each head, one for each step and one for the answer, in the order of the text. A mark without
    error spans the whole of it; one with an error spans the part that is wrong (empty where something is missing), with
    what should stand there as `expected`. `Label.step` counts the steps as written: an error in a head belongs to the
    step behind it, one in the answer to the step that would come next. Never raises, on any text.
    """
    trace = parse(completion)
    truncated = finish_reason == "length"
    if truncated and trace.answer is None:
        trace = trace._replace(items=trace.items[:-1])  # the last step may be cut in its middle
    paths = {name: strategy.path(problem.data) for name, strategy in strategies.items()}
    name, judged_by = _decide(trace, strategies, paths)
    if truncated:
        name = TRUNCATED
    if judged_by is None:
        return Label(name, marks=() if trace.answer is None else (Mark(*trace.answer_span),))
    judge = _Judge(task, problem.data.residues, paths[judged_by], trace)
    judge.walk(truncated)
    return judge.label(name)


# -- which -------------------------------------------------------------------------------------------------


def _decide(
    trace: Trace, strategies: Mapping[str, Strategy], paths: Mapping[str, Path]
) -> tuple[str, str | None]:
    """The strategy value, and the name of the strategy to judge by (None: there is nothing to judge)."""
    announced = [name for name, strategy in strategies.items() if strategy.OPENING in trace.words]
    ballots, slips = _ballots(trace.items, strategies, paths, announced)
    if not ballots and not slips:
        return (UNPARSED if trace.answer is None else OTHER), None
    if not ballots:
        return MIXED, next(iter(announced or strategies))
    votes = {name: sum(name in ballot for ballot in ballots) for name in strategies}
    leader = max(strategies, key=lambda name: (votes[name], name in announced))
    against = len(ballots) - votes[leader]
    turned = against >= 2 or 3 * against >= len(ballots) or slips > votes[leader]
    if turned or (announced and leader not in announced):
        return MIXED, next(iter(announced or ballots[0]))
    return leader, leader


def _ballots(
    items: Sequence[Item],
    strategies: Mapping[str, Strategy],
    paths: Mapping[str, Path],
    announced: Sequence[str],
) -> tuple[list[list[str]], int]:
    """The strategies that each voting step speaks for, and the number of slips."""
    places = {name: {step.label: i for i, step in enumerate(path.steps)} for name, path in paths.items()}
    ballots: list[list[str]] = []
    slips = 0
    before: int | None = None
    for item in items:
        form: list[str] = []
        if item.operation is not None:
            form = [name for name, known in strategies.items() if item.operation[0] in known.OPERATORS]
        by_place = [name for name, place in places.items() if _follows(place, before, item.label)]
        before = item.label
        ballot = [name for name in form if name in by_place] if form and by_place else form or by_place
        if form and by_place and not ballot:
            ballot = [name for name in announced if name in form or name in by_place]
            slips += len(ballot) != 1
        # A step that speaks for all of several strategies says nothing.
        if ballot and (len(ballot) < len(strategies) or len(strategies) == 1):
            ballots.append(ballot)
    return ballots, slips


def _follows(place: Mapping[int, int], before: int | None, label: int) -> bool:
    here = place.get(label)
    if here is None:
        return False
    return here == 0 if before is None else place.get(before, here) < here


# -- where it goes wrong -----------------------------------------------------------------------------------


class _Judge:
    """Walks along one trace beside the path that it should follow."""

    def __init__(self, task: FiniteField, residues: Sequence[int], path: Path, trace: Trace) -> None:
        self.task, self.residues, self.path, self.trace = task, residues, path, trace
        self.steps = path.steps
        self.place = {step.label: i for i, step in enumerate(self.steps)}
        self.later: dict[int, Walk] = {}  # walks behind the first one, by the place of their first step
        begin = 0
        for walk in path.walks:
            if begin:
                self.later[begin] = walk
            begin += len(walk.steps)
        self.marks: list[tuple[Mark, int]] = []  # with the step each belongs to
        self.next = 0  # index on the path of the step that should come next
        self.state: int | None = None  # the state before the next step, None where it is unreadable
        self.earlier: int | None = None  # the state before that one
        self.guess: str | None = None  # the guess as written

    def label(self, name: str) -> Label:
        self.marks.sort(key=lambda pair: pair[0].start)
        errors = [(mark.error, step) for mark, step in self.marks if mark.error is not None]
        errors.sort(key=lambda pair: pair[0] == GUESSED_START)
        error, step = errors[0] if errors else (None, None)
        return Label(name, error, step, tuple(mark for mark, _ in self.marks))

    def mark(self, step: int, span: Span, error: str | None = None, expected: str | None = None) -> None:
        self.marks.append((Mark(span[0], span[1], error, expected), step))

    def walk(self, truncated: bool) -> None:
        trace = self.trace
        self.head(self.path.walks[0], 0, trace.first, trace.head_span, trace.first_span)
        answered = trace.answer is None
        for i, item in enumerate(trace.items):
            if not answered and trace.answer_span[0] < item.span[0]:
                self.answer(i)
                answered = True
            self.item(i, item, answered and trace.answer is not None)
        if not answered:
            self.answer(len(trace.items))
        elif trace.answer is None and not truncated:
            self.mark(len(trace.items), (trace.end, trace.end), STOPPING, self.rest())

    def head(self, walk: Walk, i: int, written: str | None, head_span: Span, state_span: Span) -> None:
        """The state before the first step of a walk, which is item `i`."""
        true = walk.states[0]
        self.state = None if written is None else self.task.symbols.get(written)
        if not walk.given:
            self.guess = written
        if self.state == true:
            self.mark(i, head_span)
        elif walk.given or self.state is None:
            self.mark(i, state_span, CARRIED_STATE, self.task.symbol(true))
            if written is None and walk.given:
                self.state = true  # unwritten, it can still be what the first step starts from
        else:
            self.mark(i, state_span, GUESSED_START, self.task.symbol(true))

    def item(self, i: int, item: Item, after_answer: bool) -> None:
        task, steps = self.task, self.steps
        written = None if item.state is None else task.symbols.get(item.state)
        if self.next >= len(steps):
            self.mark(i, item.span, STOPPING, None if after_answer else self.rest())
            self.earlier, self.state = self.state, written
            return
        due, place = self.next, self.place.get(item.label)
        if place in self.later:
            before, span = self.trace.heads.get(i, (None, (item.span[0], item.span[0])))
            self.head(self.later[place], i, before, span, span)
            self.earlier = None
        step = steps[due if place is None else place]
        right = None if place is None else self.applied(self.state, step)
        expected = None if right is None else task.symbol(right)
        if place != due:
            self.mark(i, item.label_span, ORDER, f"#{steps[due].label}")
        elif item.operation != task.word(step):
            self.mark(i, item.operation_span, OPERAND_LOOKUP, task.word(step))
        elif item.state is None:
            self.mark(i, item.state_span, CARRIED_STATE, expected)
        elif written is None:
            self.mark(i, item.state_span, ARITHMETIC_FACT, expected)
        elif right is None or written == right:  # None: nothing readable to judge it by
            self.mark(i, item.span)
        elif written in (self.state, self.applied(self.earlier, step)):
            self.mark(i, item.state_span, CARRIED_STATE, expected)
        else:
            self.mark(i, item.state_span, ARITHMETIC_FACT, expected)
        self.next = (due if place is None else place) + 1
        self.earlier, self.state = self.state, right if written is None else written

    def applied(self, state: int | None, step: Step) -> int | None:
        return None if state is None else self.task.apply(state, step, self.residues)

    def answer(self, i: int) -> None:
        carried, written = self.carried(), self.trace.answer
        if self.next < len(self.steps):
            self.mark(i, self.trace.answer_span, STOPPING, self.rest())
        elif written == carried or (carried is None and written in self.task.symbols):
            self.mark(i, self.trace.answer_span)
        else:
            self.mark(i, self.trace.answer_span, CARRIED_STATE, carried)

    def carried(self) -> str | None:
        """The answer that the trace comes to as it is written, None where that is unreadable."""
        if self.path.guess is None:
            return None if self.state is None else self.task.symbol(self.state)
        return self.guess if self.guess in self.task.symbols else None

    def rest(self) -> str:
        """What should stand next: the step that is due, or the answer."""
        if self.next < len(self.steps):
            step = self.steps[self.next]
            return f"#{step.label} {self.task.word(step)}"
        word = LAST if self.path.guess is None else GUESS
        return f"; answer {word} {self.carried() or self.task.symbol(self.path.answer)}"
