"""Example responses before and after RL on the same problem, with what the recogniser marked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup, escape

from stratagem.report.format import words

LONGEST = 4000  # characters shown of a response
PAIRS = 5  # problems shown a run

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    checkpoint: str
    right: bool
    strategy: str
    error: str | None
    html: Markup


@dataclass(frozen=True, slots=True)
class Pair:
    """One problem, answered before and after RL; `story` says what changed."""

    story: str
    kind: str
    difficulty: int
    prompt: str
    before: Response
    after: Response


def _right(row: Row, when: str) -> bool:
    return row[f"score_{when}"] >= 1


def _switched(row: Row) -> bool:
    return row["strategy_before"] != row["strategy_after"]


# What is worth seeing, in this order; the first problem that fits each is shown.
STORIES: dict[str, Callable[[Row], bool]] = {
    "Now right, by another strategy": lambda r: (
        not _right(r, "before") and _right(r, "after") and _switched(r)
    ),
    "Now right, by the same strategy": lambda r: (
        not _right(r, "before") and _right(r, "after") and not _switched(r)
    ),
    "Was right, now wrong": lambda r: _right(r, "before") and not _right(r, "after"),
    "Wrong both times": lambda r: not _right(r, "before") and not _right(r, "after"),
    "Right both times": lambda r: _right(r, "before") and _right(r, "after"),
}


def pairs(
    rollouts: pl.DataFrame, before: str, after: str, kinds: Sequence[str], guesses: Collection[str]
) -> list[Pair]:
    """A few problems with their responses from checkpoints `before` and `after`, one a story.

    Greedy responses where there are any (the model's first choice), else the first samples, of one seed.

    Args:
        kinds: of problem, those first in which the choice of strategy shows most.
        guesses: kinds of error that say nothing about execution.
    """

    def guessed(row: Row) -> bool:
        return not {row["error_before"], row["error_after"]}.isdisjoint(guesses)

    scored = rollouts.filter(pl.col("score").is_not_null())
    greedy = scored.filter(pl.col("mode") == "greedy")
    if set(greedy["checkpoint"].unique()) >= {before, after}:
        scored = greedy
    keep = ["score", "strategy", "error", "completion", "evidence"]
    sides: list[pl.DataFrame] = []
    sides_of = ((before, "before"), (after, "after"))
    for checkpoint, name in sides_of:
        side = scored.filter(pl.col("checkpoint") == checkpoint).sort("seed", "problem_id", "sample")
        side = side.unique("problem_id", keep="first", maintain_order=True)
        sides.append(
            side.select("problem_id", "kind", "difficulty", "prompt", pl.col(keep).name.suffix(f"_{name}"))
        )
    both = sides[0].join(sides[1].drop("kind", "difficulty", "prompt"), on="problem_id")
    # Short problems are the easiest to read.
    place = {kind: number for number, kind in enumerate(kinds)}
    rows = both.sort("difficulty", "problem_id").to_dicts()
    rows.sort(key=lambda row: place.get(row["kind"], len(place)))
    shown: list[Pair] = []
    for story, fits in STORIES.items():
        fitting = [r for r in rows if fits(r)]
        # A lucky or unlucky guess says nothing about execution: shown only where there is nothing else.
        row = next((r for r in fitting if _switched(r) or not guessed(r)), fitting[0] if fitting else None)
        if row is not None and len(shown) < PAIRS:
            first, second = (_response(row, checkpoint, name) for checkpoint, name in sides_of)
            shown.append(Pair(story, str(row["kind"]), row["difficulty"], str(row["prompt"]), first, second))
    return shown


def _response(row: Row, checkpoint: str, when: str) -> Response:
    return Response(
        checkpoint,
        _right(row, when),
        str(row[f"strategy_{when}"]),
        row[f"error_{when}"],
        highlight(row[f"completion_{when}"] or "", row[f"evidence_{when}"]),
    )


def highlight(completion: str, evidence: str | None) -> Markup:
    """The completion as safe HTML: spans that were read underlined, wrong ones marked beside the expected.

    Marks that overlap an earlier one or lie outside the text are left out; unreadable evidence marks nothing.
    """
    parts: list[Markup] = []
    at, end_of_text = 0, min(len(completion), LONGEST)
    for start, end, error, expected in _marks(evidence):
        if not at <= start < end <= end_of_text:
            continue
        parts.append(escape(completion[at:start]))
        parts.append(_span(completion[start:end], error, expected))
        at = end
    parts.append(escape(completion[at:end_of_text]))
    if left := len(completion) - end_of_text:
        parts.append(Markup('<span class="cut"> … {} more characters</span>').format(left))
    return Markup("").join(parts)


def _span(text: str, error: str | None, expected: str | None) -> Markup:
    if error is None:
        return Markup('<span class="read">{}</span>').format(text)
    if expected is None:
        return Markup('<mark title="{0}">{1}</mark>').format(words(error), text)
    return Markup('<mark title="{0}: expected {2}">{1}<ins>{2}</ins></mark>').format(
        words(error), text, expected
    )


def _marks(evidence: str | None) -> list[tuple[int, int, str | None, str | None]]:
    try:
        raw: list[list[Any]] = json.loads(evidence or "{}").get("marks") or []
        marks = [(int(s), int(e), _text(error), _text(expected)) for s, e, error, expected in raw]
    except (ValueError, TypeError, AttributeError):
        return []
    return sorted(marks, key=lambda mark: mark[:2])


def _text(x: Any) -> str | None:
    return None if x is None else str(x)
