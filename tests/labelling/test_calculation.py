"""The outline of calculations: texts of known flow, written as models write them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.labelling.calculation import MOST, outline


def outlined(text: str) -> str:
    return outline(pl.Series([text]))[0]


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        ("It is a matter of taste.", ""),
        ("There are 7 days and 3 nights.", ""),
        ("2 * 7 = 14", "n*n=r1;"),
        ("2 * 7 = 14, then 14 * 10 = 140", "n*n=r1; r1*n=r2;"),
        (r"\[ 20 \text{ friends} \times 4 \text{ slices} = 80 \text{ slices} \]", "n*n=r1;"),
        (r"\(\frac{80 \text{ slices}}{8 \text{ slices per pizza}} = 10\) pizzas", "n/n=r1;"),
        (r"\text{Total} = \$2.00 + \$13.00 = \$15.00", "n+n=r1;"),
        ("3 hours * 8 dollars/hour = 24 dollars", "n*n=r1;"),
        ("8 (high chairs) + 40 (regular chairs) = 48 chairs", "n+n=r1;"),
        (r"$0.25/\text{cap} \times 10 \text{ caps/day} = \$2.50/\text{day}$", "n*n=r1;"),
        ("50,000 + 1,250,000 = 1300000; 1,300,000 / 2 = 650000", "n+n=r1; r1/n=r2;"),
        ("20% of 50 = 0.20 * 50 = 10. 50 - 10 = 40", "n*n=r1; n-r1=r2;"),
        (r"\frac{3}{4} \times 8 = \frac{24}{4} = 6. 6 - 1 = 5", "n/n*n=r1; r1-n=r2;"),
        ("3 × 43 = 3 × (40 + 3) = 120 + 9 = 129", "n*n=r1;"),
        ("4 x 5 makes 20 and 20 ÷ 2 is 10", "n*n=r1; r1/n=r2;"),
        # an expression whose value comes later, piece by piece
        ("7 * 70 - 40. First 7 * 70 = 490. Then 490 - 40 = 450", "n*n-n; n*n=r1; r1-n=r2;"),
        # the same value twice is two results, once is one
        ("4 * 30 = 120 and 4 * 30 = 120. 120 + 120 = 240", "n*n=r1; n*n=r2; r2+r1=r3 apart;"),
        ("3 * 9 = 27. 27 + 27 = 54", "n*n=r1; r1+n=r2;"),
        # side by side, and not: one is calculated from the other, at once or further back, or is a sum that goes on
        ("2 * 3 = 6. 2 * 5 = 10. 6 + 10 = 16", "n*n=r1; n*n=r2; r1+r2=r3 apart;"),
        ("4 * 4 = 16. 16 / 2 = 8. 16 + 8 = 24", "n*n=r1; r1/n=r2; r1+r2=r3;"),
        ("50 - 25 = 25. 25 * 3 = 75. 75 / 5 = 15. 25 - 15 = 10", "n-n=r1; r1*n=r2; r2/n=r3; r1-r3=r4;"),
        ("3 * 2 = 6. 6 * 2 = 12. 3 + 6 = 9. 9 + 12 = 21", "n*n=r1; r1*n=r2; n+r1=r3; r3+r2=r4;"),
        ("2 * 3 = 6. 2 * 5 = 10. 6 * 10 = 60", "n*n=r1; n*n=r2; r1*r2=r3;"),
    ],
)  # fmt: skip
def test_the_flow_of_numbers(text: str, flow: str) -> None:
    assert outlined(text) == flow


def test_nulls_stay_and_a_text_without_end_has_an_end() -> None:
    assert outline(pl.Series("t", [None, ""], dtype=pl.String)).to_list() == [None, ""]
    assert outlined("1 + 1 = 2\n" * 1000).count(";") == MOST


@st.composite
def calculations(draw: st.DrawFn) -> tuple[str, bool]:
    """Steps that multiply or subtract given numbers and results of before, no number twice; and whether anywhere two
    results are subtracted of which neither was calculated from the other."""
    numbers = iter(range(1_009, 10_000_000, 7_919))
    values: list[int] = []
    roots: list[set[int]] = []
    lines: list[str] = []
    apart = False
    for step in range(draw(st.integers(1, 7))):
        used = draw(st.lists(st.integers(0, step - 1), max_size=2, unique=True)) if step else []
        operands = [values[i] for i in used] + [next(numbers) for _ in range(2 - len(used))]
        minus = draw(st.booleans())
        if minus and len(used) == 2:
            apart |= used[0] not in roots[used[1]] and used[1] not in roots[used[0]]
        values.append(next(numbers))
        roots.append(set(used).union(*(roots[i] for i in used)))
        unit = draw(st.sampled_from(["", " dollars", r" \text{ apples}", " (red)", r"\text{ kg/day}"]))
        sign = "-" if minus else draw(st.sampled_from(["*", "×", r"\times"]))
        written = f" {sign} ".join(f"{number}{unit}" for number in operands)
        lines.append(f"Step {'abcdefg'[step]}: {written} = {values[-1]}{unit}.")
    return "\n".join(lines), apart


@settings(max_examples=200, deadline=None)
@given(calculations())
def test_what_is_calculated_apart_is_found(written: tuple[str, bool]) -> None:
    text, apart = written
    flow = outlined(text)
    assert flow.count("=") == text.count("=")
    assert ("apart" in flow) == apart
