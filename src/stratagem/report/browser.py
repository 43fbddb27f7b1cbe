"""What the page's browser of rollouts reads: labelled responses as compact JSON, cut to fit.

The browser itself is templates/browser.js. It writes text nodes only, so that nothing a model wrote is markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl

from stratagem.report.diagnosis_view import called, tidy
from stratagem.report.format import finite, plain, words
from stratagem.report.page import embed
from stratagem.report.sample import outcome, sample_for_browser
from stratagem.result import Findings

LONGEST = 20_000  # characters kept of a response where the page has room for them
SHORTEST = 400  # rather leave responses out than cut them below
LONGEST_PROMPT = 8_000
MOST_MARKS = 200  # of a response
HEAD = 0.6  # the part of a cut text that comes from its beginning: the answer stands at its end

Raw = dict[str, Any]
Marks = list[
    tuple[int, int, str | None, str | None, bool]
]  # start, end, name, what was expected, is it an error


@dataclass
class Index:
    """Values by number, in order of their first appearance."""

    values: list[Any] = field(default_factory=list[Any])
    _numbers: dict[Hashable, int] = field(default_factory=dict[Hashable, int])

    def of(self, key: Hashable, value: Any = None) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return self._numbers[key]


@dataclass(frozen=True, slots=True)
class Shown:
    """The browser's JSON, how many of how many responses it holds, and how many of these are cut."""

    json: str
    responses: int
    given: int
    cut: int


def browser_data(sample: pl.DataFrame, findings: Findings, budget: int) -> Shown:
    """The responses of `sample` as JSON of at most `budget` bytes.

    Texts are cut in their middle, the longest first, as far as the budget needs it; responses are left out, at
    random in each stratum, only where that does not do.

    Args:
        sample: the labelled sample of a diagnosis.
        findings: names of sides and columns of strata are taken from them.
    """
    frame, limit = sample, LONGEST
    while True:
        data, cut = _data(frame, findings, limit)
        data["given"] = sample.height
        text = embed(data)
        size = len(text.encode())
        if size <= budget or not frame.height:
            return Shown(text, frame.height, sample.height, cut)
        if limit > SHORTEST:
            limit = max(SHORTEST, int(0.9 * limit * budget / size))
        else:
            fewer = min(frame.height - 1, int(0.9 * frame.height * budget / size))
            frame = sample_for_browser(frame, fewer, np.random.default_rng(0))


def _data(frame: pl.DataFrame, findings: Findings, limit: int) -> tuple[Raw, int]:
    known = [side.name for side in findings.sides]
    units = [side.length_unit for side in findings.sides]
    by = [name for name in findings.by if name in frame.columns and name != "problem_id"]
    checkpoints = len(known) == 1 and "checkpoint" in frame.columns
    sides, problems, strategies, behaviours, names, prompts = (Index() for _ in range(6))
    for name in [] if checkpoints else known:
        sides.of(name)
    if checkpoints:
        for name in _stages(findings):
            sides.of(name)
    values = [Index() for _ in by]
    rows: list[list[Any]] = []
    shortened = 0
    frame = frame.with_columns(outcome=outcome())
    for row in frame.iter_rows(named=True):
        number = int(row.get("side") or 0)
        side = (
            str(row["checkpoint"])
            if checkpoints
            else known[number]
            if number < len(known)
            else f"side {number}"
        )
        prompt = row.get("prompt")
        where = -1 if prompt is None else prompts.of(prompt)
        text, gap, marks = cut(row.get("completion") or "", marks_of(row.get("evidence")), limit)
        shortened += gap is not None
        rows.append(
            [
                sides.of(side),
                problems.of(str(row.get("problem_id"))),
                where,
                row.get("sample"),
                strategies.of(str(row.get("strategy"))),
                row["outcome"],
                finite(row.get("score")),
                [behaviours.of(str(name)) for name in row.get("behaviours") or [] if name is not None],
                text,
                gap,
                [[s, e, -1 if n is None else names.of(n), x, int(bad)] for s, e, n, x, bad in marks],
                row.get("finish_reason"),
                row.get("length"),
                [index.of(plain(row.get(name))) for name, index in zip(by, values, strict=True)],
                units[number] if number < len(units) else "characters",
            ]
        )
    shared = _shared(prompts.values)
    pages = called(findings)
    data = {
        "sides": [pages.get(name, name) for name in tidy(sides.values)],
        "problems": tidy(problems.values),
        "strategies": tidy(strategies.values),
        "behaviours": tidy(behaviours.values),
        "names": tidy(names.values),
        "by": [
            {"name": tidy(name), "values": tidy(index.values)} for name, index in zip(by, values, strict=True)
        ],
        "prompts": [[*cut(text, [], LONGEST_PROMPT)[:2], _units(text[:shared])] for text in prompts.values],
        "rows": rows,
    }
    return data, shortened


def _stages(findings: Findings) -> list[str]:
    """The checkpoints of a single log, in order."""
    steps = findings.comparisons if findings.path is None else findings.path.steps
    return list(dict.fromkeys(name for step in steps for name in (step.before, step.after)))


def marks_of(evidence: str | None) -> Marks:
    """The spans of a label's evidence, in order; unreadable evidence has none.

    Rules give [start, end, rule], recognisers [start, end, error or null, expected or null].
    """
    try:
        raw: list[list[Any]] = json.loads(evidence or "{}").get("marks") or []
        marks: Marks = []
        for start, end, name, *rest in raw[:MOST_MARKS]:
            expected = None if not rest or rest[0] is None else str(rest[0])[:LONGEST_NAME]
            label = None if name is None else words(str(name)[:LONGEST_NAME])
            marks.append((int(start), int(end), label, expected, bool(rest) and label is not None))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
    return sorted((mark for mark in marks if 0 <= mark[0] < mark[1]), key=lambda mark: mark[:2])


LONGEST_NAME = 200
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")  # letters that are two units in UTF-16


def cut(text: str, marks: Marks, limit: int) -> tuple[str, list[int] | None, Marks]:
    """A text of at most `limit` characters, its middle left out, and its marks, in UTF-16 units as browsers count.

    Returns:
        the text; [where it is cut, how many characters are left out] or None; marks that lie in it.
    """
    gap: list[int] | None = None
    length = len(text)
    at, after = length, length
    if length > limit:
        at = int(HEAD * limit)
        after = length - (limit - at)
        gap = [at, after - at]

    def place(position: int) -> int:
        """Where a position of the whole text lies in what is kept of it."""
        return min(position, at) if position <= after else position - (after - at)

    kept = text[:at] + text[after:]
    moved = [(place(s), place(e), n, x, bad) for s, e, n, x, bad in marks if e <= length]
    moved = [mark for mark in moved if mark[0] < mark[1]]
    if _ASTRAL.search(kept):
        units = [0, *accumulate(2 if ord(c) > 0xFFFF else 1 for c in kept)]
        moved = [(units[s], units[e], n, x, bad) for s, e, n, x, bad in moved]
        gap = gap and [units[gap[0]], gap[1]]
    return kept, gap, moved


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _shared(prompts: Sequence[str]) -> int:
    """How many characters all prompts begin with, up to a blank: the list shows what comes after."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)  # what these two share, all do
    same = first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    return max(same.rfind(" "), same.rfind("\n")) + 1 if len(same) >= 20 else 0
