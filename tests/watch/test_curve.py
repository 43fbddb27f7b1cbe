"""The curve of the gain: few points, each split once, the last one now."""

from __future__ import annotations

import polars as pl

from stratagem.watch.curve import POINTS, Curve, places
from stratagem.watch.gain import WINDOW, split_updates
from tests.watch.test_gain import table


def test_the_curve_has_few_places_and_ends_now() -> None:
    assert places(1) == []
    assert places(2) == [2]
    assert places(25) == [20, 25]
    for updates in (160, 1_000, 10_007):
        at = places(updates)
        assert len(at) <= POINTS + 1
        assert at[-1] == updates
        assert at[0] >= 2 * WINDOW


def test_early_halves_are_compared_and_later_the_first_and_last_ten() -> None:
    counts = table(range(40), 0.01)
    for done, window in ((6, 3), (40, 10)):
        part = counts.filter(pl.col("update") < done)
        sides = part.filter(pl.col("update") < window), part.filter(pl.col("update") >= done - window)
        assert Curve(split_updates).gains(part)[done] == split_updates(*sides)


def test_what_was_split_is_not_split_again_until_its_updates_change() -> None:
    counts, calls = table(range(45), 0.01), []

    def split(start: pl.DataFrame, now: pl.DataFrame) -> None:
        calls.append(now["update"].max())

    curve = Curve(split)
    curve.gains(counts.filter(pl.col("update") < 40))
    curve.gains(counts)
    assert calls == [19, 29, 39, 44]
    curve.forget(45)
    curve.gains(counts)
    assert calls == [19, 29, 39, 44]
    curve.forget(30)  # one more response of update 30: what ended before it stands
    curve.gains(counts)
    assert calls == [19, 29, 39, 44, 39, 44]
