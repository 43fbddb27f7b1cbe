"""How fast the decomposition is: against SciPy's bootstrap, on a million rollouts, and counting ever longer logs.

    python benchmarks/mechanisms.py              # all
    python benchmarks/mechanisms.py scipy        # bootstrap of selection against scipy.stats.bootstrap
    python benchmarks/mechanisms.py decompose    # 62,500 problems x 16 responses, 10,000 draws
    python benchmarks/mechanisms.py count        # counts of 10^4 to 10^7 rollouts

Every measurement of memory runs in a process of its own: its peak is that of the whole process, imports included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread each: read when NumPy is imported

import numpy as np
import polars as pl
from scipy import stats

from stratagem.decomposition.counterfactuals import ACCURACIES, bootstrap, counterfactuals, matrix
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.thin_cells import cells
from stratagem.records import Estimate
from stratagem.stats.counts import count
from stratagem.stats.pairs import pair
from stratagem.stats.uncertainty import percentile

STRATEGIES = np.array(["cases", "direct", "equations", "guess", "other", "program"])


def counts(problems: int, samples: int, side: int, seed: int = 0) -> pl.DataFrame:
    """Counts of one checkpoint: six strategies, twelve strata; a problem has its own shares and ease."""
    rng = np.random.default_rng([seed, side])
    ease = np.random.default_rng(seed).normal(0, 0.15, problems)
    share = np.array([[0.1, 0.3, 0.2, 0.15, 0.1, 0.15], [0.05, 0.25, 0.35, 0.05, 0.05, 0.25]][side])
    rate = np.array([[0.3, 0.5, 0.6, 0.2, 0.3, 0.6], [0.4, 0.5, 0.7, 0.2, 0.3, 0.65]][side])
    n_ps = rng.multinomial(samples, rng.dirichlet(4 * share, size=problems))
    p, s = np.nonzero(n_ps)
    right = rng.binomial(n_ps[p, s], np.clip(rate[s] + ease[p], 0, 1)).astype(float)
    names = pl.Series("strategy", STRATEGIES[s])
    columns = {"problem_id": p, "stratum": p % 12, "n": n_ps[p, s], "right": right}
    return pl.DataFrame(columns).with_columns(names)


def rollouts(rows: int, seed: int = 0) -> pl.DataFrame:
    """A rollout table without texts, 16 responses a problem."""
    rng = np.random.default_rng(seed)
    row = np.arange(rows)
    return pl.DataFrame(
        {
            "checkpoint": pl.repeat("1", rows, eager=True),
            "problem_id": pl.Series(row // 16).cast(pl.String),
            "stratum": (row // 16) % 12,
            "sample": (row % 16).astype(np.int32),
            "strategy": pl.Series(STRATEGIES)[rng.integers(0, STRATEGIES.size, rows)],
            "score": (rng.random(rows) < 0.5).astype(float),
            "length": rng.integers(100, 900, rows).astype(np.int32),
        }
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def scipy_ratio(problems: int, draws: int = 10_000, batch: int = 100) -> None:
    """The bootstrap of the selection term against SciPy's, and all of `decompose` too; one stratum, same draws.

    Ours draws all links of the chain, of which selection is a difference. Batches of 100 draws are about the best for
    SciPy: its default, all at once, is slower and takes gigabytes.
    """
    tables = [counts(problems, 16, side) for side in (0, 1)]
    pairs = pair(*tables, ())
    data_pk = matrix(pairs, None)
    width = STRATEGIES.size
    old, kept = ACCURACIES.index("old"), ACCURACIES.index("kept")
    point_l = counterfactuals(data_pk.sum(0), np.array(problems), width).accuracies_l

    def selection(index: np.ndarray, axis: int = -1) -> np.ndarray:
        share0, right0, share1 = (data_pk[:, i * width : (i + 1) * width] for i in range(3))
        old, right, new = (block[index].mean(axis=axis - 1) for block in (share0, right0, share1))
        return ((new - old) * right / old).sum(axis=-1)

    def ours() -> Estimate:
        rng, size_g = np.random.default_rng(1), np.array([problems])
        after_gs = pairs.after.share_ps.mean(axis=0, keepdims=True)
        seen = cells(pairs.before.share_ps, pairs.before.right_ps, pairs.before.n_p, size_g, after_gs)
        total_dl = bootstrap(
            data_pk, size_g, width, cells=seen, rng=rng, draws=draws, stratified=True, level=0.95
        ).total_dl
        return percentile(float(point_l[kept] - point_l[old]), total_dl[:, kept] - total_dl[:, old])

    def whole() -> Estimate:
        return decompose(*tables, by=(), rng=np.random.default_rng(1), draws=draws).selection

    def peer() -> Any:
        return stats.bootstrap(
            (np.arange(problems),),
            selection,
            paired=True,
            vectorized=True,
            axis=-1,
            n_resamples=draws,
            batch=batch,
            method="percentile",
            random_state=np.random.default_rng(2),  # pyright: ignore[reportCallIssue]
        ).confidence_interval

    estimate, other = ours(), peer()
    assert (
        estimate.se == whole().se
    )  # the same draws; the interval of `decompose` is that of t, a little wider
    times = [tuple(timed(work)[1] for work in (ours, whole, peer)) for _ in range(5)]
    mine, all_mine, theirs = (float(np.median(column)) for column in zip(*times, strict=True))
    # Standard error of the difference of two percentiles, each from so many draws of a normal distribution.
    error = estimate.se * np.sqrt(2 * 0.025 * 0.975 / draws) / stats.norm.pdf(1.96)
    away = max(abs(estimate.low - other.low), abs(estimate.high - other.high)) / error
    ends = (f"{100 * x.low:.3f} to {100 * x.high:.3f}" for x in (estimate, other))
    seconds = " ".join(f"{x:7.3f} s" for x in (mine, all_mine, theirs))
    ratios = f"{theirs / mine:7.1f} {theirs / all_mine:7.1f}"
    print(f"  {problems:>8,} {seconds} {ratios}   {'   '.join(ends)}   {away:.1f}", flush=True)


def _decompose(problems: int, draws: int) -> str:
    tables = [counts(problems, 16, side) for side in (0, 1)]
    before = _peak()
    wall, cpu = timed(lambda: decompose(*tables, by=("stratum",), rng=np.random.default_rng(0), draws=draws))
    return f"  {problems:>9,} {draws:>7,} {wall:8.2f} s {cpu:8.2f} s {_peak():8.2f} GB (tables alone {before:.2f})"


def _count(rows: int) -> str:
    table = rollouts(rows)
    before = _peak()
    wall, cpu = timed(lambda: count(table, ("stratum",)))
    million = f"{1e6 * wall / rows:8.2f} s {1e6 * cpu / rows:8.2f} s"
    return f"  {rows:>10,} {wall:8.2f} s {million} {_peak():8.2f} GB (rows alone {before:.2f})"


def _peak() -> float:
    """Peak memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def apart(work: Callable[..., str], *arguments: int) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(work, arguments), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("scipy", "decompose", "count"))
    what = parser.parse_args().what
    print(f"{os.cpu_count()} cores, NumPy {np.__version__}, Polars {pl.__version__}")
    if what in (None, "scipy"):
        print(
            "bootstrap of selection, 16 responses a problem, 10,000 draws, one thread, processor time, median of 5:"
        )
        print(
            "problems, ours, all of decompose, scipy.stats.bootstrap, ratio of ours and of all, both intervals"
        )
        print("in percentage points, largest difference of their ends in standard errors of Monte Carlo")
        for problems in (500, 2_000, 10_000):
            scipy_ratio(problems)
    if what in (None, "decompose"):
        print("decompose, 12 strata, 6 strategies: problems, draws, clock, processor, peak memory")
        for problems, draws in ((6_250, 10_000), (62_500, 2_000), (62_500, 10_000)):
            apart(_decompose, problems, draws)
    if what in (None, "count"):
        print("count: rows, clock, clock and processor a million rows, peak memory")
        for rows in (10**4, 10**5, 10**6, 10**7):
            apart(_count, rows)


if __name__ == "__main__":
    main()
