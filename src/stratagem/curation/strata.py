"""The strata of a pool: by which pass rates are learnt, and whose shares are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.passrates import Floats
from stratagem.curation.pool import Pool
from stratagem.curation.profile import Bools, Ints
from stratagem.records import StratagemError


@dataclass(frozen=True, slots=True)
class Strata:
    """The strata of a pool: of each row its number, and their names."""

    home: Ints
    names: tuple[str, ...]
    by: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.names)


def strata_of(pool: Pool) -> Strata:
    """Strata by the pool's columns, in the order of their names."""
    if not pool.columns:
        return Strata(np.zeros(len(pool), np.int64), ("all",))
    values = pool.problems.select(pl.concat_str(pool.columns, separator=" / ").alias("name"))["name"]
    names = values.unique().sort()
    if len(names) > 1_000:
        raise StratagemError(f"--by {','.join(pool.columns)}: makes {len(names):,} strata; 1,000 at most")
    numbers = pl.Series(np.arange(len(names)), dtype=pl.Int64)
    return Strata(
        values.replace_strict(names, numbers).to_numpy().astype(np.int64), tuple(names), pool.columns
    )


def target_shares(target: Mapping[str, float], strata: Strata, eligible: Bools) -> Floats | None:
    """The share of each stratum; those that no share is named for divide what is left as the pool does.

    Raises:
        StratagemError: no such stratum, or nothing is there for what is left.
    """
    if not target:
        return None
    for name in target:
        if not strata.by:
            raise StratagemError(f"--target {name}: name the column whose value that is with --by")
        if name not in strata.names:
            there = ", ".join(strata.names[:12])
            raise StratagemError(
                f"--target {name}: no such value of --by {','.join(strata.by)}; there are {there}"
            )
    there_g = np.bincount(strata.home[eligible], minlength=strata.count).astype(float)
    share_g = np.array([target.get(name, 0.0) for name in strata.names])
    others = np.array([name not in target for name in strata.names])
    left = 1 - share_g.sum()
    if left > 1e-9:
        if there_g[others].sum() == 0:
            raise StratagemError(
                f"--target: its shares add up to {share_g.sum():g} and there is no other stratum"
            )
        share_g[others] = left * there_g[others] / there_g[others].sum()
    return share_g
