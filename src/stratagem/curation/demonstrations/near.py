"""Near-duplicates among responses: those that share nearly all of their runs of three words.

How many they share (Jaccard's index) is estimated from signatures of 128 numbers each (MinHash, by rensa). Which rows
are compared at all is decided by bands of eight of these numbers: two rows that share 80% agree in one of the 16
bands with a probability of 95%. Of the rows that agree in a band each is compared with the first and with the one
before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.records import StratagemError

NUMBERS, BAND = 128, 8  # of a signature, of a band
LONG = 20  # words from which a response may be the double of one to another problem
SEED = 0
AT_ONCE = 100_000  # pairs that are compared together
MIX = np.uint64(0x9E3779B97F4A7C15)
Signatures = NDArray[np.uint32]
Ints = NDArray[np.int64]


def available() -> bool:
    """Whether the library is there that signs texts."""
    try:
        check_available()
    except StratagemError:
        return False
    return True


def check_available() -> None:
    """
    Raises:
        StratagemError: the library is not there.
    """
    _library()


def _library() -> Any:
    try:
        import rensa
    except ModuleNotFoundError:
        raise StratagemError("--near: needs rensa: pip install 'stratagem[near]'") from None
    return rensa


def signatures(texts: pl.Series) -> tuple[Signatures, Ints]:
    """The signature of each text, a row of `NUMBERS` each, and how many words it has.

    Raises:
        StratagemError: the library is not there.
    """
    words, counts = _words(texts)
    ends = np.cumsum(counts)
    left = np.repeat(ends, counts) - np.arange(len(words))  # words of its text from each one on
    runs = words * MIX
    for ahead in (1, 2):
        runs[:-ahead] ^= np.where(left[:-ahead] > ahead, words[ahead:], np.uint64(0))
        runs *= MIX
    starts_run = (left >= 3) | (left == np.repeat(counts, counts))  # a text of one or two words is one run
    runs_each = np.minimum(counts, np.maximum(counts - 2, 1))
    starts = np.concatenate([[0], np.cumsum(runs_each)]).astype(np.uint64)
    minhash = _library().RMinHash
    matrix = minhash.digest_matrix_from_flat_token_hashes(runs[starts_run], starts, NUMBERS, SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(len(texts), NUMBERS), counts


def _words(texts: pl.Series) -> tuple[NDArray[np.uint64], Ints]:
    """The hashes of all words, text by text, and how many each text has."""
    one_line = texts.fill_null("").str.replace_all("\n", " ", literal=True).str.to_lowercase()
    lists = one_line.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    counts = lists.list.len().to_numpy().astype(np.int64)
    words = lists.filter(lists.list.len() > 0).explode()
    return words.hash(SEED).to_numpy().copy(), counts


def doubles(signed: Signatures, words: Ints, problem: Ints, strategy: Ints, threshold: float) -> Ints:
    """For each row the first of the rows that it is a near-duplicate of, directly or through others; -1 where there is
    none.

    Rows are near-duplicates only under one strategy, and those of different problems only where both have `LONG` words.

    Args:
        signed, words: as `signatures` gives them.
        threshold: the share of runs of words from which two are near-duplicates.
    """
    first = np.arange(len(signed))
    for start in range(0, NUMBERS, BAND):
        later, earlier = _mates(signed[:, start : start + BAND])
        fit = (strategy[later] == strategy[earlier]) & (
            (problem[later] == problem[earlier]) | (np.minimum(words[later], words[earlier]) >= LONG)
        )
        later, earlier = later[fit], earlier[fit]
        for place in range(0, len(later), AT_ONCE):
            pair = slice(place, place + AT_ONCE)
            alike = (signed[later[pair]] == signed[earlier[pair]]).mean(axis=1) >= threshold
            np.minimum.at(first, later[pair][alike], earlier[pair][alike])
    while not np.array_equal(onward := first[first], first):
        first = onward
    return np.where(first == np.arange(len(first)), -1, first)


def repeats(problem: Ints, text: NDArray[np.uint64]) -> Ints:
    """For each row the first one of the same problem with the same text; -1 where there is none.

    Args:
        text: a hash of each row's text.
    """
    rows = pl.DataFrame({"problem": problem, "text": text}).with_row_index("row")
    first = rows.select(pl.col("row").min().over("problem", "text"))["row"].to_numpy().astype(np.int64)
    return np.where(first == np.arange(len(first)), -1, first)


def _mates(band: Signatures) -> tuple[Ints, Ints]:
    """Pairs of rows that agree in a band: each with the first such row, and with the one before it."""
    key = np.zeros(len(band), np.uint64)
    for column in band.T:
        key = (key ^ column.astype(np.uint64)) * MIX
        key ^= key >> np.uint64(29)
    order = np.argsort(key, kind="stable")
    same = np.concatenate([[False], key[order][1:] == key[order][:-1]]) if len(band) else np.zeros(0, bool)
    place = np.arange(len(order))
    head = np.maximum.accumulate(np.where(same, 0, place)) if len(order) else place
    later = order[same]
    both = np.stack([np.tile(later, 2), np.concatenate([order[head[same]], order[place[same] - 1]])], axis=1)
    both = np.unique(both, axis=0)
    return both[:, 0], both[:, 1]
