"""Responses that a log holds again: a resumed run wrote rows anew, shards were merged twice, each filter has its rows.

That a text occurs twice says nothing: samples of one problem may be alike. A response is there again where what the log
calls it is (the id of a sample), where its number among the samples is too, or where a whole block of rows is, in the
same order: of several problems, with long texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.records import StratagemError

LONG = 32  # characters: shorter texts, such as the letter of a choice, are alike by chance
BLOCK_TEXTS = 8  # different long texts that make rows in a row a block
BLOCK_PROBLEMS = 2
DISTANCES = 4  # how far back a block may lie: so many of the likeliest distances are tried
MOST_HELD = 50_000  # rows that may be the start of a block and wait for what follows
KEYS = ("id", "prompt", "checkpoint", "sample", "completion")
KINDS = ("split", "mode")  # where a log has them: a greedy response may be a sampled one to the letter
COUNT_KEYS = ("id", "prompt", "checkpoint", "sample")  # of a log without texts, whose grades are counts
COUNTS = ("count_n", "count_c")
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


class Seen:
    """Hashes with the place where each was seen first, in sorted runs of doubling size: each is moved log n times."""

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Places]] = []

    def first(self, hashes: Hashes) -> Places:
        """The first place of each hash; -1 where it is new."""
        places = np.full(len(hashes), -1, np.int64)
        for run, where in self._runs:
            near = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            here = run[near] == hashes
            places[here] = where[near[here]]
        return places

    def add(self, hashes: Hashes, places: Places) -> None:
        """Remember hashes that are new, each once, in ascending order."""
        while self._runs and len(self._runs[-1][0]) <= len(hashes):
            others, where = self._runs.pop()
            hashes, places = np.concatenate([others, hashes]), np.concatenate([where, places])
            order = np.argsort(hashes)
            hashes, places = hashes[order], places[order]
        if len(hashes):
            self._runs.append((hashes, places))


class Repeats:
    """Takes a log's batches in order and gives them back without what was there before.

    It keeps 32 bytes a row in memory, and sorts each row's hash log n times.

    Args:
        scores: the columns of scores.
        numbered: whether `sample` is the log's own number of a response, and not its place in a list.
        name: the column in which the log names each response, where it has one; then nothing else tells.
        beside: columns that tell rows of one response apart, such as the filter that each has a row for.
        counts: the log holds counts of attempts and no texts; only numbers of samples tell what is there again.

    Attributes:
        dropped: how many rows were there before.
    """

    def __init__(
        self,
        scores: Sequence[str],
        numbered: bool,
        name: str | None = None,
        beside: Sequence[str] = (),
        counts: bool = False,
    ) -> None:
        self.dropped = 0
        self._numbered = numbered
        self._name = name
        self._keys = [*(COUNT_KEYS if counts else KEYS if name is None else (name,)), *beside]
        self._blocks = not counts and name is None
        self._scores = list(COUNTS if counts else scores)
        self._seen = Seen()
        self._lines = np.zeros(
            (2, 1 << 16), np.uint64
        )  # texts and grades of the rows given back, `_count` of them
        self._count = 0
        self._held: pl.DataFrame | None = None
        self._inside = False  # whether the last row was of a block

    def kept(self, batch: pl.DataFrame, last: bool = False) -> pl.DataFrame:
        """The rows that are new. Rows that may begin a block are held back until the next batch.

        Raises:
            StratagemError: a response is there again with other scores.
        """
        if self._held is not None:
            batch = pl.concat([self._held, batch])
            self._held = None
        if batch.is_empty():
            return batch
        kinds = (name for name in KINDS if name in batch.columns)
        texts = batch.select(*self._keys, *kinds).hash_rows().to_numpy()
        order = np.argsort(texts)
        ordered = texts[order]
        new_h = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        before_h = self._seen.first(ordered)
        if new_h.all() and (before_h < 0).all():  # so it is nearly always
            self._inside = False
            self._remember(batch, texts, order)
            return batch
        first = self._first(np.argsort(texts, kind="stable"), new_h, before_h)
        seen = first >= 0
        again = seen & self._told(batch).to_numpy()
        line = np.concatenate([self._lines[0, : self._count], texts])
        runs = seen if self._blocks else np.zeros_like(seen)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], runs, [False]]).astype(np.int8)))
        end = batch.height
        for start, stop in edges.reshape(-1, 2).tolist():
            goes_on = start == 0 and self._inside
            open_ended = stop == batch.height and not last
            if stop - start < BLOCK_TEXTS and not goes_on and not open_ended:
                continue
            block = _block(line, self._count, first, start, stop)
            if goes_on or _is_block(batch[block]):
                again[block] = True
            elif open_ended and stop - start <= MOST_HELD:
                end = start
        self._inside = bool(again[-1]) and end == batch.height
        if end < batch.height:
            self._held = batch[end:]
            batch, texts, first, again = batch[:end], texts[:end], first[:end], again[:end]
        new = batch.filter(~again) if again.any() else batch
        fresh = np.flatnonzero(first[~again] < 0)
        self._remember(new, texts[~again], fresh[np.argsort(texts[~again][fresh])])
        if again.any():
            self._check_scores(batch.filter(again), texts[again])
            self.dropped += int(again.sum())
        return new

    def _told(self, batch: pl.DataFrame) -> pl.Series:
        """Whether a row says itself which response it is."""
        if self._name is not None:
            return batch[self._name].is_not_null()
        known = batch["sample"].is_not_null() & self._numbered
        return known & _long(batch) if self._blocks else known

    def rest(self, schema: pl.Schema) -> pl.DataFrame:
        """What was held back, once there is no more to come."""
        return self.kept(pl.DataFrame(schema=schema), last=True)

    def _first(self, order: Places, new_h: NDArray[np.bool_], before_h: Places) -> Places:
        """For each row the place of the first like it, among all before and those of the batch; -1 where it is that.

        Args:
            order: the rows by ascending hash, those of one hash as they stand.
            new_h, before_h: by ascending hash, whether a row is the batch's first of its hash, and the place of the
                first among all before, -1 where there is none.
        """
        leader = order[np.maximum.accumulate(np.where(new_h, np.arange(len(order)), 0))]
        places = np.empty(len(order), np.int64)
        places[order] = np.where(before_h >= 0, before_h, np.where(new_h, -1, self._count + leader))
        return places

    def _remember(self, new: pl.DataFrame, texts: Hashes, fresh: Places) -> None:
        """Keep rows that are given back; `fresh` are the first of their kind, by ascending hash."""
        size = self._count + len(texts)
        if size > self._lines.shape[1]:
            self._lines = np.concatenate([self._lines, np.zeros((2, size), np.uint64)], axis=1)
        self._lines[0, self._count : size] = texts
        self._lines[1, self._count : size] = self._grades(new, texts)
        self._seen.add(texts[fresh], self._count + fresh)
        self._count = size

    def _grades(self, rows: pl.DataFrame, texts: Hashes) -> Hashes:
        return pl.DataFrame([pl.Series("_text", texts), *rows.select(self._scores)]).hash_rows().to_numpy()

    def _check_scores(self, again: pl.DataFrame, texts: Hashes) -> None:
        """Refuse a response that is there again with scores that it has not had before."""
        known = np.isin(self._grades(again, texts), self._lines[1, : self._count])
        if known.all():
            return
        row = again.filter(~known).row(0, named=True)
        name = row["id"] if row["id"] is not None else str(row["prompt"])[:60]
        raise StratagemError(
            f"{(~known).sum()} rows hold a response again with other scores (problem {name!r}): keep one scoring each"
        )


def _block(line: Hashes, count: int, first: Places, start: int, stop: int) -> slice:
    """The part of a run of rows seen before that repeats earlier rows in their order.

    A row points to the first like it: to the row that it repeats, or to one further back that is alike.
    """
    distances, times = np.unique(count + np.arange(start, stop) - first[start:stop], return_counts=True)
    longest = (0, 0)
    for distance in distances[np.argsort(-times, kind="stable")[:DISTANCES]]:
        rows = np.arange(count + start, count + stop)
        same = (rows >= distance) & (line[rows] == line[np.maximum(rows - distance, 0)])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
        longest = max(longest, *map(tuple, edges.reshape(-1, 2).tolist()), key=lambda ends: ends[1] - ends[0])
    return slice(start + longest[0], start + longest[1])


def _long(batch: pl.DataFrame) -> pl.Series:
    return batch["completion"].str.len_chars() >= LONG


def _is_block(rows: pl.DataFrame) -> bool:
    """Whether rows that repeat earlier ones are too many and too long to be alike by chance."""
    different = rows.filter(_long(rows))["completion"].n_unique()
    return different >= BLOCK_TEXTS and rows.select("id", "prompt").n_unique() >= BLOCK_PROBLEMS
