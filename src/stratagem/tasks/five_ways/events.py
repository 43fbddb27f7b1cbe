"""Reading a response as a row of events: steps and bare operations with the state behind them, symbols, words.

    fold e5 #4 *e9 e5 ; e10 #4 *e9 e3 ; -e5 e9 ; forward e3 *e9 e6 +e5 e6 ; answer last e6

Here ``#4 *e9 e5`` is a step, ``-e5 e9`` a bare operation, and ``e10`` a symbol from which a row of steps begins.
What stands between, such as ``:``, ``->`` or ``=``, is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from stratagem.tasks.finite_field.answer import last_answer, plain
from stratagem.tasks.finite_field.trace import Span

_TOKEN = re.compile(
    r"\#\s?(?P<label>[0-9]{1,4})(?!\w)"
    r"|(?P<operation>[-+*/]\s?[a-z][0-9]+)\b"
    r"|\b(?P<symbol>[a-z][0-9]+)\b"
    r"|\b(?P<word>[a-z]+)\b"
    r"|(?P<stop>;)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A written operation (``+e2``) or symbol with its place; empty text where none is written."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Item:
    """A step: label, operation and new state. A bare operation has no label (-1)."""

    label: int
    label_span: Span
    operation: Part
    state: Part

    @property
    def span(self) -> Span:
        return self.label_span[0], max(self.state.span[1], self.operation.span[1])


@dataclass(frozen=True, slots=True)
class Symbol:
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    span: Span


Event = Item | Symbol | Word


@dataclass(frozen=True, slots=True)
class Response:
    """A response: its events before the answer and behind it, the answer, and where what is missing should stand."""

    events: tuple[Event, ...]
    behind: tuple[Event, ...]
    answer: str | None
    answer_span: Span
    end: int

    @property
    def items(self) -> list[Item]:
        """The labelled steps, without the list of the prompt where a response begins with it."""
        return [event for event in self.events if isinstance(event, Item) and event.label >= 0]

    def without_last_step(self) -> Response:
        """Up to the last step, as far as it is certainly whole."""
        last = max(
            (i for i, event in enumerate(self.events) if isinstance(event, Item)), default=len(self.events)
        )
        return replace(self, events=self.events[:last])

    @property
    def words(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Word)]


def parse(completion: str) -> Response:
    """Read a completion. Never raises; what is not there is None or empty."""
    text = plain(completion)
    match = last_answer(text)
    begin, end = match.span() if match else (len(text), len(text))
    return Response(
        tuple(_without_restatement(_events(text, 0, begin))),
        tuple(_events(text, end, len(text))),
        match[1] if match else None,
        (begin, end),
        len(completion.rstrip()) if match is None else begin,
    )


def _events(text: str, begin: int, end: int) -> list[Event]:
    tokens = [match for match in _TOKEN.finditer(text, begin, end) if match.lastgroup]
    events: list[Event] = []
    i = 0

    def take(group: str) -> Part | None:
        nonlocal i
        if i < len(tokens) and tokens[i].lastgroup == group:
            i += 1
            return Part(tokens[i - 1][0].replace(" ", ""), tokens[i - 1].span())
        return None

    while i < len(tokens):
        token = tokens[i]
        match token.lastgroup:
            case "label":
                i += 1
                nothing = Part("", (token.end(), token.end()))
                operation = take("operation") or nothing
                nothing = Part("", (operation.span[1], operation.span[1]))
                state = take("symbol") or nothing
                events.append(Item(int(token["label"]), token.span(), operation, state))
            case "operation":
                operation = take("operation")
                assert operation is not None
                state = take("symbol") or Part("", (token.end(), token.end()))
                events.append(Item(-1, (token.start(), token.start()), operation, state))
            case "symbol":
                i += 1
                events.append(Symbol(token[0], token.span()))
            case "word":
                i += 1
                events.append(Word(token[0], token.span()))
            case _:
                i += 1
    return events


def _without_restatement(events: list[Event]) -> list[Event]:
    """Without the prompt said again: leading steps with nothing behind them, that come again with something."""
    items = [event for event in events if isinstance(event, Item) and event.label >= 0]
    worked = {item.label for item in items if item.state.text}
    restated = 0
    for item in items:
        if item.state.text or item.label not in worked:
            break
        restated += 1
    return events[events.index(items[restated - 1]) + 1 :] if restated else events
