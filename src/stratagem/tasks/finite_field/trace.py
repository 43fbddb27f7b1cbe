"""The written form of a trace, both ways: `write` makes the canonical text, `parse` reads any text.

    forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6             the first state is given
    backward guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6      it is not, and has to be guessed

A way of several walks has a ``;`` between them, and each walk its own first state: ``e9 #3 +e2 e3 ; guess e6 #4 /e9
e3``.

`parse` also reads what an LLM makes of that form: capitals, ``#3: +e2 -> e3``, ``#3 e9 + e2 = e3``, ``Step 3:``, a few
words in between, line breaks, Markdown, LaTeX, ``Answer: e6.`` and ``The answer to the problem is e6``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from stratagem.tasks.finite_field.answer import last_answer, plain
from stratagem.tasks.finite_field.strategy import Path

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

Span = tuple[int, int]
GUESS, LAST = "guess", "last"

_ITEM = re.compile(
    r"""
    \#\s?(?P<label>[0-9]{1,4})(?!\w)
    (?:
        [^\w#;]{0,20}? (?:(?!answer)[a-z]+[^\w#;]{1,20}?){0,4}?     # filler
        (?:\b(?P<before>[a-z][0-9]+)\s*)?                           # the state before, said again
        (?P<operator>[-+/] | (?<!\*)\*(?!\*) | (?<=\*\*)\*)\s*    # ** is bold print
        (?P<operand>[a-z][0-9]+)\b
    )?
    (?:
        [^\w#;]{0,20} (?:(?!answer)[a-z]+[^\w#;]{1,20}){0,6}        # filler, never on into the answer
        \b(?P<state>[a-z][0-9]+)\b
    )?
    """,
    re.VERBOSE,
)
_STEP = re.compile(r"\bstep\s+(?=[0-9])")
_WORD = re.compile(r"\b(?:([a-z][0-9]+)|([a-z]+))\b")


class Item(NamedTuple):
    """One step as written: label, operation (``+e2``) and new state (``e3``), None where there is none."""

    label: int
    operation: str | None
    state: str | None
    match: re.Match[str]

    @property
    def span(self) -> Span:
        return self.match.span()

    @property
    def label_span(self) -> Span:
        return self.match.start(), self.match.end("label")

    @property
    def operation_span(self) -> Span:
        """Empty, behind the label, where no operation is written."""
        match = self.match
        if self.operation is None:
            return match.end("label"), match.end("label")
        return match.start("operator"), match.end("operand")

    @property
    def state_span(self) -> Span:
        """Empty, at the item's end, where no state is written."""
        return (self.match.end(), self.match.end()) if self.state is None else self.match.span("state")


class Trace(NamedTuple):
    """A completion as read. Spans are in characters of the completion; symbols and words are in lower case.

    `words` are those before the first step, among them the opening; `first` is the state before the first
    step, as a rule written before it, else within it. `heads` are the first states of later walks, by the item that
    each stands before. `end` is the place of the first ``;`` behind the steps, else the text's end. `answer` is the
    last one. Symbols are not checked against a field: ``e99`` may stand anywhere.
    """

    words: tuple[str, ...]
    first: str | None
    head_span: Span  # from the first word or symbol to the first state, empty where there is neither
    first_span: Span  # empty, at the head's end, where the head has no state
    items: tuple[Item, ...]
    heads: dict[int, tuple[str, Span]]
    end: int
    answer: str | None
    answer_span: Span  # with the word "answer" itself


def write(task: FiniteField, opening: str, path: Path) -> str:
    """The canonical text of a path, ending in its answer. A first state that is guessed is called a guess."""
    parts = [opening]
    for number, walk in enumerate(path.walks):
        parts += [*([";"] if number else []), *([] if walk.given else [GUESS]), task.symbol(walk.states[0])]
        for step, state in zip(walk.steps, walk.states[1:], strict=True):
            parts += [f"#{step.label}", task.word(step), task.symbol(state)]
    called = LAST if path.guess is None else GUESS
    return " ".join([*parts, ";", "answer", called, task.symbol(path.answer)])


def parse(completion: str) -> Trace:
    """Read a completion. Never raises; what is not there is None or empty."""
    text = plain(completion)
    items = _items(text)
    if "step" in text and not any(item.state for item in items):
        # Without labels as they should be, "step 3" is one; with them, it is the text's own numbering.
        text = _STEP.sub(lambda match: "#".rjust(len(match[0])), text)
        items = _items(text)
    if items and items[0].state is None:
        items = _without_restatement(items)

    size = len(text)
    answer_match = last_answer(text)
    answer, answer_span = (answer_match[1], answer_match.span()) if answer_match else (None, (size, size))

    # An answer may come before the steps; it is no part of the head.
    head_end = items[0].match.start() if items else answer_span[0]
    tokens = list(_WORD.finditer(text, answer_span[1] if answer_span[1] <= head_end else 0, head_end))
    symbols = [token for token in tokens if token[1] is not None]
    head_span = (tokens[0].start(), (symbols or tokens)[-1].end()) if tokens else (head_end, head_end)
    first, first_span = None, (head_span[1], head_span[1])
    if symbols:
        first, first_span = symbols[-1][1], symbols[-1].span()
    elif items:
        first = items[0].match["before"]
    end = text.find(";", items[-1].match.end() if items else head_span[1])
    return Trace(
        words=tuple(token[2] for token in tokens if token[2] is not None),
        first=first,
        head_span=head_span,
        first_span=first_span,
        items=tuple(items),
        heads=_heads(text, items),
        end=size if end < 0 else end,
        answer=answer,
        answer_span=answer_span,
    )


def _heads(text: str, items: list[Item]) -> dict[int, tuple[str, Span]]:
    """The symbol written between a ``;`` behind one step and the next step."""
    heads: dict[int, tuple[str, Span]] = {}
    for i in range(1, len(items)):
        end = items[i].match.start()
        begin = text.find(";", items[i - 1].match.end(), end)
        symbols = [token for token in _WORD.finditer(text, begin, end) if token[1]] if begin >= 0 else []
        if symbols:
            heads[i] = symbols[-1][1], symbols[-1].span()
    return heads


def _items(text: str) -> list[Item]:
    items: list[Item] = []
    for match in _ITEM.finditer(text):
        label, _, operator, operand, state = match.groups()
        if operator is not None:
            items.append(Item(int(label), operator + operand, state, match))
        elif state is not None:
            items.append(Item(int(label), None, state, match))
    return items


def _without_restatement(items: list[Item]) -> list[Item]:
    """Without the leading steps that only repeat the prompt: they have no state, and come again with one."""
    solved = {item.label for item in items if item.state is not None}
    for i, item in enumerate(items):
        if item.state is not None or item.label not in solved:
            return items[i:]
    return items
