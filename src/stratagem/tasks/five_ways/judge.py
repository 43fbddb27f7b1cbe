"""Where a response first goes wrong: each written part is judged by what stands written before it.

So one mistake is counted once. Kinds of error are those of `finite_field`, with one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.records import Label, Mark
from stratagem.tasks.finite_field.chain import Chain, Step
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    GUESSED_START,
    OPERAND_LOOKUP,
    ORDER,
    STOPPING,
)
from stratagem.tasks.finite_field.trace import Span
from stratagem.tasks.five_ways.events import Event, Item, Part, Response, Symbol, Word
from stratagem.tasks.five_ways.fold import NO_LABEL, operations, zero_and_one
from stratagem.tasks.five_ways.words import ACCEPT, AGAIN

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

# A check accepts where something is left, or refuses where nothing is, or takes away another symbol than the given one.
WRONG_CHECK = "wrong_check"


class Judge:
    """Goes along one response. `state` is the last state as written, None where it is unreadable."""

    def __init__(self, task: FiniteField, chain: Chain, response: Response, truncated: bool) -> None:
        self.task, self.chain, self.response, self.truncated = task, chain, response, truncated
        self.events: Sequence[Event] = response.events
        self.at = 0  # the event that is next
        self.step = 0  # steps so far
        self.state: int | None = None
        self.earlier: int | None = None  # the state before that one
        self.pair: tuple[int, int] | None = None  # what a fold came to, None where that is unreadable
        self.marks: list[tuple[Mark, int]] = []
        self.stopped = False  # something was missing: nothing behind it is judged

    def label(self, name: str) -> Label:
        errors = [(mark.error, step) for mark, step in self.marks if mark.error is not None]
        errors.sort(key=lambda pair: pair[0] == GUESSED_START)
        error, step = errors[0] if errors else (None, None)
        return Label(name, error, step, tuple(mark for mark, _ in self.marks))

    def mark(self, span: Span, error: str | None = None, expected: str | None = None) -> None:
        self.marks.append((Mark(span[0], span[1], error, expected), self.step))

    # -- the events that stand next ------------------------------------------------------------------------

    def next(self) -> Event | None:
        return self.events[self.at] if self.at < len(self.events) else None

    def next_item(self) -> Item | None:
        """The next step, if no symbol or check comes before it; other words are passed over."""
        at = self.at
        while at < len(self.events):
            event = self.events[at]
            if isinstance(event, Item):
                self.at = at
                return event
            if isinstance(event, Symbol) or event.text in (ACCEPT, AGAIN):
                return None
            at += 1
        return None

    def next_symbol(self) -> Symbol | None:
        """The next symbol, if no step comes before it, taken."""
        at = self.at
        while at < len(self.events) and isinstance(self.events[at], Word):
            at += 1
        if at < len(self.events) and isinstance(symbol := self.events[at], Symbol):
            self.at = at + 1
            return symbol
        return None

    def more_steps(self) -> bool:
        return any(isinstance(event, Item) for event in self.events[self.at :])

    @property
    def place(self) -> int:
        """Where something missing should stand."""
        event = self.next()
        return self.response.end if event is None else event.span[0]

    def stop(self, expected: str | None) -> None:
        """Something is missing here, and what follows has nothing to be judged by."""
        if not self.stopped and not self.truncated:
            self.mark((self.place, self.place), STOPPING, expected)
        self.stopped = True

    # -- the parts of a response ---------------------------------------------------------------------------

    def index(self, written: str) -> int | None:
        return self.task.symbols.get(written)

    def symbol(self, index: int | None) -> str | None:
        return None if index is None else self.task.symbol(index)

    def applied(self, state: int | None, step: Step) -> int | None:
        return None if state is None else self.task.apply(state, step, self.chain.residues)

    def head(self, true: int | None) -> None:
        """The first state of a row of steps, which repeats a known one."""
        if self.stopped or (self.truncated and self.next() is None):
            return
        symbol = self.next_symbol()
        self.earlier = None
        if symbol is None:
            self.mark((self.place, self.place), CARRIED_STATE, self.symbol(true))
            self.state = true
            return
        self.state = self.index(symbol.text)
        if true is None or self.state == true:
            self.mark(symbol.span)
        else:
            self.mark(symbol.span, CARRIED_STATE, self.symbol(true))

    def guess(self) -> int | None:
        """The first state of a try: any symbol of the field is right."""
        if self.stopped or (self.truncated and self.next() is None):
            return None
        symbol = self.next_symbol()
        self.earlier, self.state = None, None
        if symbol is None:
            self.mark((self.place, self.place), CARRIED_STATE)
            return None
        self.state = self.index(symbol.text)
        self.mark(symbol.span, None if self.state is not None else CARRIED_STATE)
        return self.state

    def walk(self, way: Sequence[Step], whole: bool) -> int:
        """Steps with their states, all of them where it is the `whole` way; returns how many the walk came past."""
        place = {step.label: i for i, step in enumerate(way)}
        due = 0
        while not self.stopped and (item := self.next_item()) is not None:
            if item.label < 0:
                break
            self.at += 1
            if due >= len(way):
                self.mark(item.span, STOPPING)
            else:
                here = place.get(item.label)
                right = None if here is None else self.applied(self.state, way[here])
                if self.begins_rightly(item, way[due]):
                    self.state_of(item.state, way[due], right, item.span)
                due = (due if here is None else here) + 1
            self.earlier, self.state = self.state, self.index(item.state.text)
            self.step += 1
        if whole and due < len(way):
            self.stop(f"#{way[due].label} {self.task.word(way[due])}")
        return due

    def begins_rightly(self, item: Item, step: Step) -> bool:
        """Judge the label and the operation."""
        if item.label != step.label:
            self.mark(item.label_span, ORDER, f"#{step.label}")
        elif item.operation.text != self.task.word(step):
            self.mark(item.operation.span, OPERAND_LOOKUP, self.task.word(step))
        else:
            return True
        return False

    def state_of(self, written: Part, step: Step, right: int | None, span: Span) -> None:
        expected, index = self.symbol(right), self.index(written.text)
        if not written.text:
            self.mark(written.span, CARRIED_STATE, expected)
        elif index is None:
            self.mark(written.span, ARITHMETIC_FACT, expected)
        elif right is None or index == right:
            self.mark(span)
        elif index in (self.state, self.applied(self.earlier, step)):
            self.mark(written.span, CARRIED_STATE, expected)
        else:
            self.mark(written.span, ARITHMETIC_FACT, expected)

    def fold(self, steps: Sequence[Step]) -> None:
        """A walk from zero and one from one, and the difference of where they come to: sets `pair`."""
        zero, one = zero_and_one(self.chain.residues)
        self.head(zero)
        self.walk(steps, whole=True)
        added = self.state
        if self.stopped:
            return
        self.head(one)
        self.walk(steps, whole=True)
        factor = self.bare(None if added is None else Step(NO_LABEL, "-", added))
        if factor is not None and added is not None and self.chain.residues[factor] != 0:
            self.pair = factor, added

    def bare(self, step: Step | None) -> int | None:
        """One bare operation on the last state, `step` if that is readable; returns the new state."""
        if self.stopped:
            return None
        item = self.next_item()
        word = None if step is None else self.task.word(step)
        if item is None or item.label >= 0:
            self.stop(word)
            return None
        self.at += 1
        if step is None:  # nothing readable to judge it by
            self.mark(item.span)
        elif item.operation.text != word:
            self.mark(item.operation.span, CARRIED_STATE, word)
        else:
            self.state_of(item.state, step, self.applied(self.state, step), item.span)
        self.earlier, self.state = self.state, self.index(item.state.text)
        self.step += 1
        return self.state

    def apply(self, true: int | None) -> None:
        """The fold applied to a state, or undone: two bare operations."""
        self.head(true)
        due = (None, None) if self.pair is None else operations(self.pair, self.chain.kind)
        for step in due:
            self.bare(step)

    def check(self) -> bool:
        """A try's end: the given symbol taken from the last state, and the verdict; returns whether that accepts."""
        if self.stopped:
            return False
        taken, item = Step(NO_LABEL, "-", self.chain.given), self.next_item()
        if item is None or item.label >= 0:
            self.stop(self.task.word(taken))
            return False
        self.at += 1
        if item.operation.text != self.task.word(taken):
            self.mark(item.operation.span, WRONG_CHECK, self.task.word(taken))
        else:
            self.state_of(item.state, taken, self.applied(self.state, taken), item.span)
        left = self.index(item.state.text)
        right = None if left is None else ACCEPT if self.chain.residues[left] == 0 else AGAIN
        while isinstance(event := self.next(), Word):
            self.at += 1
            if event.text in (ACCEPT, AGAIN):
                self.mark(event.span, None if event.text == right else WRONG_CHECK, right)
                return event.text == ACCEPT
        self.stop(right)
        return False

    def answer(self, carried: int | None) -> None:
        """The answer repeats the last state; nothing but it stands behind the work."""
        response = self.response
        if response.answer is None:
            self.stop(f"; answer last {self.symbol(carried)}" if carried is not None else "; answer")
        elif not self.stopped:
            self.goes_on()
            wrong = carried is not None and self.index(response.answer) != carried
            wrong |= response.answer not in self.task.symbols
            self.mark(
                response.answer_span,
                CARRIED_STATE if wrong else None,
                self.symbol(carried) if wrong else None,
            )
        else:
            self.mark(response.answer_span)

    def answer_guess(self, guess: int | None, accepted: bool) -> None:
        """The answer repeats the accepted guess. Given up after one that was refused, it is a wrong guess."""
        given_up = not accepted and not self.stopped and self.response.answer in self.task.symbols
        if given_up:
            self.goes_on()
            self.mark(self.response.answer_span, GUESSED_START, self.symbol(self.chain.asked))
        else:
            self.answer(guess)

    def goes_on(self) -> None:
        """Mark steps that stand where the answer should, or behind it."""
        for event in (*self.events[self.at :], *self.response.behind):
            if isinstance(event, Item):
                self.mark(event.span, STOPPING)
