"""Results as they show in a notebook: terms with their intervals on one axis, without any library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from stratagem.records import UNSET, Estimate, points

NAMES, AXIS, VALUES, ROW = 190, 300, 170, 24  # pixels


def text_row(name: str, term: Estimate) -> str:
    """A term in one line of a terminal, in points."""
    return f"{name:<20} {_value(term):>16}  {_ends(term)}".rstrip()


def forest(rows: Sequence[tuple[str, Estimate]], title: str, details: str) -> str:
    """Terms as a picture, in points: a dot or, where data only bound a term, a bar, with the interval as a line.

    Args:
        details: text that is folded away below.
    """
    ends = [100 * x for _, term in rows for x in (*term.ends, term.low, term.high) if math.isfinite(x)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(NAMES + AXIS * (100 * value - low) / span, 1)

    height = ROW * (len(rows) + 1)
    texts = [f'<text x="0" y="14" font-weight="600">{escape(title)}</text>']
    marks = [f'<line x1="{x(0)}" x2="{x(0)}" y1="{ROW}" y2="{height}" stroke-dasharray="2 3"/>']
    for i, (name, term) in enumerate(rows, 1):
        y = ROW * i + ROW / 2
        texts.append(f'<text x="0" y="{y + 4}">{escape(name)}</text>')
        texts.append(
            f'<text x="{NAMES + AXIS + 14}" y="{y + 4}">{escape(f"{_value(term)}  {_ends(term)}".rstrip())}</text>'
        )
        if math.isfinite(term.low):
            marks.append(f'<line x1="{x(term.low)}" x2="{x(term.high)}" y1="{y}" y2="{y}" stroke-width="2"/>')
        left, right = term.ends
        if term.bounds is not UNSET:
            marks.append(f'<line x1="{x(left)}" x2="{x(right)}" y1="{y}" y2="{y}" stroke-width="7"/>')
        elif math.isfinite(left):
            marks.append(f'<circle cx="{x(left)}" cy="{y}" r="4.5"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAMES + AXIS + VALUES}" height="{height}" font-size="13"'
    return (
        f'{head} font-family="system-ui, sans-serif" fill="currentColor">{"".join(texts)}'
        f'<g stroke="currentColor">{"".join(marks)}</g></svg>'
        f"<details><summary>all of it</summary><pre>{escape(details)}</pre></details>"
    )


def _value(term: Estimate) -> str:
    if term.bounds is not UNSET:
        return f"[{points(term.bounds[0], sign='+')}, {points(term.bounds[1], sign='+')}]"
    return points(term.value, sign="+")


def _ends(term: Estimate) -> str:
    return "" if math.isnan(term.low) else f"({points(term.low, sign='+')} to {points(term.high, sign='+')})"
