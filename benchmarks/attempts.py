"""How far long traces are cut into attempts where a reader would cut them.

    python benchmarks/attempts.py --data FOLDER

FOLDER holds math-500, which benchmarks/public_rollouts.py makes. A reader marked in 25 traces, before seeing any cut,
the paragraphs with which another attempt begins (tests/labelling/fixtures/math_500_attempts.csv); a cut in the
paragraph before or after a mark counts as the same. The words that cut were mended on the part `written`.
"""

from __future__ import annotations

import argparse
import re
import sys
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src")]

from stratagem.labelling.attempts import attempts  # noqa: E402
from stratagem.records import content_id  # noqa: E402

MARKED = ROOT / "tests" / "labelling" / "fixtures" / "math_500_attempts.csv"


def cut_paragraphs(text: str, pieces: list[str]) -> list[int]:
    """The paragraphs in which an attempt after the first begins."""
    starts = [0, *(gap.end() for gap in re.finditer(r"\n\s*\n", text))]
    ends = list(accumulate(map(len, pieces)))[:-1]
    # A cut may stand before the line break that ends a paragraph.
    return [bisect_right(starts, end + 1) - 1 for end in ends]


def pairs(cut: list[int], marked: list[int]) -> int:
    """How many marks have a cut of their own, at most a paragraph away."""
    left, number = list(cut), 0
    for mark in marked:
        near = min(left, key=lambda place: abs(place - mark), default=None)
        if near is not None and abs(near - mark) <= 1:
            left.remove(near)
            number += 1
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    traces = pl.read_ndjson(given.data / "math-500" / "after.jsonl")
    marks = pl.read_csv(
        MARKED, glob=False, schema_overrides={"problem_id": pl.String, "paragraphs": pl.String}
    )
    table = marks.join(traces, on="problem_id", how="left", maintain_order="left").with_columns(
        pieces=attempts(pl.col("completion")), paragraphs=pl.col("paragraphs").fill_null("")
    )
    for (part,), rows in table.group_by("part", maintain_order=True):
        exact = near = right = cuts = all_marks = 0
        for text, mark, pieces, paragraphs in rows.select(
            "completion", "text", "pieces", "paragraphs"
        ).iter_rows():
            assert content_id(text) == mark, "another text than the one that was marked"
            cut, marked = cut_paragraphs(text, pieces), [int(place) for place in paragraphs.split()]
            exact += len(cut) == len(marked)
            near += abs(len(cut) - len(marked)) <= 1
            right += pairs(cut, marked)
            cuts += len(cut)
            all_marks += len(marked)
        print(
            f"{part}: {rows.height} traces; as many attempts {exact}, within one {near}; "
            f"{right} of {cuts} cuts are marked "
            f"({100 * right / cuts:.0f}%), {right} of {all_marks} marks are cut ({100 * right / all_marks:.0f}%)"
        )


if __name__ == "__main__":
    main()
