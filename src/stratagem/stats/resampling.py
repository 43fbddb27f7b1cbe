"""Bootstrap weights for problems that lie in strata. Suffixes: d draws, b blocks, p problems of one block.

A block is a run of problems that is resampled together; a pool is a set of blocks that share their number of
draws. From a pool of M problems M - 1 are drawn, with replacement, and weighted by M / (M - 1), which makes
the bootstrap variance of a mean unbiased in strata of any size (Rao and Wu 1988, JASA 83, 231).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stratagem.stats.ahead import ahead
from stratagem.stats.pairs import Floats

# Numbers in the matrix of counts of one step: 1 MB, which stays in the cache; for a matrix product worth its name
# 32 draws at once, if 32 MB hold them.
STEP, DRAWS, MOST = 2**17, 32, 2**22
# Problems of a block from which draws are counted one by one.
LONG = 2048


def pools(sizes_b: Sequence[int], stratified: bool) -> list[list[int]]:
    """Which blocks are resampled together: all, or (stratified) each alone.

    Blocks of one problem show no variance of their own, so they share a pool (collapsed strata); a pool that
    would still hold a single problem joins the smallest other one.
    """
    if not stratified:
        return [list(range(len(sizes_b)))]
    single = [b for b, size in enumerate(sizes_b) if size == 1]
    pools_of_blocks = [[b] for b, size in enumerate(sizes_b) if size > 1]
    if len(single) == 1 and pools_of_blocks:
        min(pools_of_blocks, key=lambda pool: sizes_b[pool[0]]).extend(single)
    elif single:
        pools_of_blocks.append(single)
    return pools_of_blocks


def pool_of(sizes_b: NDArray[np.int64], stratified: bool) -> NDArray[np.int64]:
    """The number of every block's pool, as `pools` makes them, from 0."""
    pool_b = np.zeros(len(sizes_b), dtype=np.int64)
    for number, pool in enumerate(pools(sizes_b.tolist(), stratified)):
        pool_b[pool] = number
    return pool_b


def freedom(pool: NDArray[np.int64], n: int) -> int:
    """Degrees of freedom that n problems in these pools leave: the mean of each pool takes one."""
    return n - int(pool.max()) - 1


def drawn(
    rng: np.random.Generator, sizes_b: Sequence[int], draws: int, stratified: bool
) -> tuple[NDArray[np.int64], Floats]:
    """How many problems of every block each draw holds (d x b), and what one of them weighs (b)."""
    size_b = np.asarray(sizes_b)
    number_db = np.zeros((draws, size_b.size), dtype=np.int64)
    weight_b = np.full(size_b.size, np.nan)
    for pool in pools(sizes_b, stratified):
        total = size_b[pool].sum()
        if total < 2:
            continue
        weight_b[pool] = total / (total - 1) / size_b.sum()
        number_db[:, pool] = (
            total - 1 if len(pool) == 1 else rng.multinomial(total - 1, size_b[pool] / total, size=draws)
        )
    return number_db, weight_b


def steps(rng: np.random.Generator, number_d: NDArray[np.int64], size: int) -> Iterator[tuple[slice, Floats]]:
    """How often each problem of a block is drawn (d x p), some draws at a time: (which draws, counts).

    The counts are overwritten by the next step: use them at once. Nothing else may use `rng` before the last step.
    """
    rows = max(1, STEP // size, min(DRAWS, MOST // size))
    room_dp = np.empty((min(rows, number_d.size), size))
    indices = _indices(rng, number_d, size, rows)
    # Random numbers take longer than what is made of them: those of the next step are drawn meanwhile.
    for part, index in ahead(indices) if number_d.size > rows else indices:
        count_d = number_d[part]
        count_dp = room_dp[: count_d.size]
        _tally(index, count_d, count_dp)
        yield part, count_dp


def _indices(
    rng: np.random.Generator, number_d: NDArray[np.int64], size: int, rows: int
) -> Iterator[tuple[slice, NDArray[np.integer]]]:
    """The problems that so many draws hold, one after another: (which draws, numbers of problems)."""
    kind = np.uint16 if size <= 2**16 else np.int32  # short numbers are drawn faster
    for start in range(0, number_d.size, rows):
        part = slice(start, min(start + rows, number_d.size))
        yield part, rng.integers(0, size, int(number_d[part].sum()), dtype=kind)


def _tally(index: NDArray[np.integer], count_d: NDArray[np.int64], count_dp: Floats) -> None:
    """Count every draw's indices into its row. Row by row where rows are long: the counters stay in the cache."""
    draws, size = count_dp.shape
    if size < LONG:
        flat = np.repeat(np.arange(0, draws * size, size), count_d) + index
        count_dp[:] = np.bincount(flat, minlength=draws * size).reshape(draws, size)
        return
    stop_d = np.cumsum(count_d)
    for row_p, stop, count in zip(count_dp, stop_d.tolist(), count_d.tolist(), strict=True):
        row_p[:] = np.bincount(index[stop - count : stop], minlength=size)


def sums(rng: np.random.Generator, number_d: NDArray[np.int64], data_pk: Floats) -> Floats:
    """The data matrix of a block summed over the problems of every draw (d x k)."""
    sum_dk = np.empty((number_d.size, data_pk.shape[1]))
    for part, count_dp in steps(rng, number_d, len(data_pk)):
        np.matmul(count_dp, data_pk, out=sum_dk[part])
    return sum_dk
