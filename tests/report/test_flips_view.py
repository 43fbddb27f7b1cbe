"""The table of which strategy followed which: its sums are the shares, whatever is joined."""

from __future__ import annotations

import numpy as np
import pytest

from stratagem.decomposition.flips import Flips, Transition
from stratagem.report.diagnosis import render
from stratagem.report.flips_view import MOST, OTHERS, matrix
from tests.report.synthetic_diagnosis import make, typed
from tests.report.test_study import Reader


def flips(n: int, seed: int = 0) -> tuple[Flips, np.ndarray]:
    rng = np.random.default_rng(seed)
    share_ss = rng.dirichlet(np.ones(n * n)).reshape(n, n)
    rows = tuple(
        Transition(
            before=f"s{i:02d}", after=f"s{j:02d}", share=share_ss[i, j],
            right_to_wrong=0.1 * share_ss[i, j], wrong_to_right=0.3 * share_ss[i, j],
        )
        for i in range(n)
        for j in range(n)
    )  # fmt: skip
    return Flips(right_both=0.2, wrong_both=0.4, better=3, worse=2, same=1, transitions=rows), share_ss


@pytest.mark.parametrize("n", [2, MOST, MOST + 1, 30])
def test_rows_sum_to_shares_before_and_columns_to_shares_after(n: int) -> None:
    given, share_ss = flips(n)
    table = matrix(given)
    before, after = share_ss.sum(axis=1), share_ss.sum(axis=0)
    order = [name for name in table.names if name != OTHERS]
    places = [int(name[1:]) for name in order]
    assert [row.share for row in table.rows][: len(order)] == pytest.approx(before[places])
    assert table.totals[: len(order)] == pytest.approx(after[places])
    assert sum(table.totals) == pytest.approx(1)
    assert sum(cell.wrong_to_right for row in table.rows for cell in row.cells) == pytest.approx(0.3)
    sizes = (before + after)[places]
    assert list(sizes) == sorted(sizes, reverse=True)
    assert table.joined == (n - MOST if n > MOST + 1 else 0)
    assert (table.names[-1] == OTHERS) == (table.joined > 0)
    assert [[cell.same for cell in row.cells] for row in table.rows] == np.eye(
        len(table.names), dtype=bool
    ).tolist()


def test_without_transitions_there_is_no_table() -> None:
    assert matrix(None).names == []
    assert matrix(flips(2)[0]).names != []


def test_the_page_says_that_other_problems_cannot_be_paired() -> None:
    diagnosis = make(2)
    diagnosis["comparisons"][0]["flips"] = None
    assert (
        "The problems before are not those after, so that nothing can be paired."
        in Reader(render(typed(diagnosis), None)).text
    )
    for one in diagnosis["comparisons"]:
        one["flips"] = None
    assert "What became right" not in Reader(render(typed(diagnosis), None)).text
