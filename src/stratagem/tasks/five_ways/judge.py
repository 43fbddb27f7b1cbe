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
from stratagem.tasks.five_ways.fold import NO_LABEL, folded, identity, operations
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
        self.pair: tuple[int, int] | None = None
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
            if item.label < 0 or (not whole and item.pair):
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
        """Steps with their pairs, from the pair of no step."""
        self.pair = identity(self.chain.residues)
        place = {step.label: i for i, step in enumerate(steps)}
        due = 0
        while not self.stopped and (item := self.next_item()) is not None and item.label >= 0:
            self.at += 1
            if due >= len(steps):
                self.mark(item.span, STOPPING)
            else:
                here = place.get(item.label)
                if self.begins_rightly(item, steps[due]):
                    self.pair_of(item, steps[due])
                due = (due if here is None else here) + 1
            self.pair = self.read_pair(item.pair)
            self.step += 1
        if due < len(steps):
            self.stop(f"#{steps[due].label} {self.task.word(steps[due])}")

    def read_pair(self, pair: Sequence[Part]) -> tuple[int, int] | None:
        if len(pair) != 2:
            return None
        factor, added = (self.index(part.text) for part in pair)
        if factor is None or added is None or self.chain.residues[factor] == 0:
            return None
        return factor, added

    def pair_of(self, item: Item, step: Step) -> None:
        right = None if self.pair is None else folded(self.task, self.pair, step, self.chain.residues)
        if right is None:  # nothing readable to judge it by
            unreadable = self.read_pair(item.pair) is None
            self.mark(item.span, ARITHMETIC_FACT if unreadable else None)
            return
        expected = tuple(map(self.task.symbol, right))
        if len(item.pair) < 2:
            self.mark((item.span[1], item.span[1]), CARRIED_STATE, " ".join(expected))
            return
        wrong = next((i for i in range(2) if item.pair[i].text != expected[i]), None)
        if wrong is None:
            self.mark(item.span)
        else:
            kept = self.pair is not None and self.index(item.pair[wrong].text) == self.pair[wrong]
            error = CARRIED_STATE if kept else ARITHMETIC_FACT
            self.mark(item.pair[wrong].span, error, expected[wrong])

    def apply(self, true: int | None) -> None:
        """The last pair applied to a state, or undone: two bare operations."""
        self.head(true)
        due = None if self.pair is None else operations(self.pair, self.chain.kind)
        for i in range(2):
            if self.stopped:
                return
            item = self.next_item()
            if item is None or item.label >= 0:
                self.stop(None if due is None else self.task.word(due[i]))
                return
            self.at += 1
            if due is None:
                self.mark(item.span)
            elif item.operation.text != self.task.word(due[i]):
                self.mark(item.operation.span, CARRIED_STATE, self.task.word(due[i]))
            else:
                self.state_of(item.state, due[i], self.applied(self.state, due[i]), item.span)
            self.earlier, self.state = self.state, self.index(item.state.text)
            self.step += 1

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
