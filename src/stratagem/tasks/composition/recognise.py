"""Which strategy a response of several parts follows, and in which part it first goes wrong.

A response is cut behind each outcome, ``x5 last e8``, and behind the answer. Each piece is read as `finite_field` reads
a response to that part's chain, whose given end is the outcome of the part before as it is written: so one mistake is
counted once. Directions that all suit their parts are `suited`; all the same are `forward` or `backward`, unless the
opening says `suited`; others are mixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Label, Mark, Problem
from stratagem.tasks.composition.parts import BACKWARD, FORWARD, WALKS, Part, chain_from
from stratagem.tasks.finite_field.answer import last_answer, plain
from stratagem.tasks.finite_field.recognise import GUESSED_START, STOPPING, label_among
from stratagem.tasks.finite_field.trace import parse
from stratagem.tasks.five_ways.words import FINAL, PARTS

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

# A part or its outcome has another name than its own, or an outcome stands where the answer should.
WRONG_NAME = "wrong_name"
SUITED = "suited"
ANSWER = "answer"
_NAME = re.compile(rf"\b(?:x[1-8]|{FINAL})\b")
_OUTCOME = re.compile(r"\b(x[1-8])\b(?:[\s:=,`*$]|\b(?:is|last|guess)\b)*+\b([a-w][0-9]+)\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Piece:
    """What is written of one part, to the end of its outcome, which stands under `name`; None for the answer."""

    begin: int
    end: int
    name: str | None
    name_begin: int
    outcome: str | None


def pieces(text: str) -> list[Piece]:
    """A `plain` text cut behind each outcome and behind the answer."""
    answer = last_answer(text)
    end = answer.start() if answer else len(text)
    cut: list[Piece] = []
    begin = 0
    for match in _OUTCOME.finditer(text, 0, end):
        if "#" in text[begin : match.start()]:  # a name before any step of its part carries nothing out of it
            cut.append(Piece(begin, match.end(), match[1], match.start(), match[2]))
            begin = match.end()
    if answer or text[begin:].strip(" ;"):
        cut.append(Piece(begin, len(text), None, end, answer[1] if answer else None))
    return cut


@dataclass(frozen=True, slots=True)
class Read:
    """A response as read: the label, and the part in which its first error is, from 0."""

    label: Label
    failed: int | None


def read(field: FiniteField, problem: Problem, completion: str, finish_reason: str) -> Read:
    """Never raises, on any text."""
    parts: Sequence[Part] = problem.data
    text, truncated = plain(completion), finish_reason == "length"
    marks: list[tuple[Mark, int, int]] = []  # with the step and the part of each
    directions: list[str] = []
    given: int | None = None
    steps = 0
    cut = pieces(text)
    for k, piece in enumerate(cut):
        if k >= len(parts):
            marks.append((Mark(piece.begin, piece.end, STOPPING), steps, len(parts) - 1))
            break
        part, last = parts[k], k == len(parts) - 1
        chain = part.chain if given is None else chain_from(field, part.chain.kind, part.chain.steps, given)
        body, moved = completion[piece.begin : piece.end], 0
        if piece.name is not None:
            at = piece.name_begin - piece.begin
            body = f"{body[:at]}{ANSWER}{body[at + len(piece.name) :]}"
            moved = len(ANSWER) - len(piece.name)
        label = label_among(
            WALKS, field, field.as_problem(chain), body, finish_reason if piece.name is None else "stop"
        )
        directions.append(label.strategy)
        head = _NAME.search(text, piece.begin, max(piece.begin, text.find("#", piece.begin, piece.end)))
        if head is not None and head[0] != part.name:
            marks.append((Mark(*head.span(), WRONG_NAME, part.name), steps, k))
        for mark, step in zip(label.marks, steps_of(label), strict=True):
            start, end = (moved_back(place, piece, moved) for place in (mark.start, mark.end))
            marks.append((Mark(start, end, mark.error, mark.expected), steps + step, k))
        expected = ANSWER if last else part.name
        if piece.outcome is not None and (piece.name or ANSWER) != expected:
            # An answer before the last part is no wrong name: the response ends too early.
            error = STOPPING if piece.name is None else WRONG_NAME
            end = piece.name_begin + len(piece.name or ANSWER)
            marks.append((Mark(piece.name_begin, min(end, len(text)), error, expected), steps, k))
        steps += len(parse(body).items)
        given = field.symbols.get(piece.outcome or "")
    if cut and len(cut) < len(parts) and not truncated and cut[-1].name is not None:
        marks.append((Mark(len(text), len(text), STOPPING, parts[len(cut)].suited), steps, len(cut)))
    strategy = decide(text, parts, directions)
    if strategy in (OTHER, UNPARSED):  # there is nothing to judge
        answer = last_answer(text)
        return Read(
            Label(TRUNCATED if truncated else strategy, marks=(Mark(*answer.span()),) if answer else ()), None
        )
    if truncated:
        strategy = TRUNCATED
    marks.sort(key=lambda entry: entry[0].start)
    wrong = sorted(
        (entry for entry in marks if entry[0].error), key=lambda entry: entry[0].error == GUESSED_START
    )
    error, step, failed = (wrong[0][0].error, *wrong[0][1:]) if wrong else (None, None, None)
    return Read(Label(strategy, error, step, tuple(mark for mark, _, _ in marks)), failed)


def steps_of(label: Label) -> list[int]:
    """The step of each mark: a head belongs to the step behind it, the answer to that which would come next."""
    return [max(0, i - 1) for i in range(len(label.marks))]


def moved_back(place: int, piece: Piece, moved: int) -> int:
    """A place in a piece whose name was written as the answer, as a place in the response."""
    at = piece.name_begin - piece.begin
    return piece.begin + (place if place <= at else max(at, place - moved))


def decide(text: str, parts: Sequence[Part], directions: Sequence[str]) -> str:
    walked = [direction for direction in directions if direction in (FORWARD, BACKWARD, MIXED)]
    if not walked:
        return directions[-1] if directions and directions[-1] in (OTHER, UNPARSED) else UNPARSED
    announced = PARTS in text[: text.find("#")].split()
    suits = list(walked) == [part.suited for part in parts[: len(walked)]]
    if announced or len(set(walked)) > 1:
        return SUITED if suits else MIXED
    return walked[0]
