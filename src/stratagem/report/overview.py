"""One page over several studies: every claim, how it came out, its numbers, and the command that made them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from stratagem.records import ALL
from stratagem.report import format, page, view
from stratagem.report.format import finite, number
from stratagem.report.page import Charts
from stratagem.study_result import Overview, StudyRow


@dataclass(frozen=True, slots=True)
class Compared:
    """An arm's accuracies beside the published ones, by column."""

    arm: str
    cells: dict[str, view.TableCell]


def render(overview: Overview) -> str:
    """The page as HTML text; its links lead to the studies' pages, which lie in folders beside it."""
    claims = [(row, [view.claim(claim) for claim in row.claims]) for row in overview.studies if row.claims]
    context = {
        "answer": answer(overview),
        "claims": claims,
        "studies": [(row, compared(row), columns(row)) for row in overview.studies],
        "duration": format.duration,
    }
    return page.render("overview.html", context, Charts(), draws=False)


def answer(overview: Overview) -> str:
    """How many claims came out how, in a sentence."""
    counts = Counter(claim.verdict for row in overview.studies for claim in row.claims)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in view.VERDICT_SIGNS if counts[verdict])
    studies = len(overview.studies)
    return f"{sum(counts.values())} claims of {studies} {'study' if studies == 1 else 'studies'}: {said or 'none'}."


def compared(row: StudyRow) -> list[Compared]:
    """The arms of which there are published numbers."""
    arms: list[Compared] = []
    for arm, published in row.study.items():
        cells: dict[str, view.TableCell] = {}
        for column in columns(row):
            theirs = finite(published.get(column))
            ours = number(row.cells.get(arm, {}).get(column))
            cells[column] = view.TableCell(ours, None if theirs is None else theirs / 100)
        arms.append(Compared(arm, cells))
    return arms


def columns(row: StudyRow) -> list[str]:
    """The columns in which there is a published number."""
    there = [
        name for name in row.columns if any(finite(arm.get(name)) is not None for arm in row.study.values())
    ]
    return there or [ALL]
