"""Rollouts and curves, reduced to what the charts draw, so that the page stays small."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from stratagem.records import TRUNCATED
from stratagem.stats.passk import passk

BINS = 80  # points of a curve: more cannot be distinguished on a small chart
UNREAD = "wrong, not read"


def binned(frame: pl.DataFrame, bins: int = BINS) -> pl.DataFrame:
    """`update` of each row as the first update of its bin; at most `bins` bins."""
    if frame.is_empty():
        return frame
    span = int(frame["update"].max()) - int(frame["update"].min()) + 1  # type: ignore[arg-type]
    width = math.ceil(span / bins)
    return frame.with_columns(update=pl.col("update") // width * width)


def rates(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rates over updates, raw and smoothed.

    Args:
        frame: columns `key`, seed, update, part and whole, one cell and kind.

    Returns:
        `key`, seed, update, rate (percent). `seed` is null on the smooth line, which pools the seeds and runs
        a centred window of about a tenth of the run over the counts.
    """
    counts = binned(frame).group_by(key, "seed", "update").agg(pl.col("part", "whole").sum())
    pooled = counts.group_by(key, "update").agg(pl.col("part", "whole").sum()).sort(key, "update")
    window = 2 * (pooled["update"].n_unique() // 20) + 1
    smooth = pooled.with_columns(
        pl.col("part", "whole").rolling_sum(window, min_samples=1, center=True).over(key),
        seed=pl.lit(None, dtype=counts.schema["seed"]),
    )
    both = pl.concat(
        [
            counts.sort("seed", key, "update").select(key, "seed", "update", "part", "whole"),
            smooth.select(key, "seed", "update", "part", "whole"),
        ]
    )
    both = both.filter(pl.col("whole") > 0)
    return both.select(key, "seed", "update", rate=(100 * pl.col("part") / pl.col("whole")).round(1))


def reward_rates(curves: pl.DataFrame, cell: str, kind: str) -> pl.DataFrame:
    """Share of correct training rollouts by number of steps, over updates."""
    mine = curves.filter(pl.col("cell") == cell, pl.col("kind") == kind)
    return rates(mine.rename({"right": "part", "n": "whole"}), "difficulty")


def strategy_rates(curves: pl.DataFrame, cell: str, kind: str) -> pl.DataFrame:
    """Share of each strategy among the training rollouts, over updates."""
    mine = curves.filter(pl.col("cell") == cell, pl.col("kind") == kind)
    at = ["seed", "update"]
    counts = mine.group_by("strategy", *at).agg(part=pl.col("n").sum())
    whole = mine.group_by(at).agg(whole=pl.col("n").sum())
    # A strategy without a row in an update was used 0 times there: that is known, and not missing.
    grid = whole.join(mine.select("strategy").unique(), how="cross")
    filled = grid.join(counts, on=["strategy", *at], how="left").with_columns(pl.col("part").fill_null(0))
    return rates(filled, "strategy")


def health(metrics: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Means of the training metrics by cell and bin of updates, seeds pooled: cell, update, name, value."""
    means = binned(metrics).group_by("cell", "update").agg(pl.col(names).mean()).sort("cell", "update")
    long = means.unpivot(names, index=["cell", "update"], variable_name="name", value_name="value")
    return long.filter(pl.col("value").is_finite()).with_columns(pl.col("value").round_sig_figs(4))


def main_mode(rollouts: pl.DataFrame) -> pl.DataFrame:
    """The sampled responses where there are any, else the greedy ones: the two are never mixed."""
    sampled = rollouts.filter(pl.col("mode") == "sampled")
    return sampled if sampled.height else rollouts


def error_shares(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Share of responses whose first error is of each kind: checkpoint, kind, error, n, share.

    A wrong response in which no error was found counts as its strategy where that is "truncated", else as
    "wrong, not read". Responses without an error have no row of their own, but count in the whole.
    """
    unread = pl.when(pl.col("strategy") == TRUNCATED).then(pl.lit(TRUNCATED)).otherwise(pl.lit(UNREAD))
    error = pl.coalesce("error", pl.when(pl.col("score") < 1).then(unread))
    keys = ["checkpoint", "kind"]
    counts = (
        main_mode(rollouts)
        .filter(pl.col("score").is_not_null())
        .group_by(*keys, error=error)
        .agg(n=pl.len())
        .with_columns(share=pl.col("n") / pl.col("n").sum().over(keys))
    )
    return counts.filter(pl.col("error").is_not_null()).sort(*keys, "error")


def pass_at_k(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Mean unbiased pass@k over problems for k = 1, 2, 4, … with its 95% interval, in percent.

    Returns:
        checkpoint, k, value, low, high; empty where a problem has one response or scores are fractions.
    """
    schema = {
        "checkpoint": pl.String,
        "k": pl.Int32,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
    scored = main_mode(rollouts).filter(pl.col("score").is_not_null())
    counts = scored.group_by("checkpoint", "seed", "problem_id").agg(c=pl.col("score").sum(), n=pl.len())
    rows: list[tuple[str, int, float, float | None, float | None]] = []
    if counts.is_empty() or not scored["score"].is_in([0.0, 1.0]).all():
        return pl.DataFrame(rows, schema=schema, orient="row")
    least = int(counts["n"].min())  # type: ignore[arg-type]
    ks = [2**i for i in range(least.bit_length())] if least > 1 else []
    checkpoints: list[str] = counts["checkpoint"].unique().to_list() if ks else []
    for checkpoint in checkpoints:
        part = counts.filter(pl.col("checkpoint") == checkpoint)
        chances = passk(part["c"], part["n"], ks)
        per_seed = part.with_columns(pl.Series(f"pass@{k}", chances[:, i]) for i, k in enumerate(ks))
        # The unit is the problem: its seeds are averaged before the standard error is taken.
        problems = per_seed.group_by("problem_id").agg(pl.col(f"pass@{k}").mean() for k in ks)
        for k in ks:
            values = problems[f"pass@{k}"].to_numpy()
            value = 100 * float(values.mean())
            # One problem has no spread: its interval is undefined, not empty.
            half = 196 * float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else None
            low = None if half is None else max(value - half, 0)
            high = None if half is None else min(value + half, 100)
            rows.append((checkpoint, k, value, low, high))
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .sort("checkpoint", "k")
        .with_columns(pl.col("value", "low", "high").round(2))
    )
