"""What is decided of a set of demonstrations: what is taken, asked for and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.choose import allocate
from stratagem.curation.demonstrations.asking import Lacking, asked, demonstrated, first_of, lacking
from stratagem.curation.demonstrations.choice import (
    BINS,
    QUALITIES,
    Cells,
    Chosen,
    binned,
    choose,
    plan,
    shares,
    weights,
)
from stratagem.curation.demonstrations.diversity import Ints
from stratagem.curation.demonstrations.labels import UNNAMED, UNREAD, Labeller
from stratagem.curation.demonstrations.reading import Demonstrations
from stratagem.curation.demonstrations.reasons import HELD_OUT, NEAR, REPEAT, UNREADABLE, WRONG, Sifted, sift
from stratagem.curation.demonstrations.settings import Settings
from stratagem.curation.demonstrations.writing import rewritten
from stratagem.curation.held import Record
from stratagem.curation.passrates import Floats
from stratagem.curation.profile import Bools
from stratagem.records import StratagemError

MOST_KINDS = 1_000


@dataclass(frozen=True, slots=True)
class Decision:
    """All that is decided of a set.

    Attributes:
        names: of the strategies; kinds: names of the types of problem.
        chosen: None without a size; weight: None without weights.
        ask: problems with the strategies that are to be asked for; write: those that the task has demonstrated, with
            the texts and the records of the demonstrations.
        wanted: of each type and strategy, how many demonstrations it lacks.
    """

    data: Demonstrations
    cells: Cells
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    sifted: Sifted
    chosen: Chosen | None
    weight: Floats | None
    wanted: Ints
    ask: Lacking
    write: Lacking
    texts: Sequence[str]
    records: Sequence[Record]


def decide(data: Demonstrations, evaluated: Bools, settings: Settings) -> Decision:
    """What is taken of a set, asked for and written.

    Args:
        evaluated: rows whose prompts are those of evaluations.

    Raises:
        StratagemError: nothing is left, too many types, no such strategy, or nobody who writes.
    """
    sifted = sift(data, evaluated, settings)
    if not sifted.eligible.any():
        counts = ", ".join(
            f"{sifted.count(why):,} {why}"
            for why in (HELD_OUT, WRONG, UNREADABLE, REPEAT, NEAR)
            if sifted.count(why)
        )
        unread = f"; by {data.labeller.source} no answer is found: name others with --strategies"
        raise StratagemError(
            f"{data.name}: no demonstration is left: of {len(data):,}, {counts}"
            f"{unread if sifted.count(UNREADABLE) else ''}"
        )
    names, covered = _strategies(
        data.table["strategy"].filter(pl.Series(sifted.eligible)), data.labeller, settings
    )
    cells, kinds = _cells(data, names, covered)
    eligible = sifted.eligible
    size = int(eligible.sum()) if settings.size is None else settings.size
    wanted = _wanted(cells, eligible, size, len(kinds))
    rare = _rare(cells, eligible, len(kinds), settings.rare)
    short = cells.covered if settings.write else np.any(rare & (wanted > 0), axis=0)
    pairs = lacking(cells, eligible, short, np.random.default_rng([settings.seed, 2]))
    if settings.write and data.labeller.task is None:
        raise StratagemError(
            "--write: a task of this package writes demonstrations; these prompts are of none"
        )
    chosen = None
    write = first_of(cells, pairs, np.zeros_like(pairs.counts))
    if settings.size is not None:
        planned = plan(cells, eligible, size, pairs.counts if settings.write else None)
        chosen = choose(
            cells, eligible, planned, settings.problems, np.random.default_rng([settings.seed, 1])
        )
        write = first_of(cells, pairs, planned.written)
    ask = asked(cells, pairs, np.where(rare & (not settings.write), wanted, 0))
    rows = write.rows.tolist()
    strategies = [names[s] for s in write.strategy.tolist()]
    texts = demonstrated(data.prompts(rows), strategies) if rows else []
    records = [
        rewritten(record, text, strategy, data.columns)
        for record, text, strategy in zip(data.rows.records(rows), texts, strategies, strict=True)
    ]
    return Decision(
        data=data,
        cells=cells,
        names=names,
        kinds=kinds,
        sifted=sifted,
        chosen=chosen,
        weight=weights(cells, eligible) if settings.choose == "weights" else None,
        wanted=np.where(rare | (by_kind(cells, write.counts, len(kinds)) > 0), wanted, 0),
        ask=ask,
        write=write,
        texts=texts,
        records=records,
    )


def _strategies(strategy: pl.Series, labels: Labeller, settings: Settings) -> tuple[tuple[str, ...], Bools]:
    """All strategies, and which of them are to be covered: those that the user names; else all that a task has, or that
    demonstrations show.

    Raises:
        StratagemError: no such strategy.
    """
    seen = set(strategy)
    names = tuple(dict.fromkeys((*labels.names, *sorted(seen - set(UNREAD)))))
    ways = [name for name in names if name not in UNNAMED]
    for name in settings.cover:
        if name not in ways:
            raise StratagemError(f"--cover {name}: no such strategy; there are {', '.join(ways)}")
    usual = ways if labels.task is not None else [name for name in ways if name in seen]
    cover = settings.cover or usual
    return names, np.array([name in cover for name in names], bool)


def _cells(data: Demonstrations, names: tuple[str, ...], covered: Bools) -> tuple[Cells, tuple[str, ...]]:
    table = data.table
    kinds = table["kind"].unique().sort()
    if len(kinds) > MOST_KINDS:
        raise StratagemError(f"--by: makes {len(kinds):,} types of problem; {MOST_KINDS:,} at most")
    number = pl.Series(np.arange(len(kinds)), dtype=pl.Int64)
    strategies = pl.Series(np.arange(len(names)), dtype=pl.Int64)
    rows = pl.DataFrame(
        {
            "kind": table["kind"].replace_strict(kinds, number),
            "difficulty": binned(table["difficulty"], BINS),
            "quality": binned(table["quality"], QUALITIES),
        }
    )
    blocks = rows.unique().sort("kind", "difficulty", "quality").with_row_index("block")
    home = rows.join(blocks, on=rows.columns, how="left", maintain_order="left")["block"]
    strategy = table["strategy"].replace_strict(
        pl.Series(names, dtype=pl.String), strategies, default=-1, return_dtype=pl.Int64
    )
    cells = Cells(
        home.to_numpy().astype(np.int64),
        strategy.to_numpy(),
        table["problem"].to_numpy(),
        blocks["kind"].to_numpy(),
        covered,
    )
    return cells, tuple(kinds)


def by_kind(cells: Cells, counts: Ints, kinds: int) -> Ints:
    """Counts of blocks, a row each, added up by type."""
    made = np.zeros((kinds, counts.shape[1]), np.int64)
    np.add.at(made, cells.kind, counts)
    return made


def _wanted(cells: Cells, eligible: Bools, size: int, kinds: int) -> Ints:
    """Of each type and strategy, how many demonstrations more would give it what it is to have of `size`."""
    there = by_kind(cells, cells.counts(eligible), kinds)
    unlimited = np.full(kinds, size)
    size_k = allocate(size, there.sum(axis=1) / there.sum(), unlimited)
    wanted = np.zeros_like(there)
    for kind, counts in enumerate(there):
        if counts.sum():
            fair = allocate(int(size_k[kind]), shares(counts, cells.covered), np.full(len(counts), size))
            wanted[kind] = np.maximum(fair - counts, 0) * cells.covered
    return wanted


def _rare(cells: Cells, eligible: Bools, kinds: int, share: float) -> Bools:
    """Which covered strategies have less than a share of a type's demonstrations."""
    there = by_kind(cells, cells.counts(eligible), kinds)
    total = there.sum(axis=1, keepdims=True)
    return cells.covered & (total > 0) & (there < share * total)
