"""What rollouts say of each prompt of a pool: its pass rate, the signal of a group, whether it is flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.curation.misfit import misfits
from stratagem.curation.passrates import Floats, Posterior, Prior, edge, priors
from stratagem.curation.pool import Pool
from stratagem.curation.tally import SUMS, Same, Tally
from stratagem.curation.variances import Noise, Sums, variances
from stratagem.records import StratagemError
from stratagem.rollouts.problems import join

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matched:
    """Rollouts brought to the rows of a pool.

    Attributes:
        sums: a row of `SUMS` for each row of the pool; n is 0 where a prompt has no rollouts.
        hits: of each log, how many problems of it are in the pool; methods: by what they were known.
    """

    sums: pl.DataFrame
    hits: tuple[int, ...]
    methods: tuple[str, ...]
    notes: tuple[str, ...]


def match(pool: Pool, tallies: Sequence[Tally], method: Same) -> Matched:
    """The sums of all logs for each row of a pool.

    Raises:
        StratagemError: a log has no problem of the pool.
    """
    whole = pl.DataFrame({name: np.zeros(len(pool)) for name in SUMS})
    hits: list[int] = []
    methods: list[str] = []
    notes: list[str] = []
    own = pool.problems.select("problem_id", "has_id", "by_prompt", "by_normalised").unique(
        maintain_order=True
    )
    for log in tallies:
        try:
            joined = join([own, log.problems], method)
        except StratagemError as error:
            if "share an id" in str(error):
                raise StratagemError(f"{pool.name}, {log.name}: {error}") from None
            raise StratagemError(_no_match(pool, log, method)) from None
        keys_pool, keys_log = joined.keys
        by_key = log.sums.join(keys_log, on="problem_id").group_by("key").agg(pl.col(SUMS).sum())
        rows = pool.problems.select("problem_id").join(
            keys_pool, on="problem_id", how="left", maintain_order="left"
        )
        here = rows.join(by_key, on="key", how="left", maintain_order="left").select(
            pl.col(SUMS).fill_null(0.0)
        )
        whole = whole.select(pl.col(name) + here[name] for name in SUMS)
        hits.append(by_key.join(keys_pool, on="key", how="semi").height)
        methods.append(joined.method)
        notes += [f"{log.name}: {note}" for note in joined.notes]
        if hits[-1] < 0.5 * log.sums.height:
            notes.append(
                f"{log.name}: {log.sums.height - hits[-1]:,} of its {log.sums.height:,} problems are not in "
                f"{pool.name} and do not count"
            )
    return Matched(whole, tuple(hits), tuple(methods), tuple(notes))


def _no_match(pool: Pool, log: Tally, method: Same) -> str:
    ways = "by id, prompt or normalised prompt" if method == "auto" else f"by --join {method}"
    ids = [side.filter("has_id")["problem_id"].head(1).to_list() for side in (pool.problems, log.problems)]
    such = f" (ids such as {ids[0][0]} and {ids[1][0]})" if all(ids) else ""
    return (
        f"no prompt of {pool.name} has rollouts in {log.name} {ways}{such}: rollouts of other prompts, or of another "
        "prompt template? name the columns with --id and --prompt (of the pool) or --columns id=COLUMN (of the log)"
    )


@dataclass(frozen=True, slots=True)
class Frontier:
    """What makes a prompt flat.

    Attributes:
        group: samples of a group.
        min_signal: a prompt is flat where fewer of its groups than this share have signal; of rewards that are not
            right or wrong, where their variance is below this share of the pool's mean.
    """

    group: int = 8
    min_signal: float = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """Expected signal under each distribution of pass rates that a stratum's counts allow.

    Attributes:
        kind: of each row, the kind of prompts that it is of: those of a stratum with the same counts.
        stratum: of each kind; signals, weight: of each kind and distribution.
    """

    kind: Ints
    stratum: Ints
    signals: Floats
    weight: Floats

    def variance(self, rows: Ints) -> float:
        """The variance of the mean signal of some rows that comes of not knowing the distributions."""
        counts = np.bincount(self.kind[rows], minlength=len(self.stratum)) / len(rows)
        total = 0.0
        for g in np.unique(self.stratum[counts > 0]):
            own = self.stratum == g
            mean_k, weight_k = counts[own] @ self.signals[own], self.weight[own][0]
            total += float(weight_k @ mean_k**2 - (weight_k @ mean_k) ** 2)
        return max(total, 0.0)


@dataclass(frozen=True, slots=True)
class Profile:
    """Of each row of a pool.

    Attributes:
        n: samples; mean: of the posterior of its pass rate, or its mean reward (NaN without samples).
        low, high: of the pass rate's interval; NaN for rewards that are not right or wrong.
        signal: expected share of groups with signal, or the reward's variance within a group; `open` is its variance,
            of pass rates without what is open about their spread, which all prompts of a stratum share: `parts`.
        misfit: of each stratum, whether its counts are not those of a Beta distribution of pass rates.
        hard, easy: probability that the prompt is flat because nearly all is wrong, or right. Of rewards that are not
            right or wrong `hard` is the probability that it is flat, and `easy` is 0.
        priors: of each stratum; none for rewards that are not right or wrong.
        noise: where the noise of variances comes from; none of pass rates.
    """

    binary: bool
    n: Floats
    right: Floats
    mean: Floats
    low: Floats
    high: Floats
    signal: Floats
    open: Floats
    hard: Floats
    easy: Floats
    priors: tuple[Prior, ...]
    noise: Noise | None = None
    parts: Parts | None = None
    misfit: tuple[bool, ...] = ()

    @property
    def flat(self) -> Floats:
        return self.hard + self.easy

    def regions(self) -> Ints:
        """0 too hard, 1 the frontier, 2 too easy: where a prompt most probably lies."""
        return np.argmax(np.stack([self.hard, 1 - self.flat, self.easy]), axis=0)


def profile(
    sums: pl.DataFrame,
    stratum: Ints,
    strata: int,
    counted: Bools,
    binary: bool,
    frontier: Frontier,
    level: float = 0.95,
) -> Profile:
    """The profile of every row.

    Args:
        sums: `SUMS`, a row each.
        stratum: of each row, its number below `strata`.
        counted: rows from which the spread of pass rates is learnt: each problem once.
        binary: whether every reward is 0 or 1.

    Raises:
        StratagemError: no group has so little signal as `frontier.min_signal`.
    """
    if binary:
        return _rates(sums, stratum, strata, counted, frontier, level)
    return _variances(sums, stratum, strata, counted, frontier)


def _rates(
    sums: pl.DataFrame, stratum: Ints, strata: int, counted: Bools, frontier: Frontier, level: float
) -> Profile:
    at = edge(frontier.min_signal, frontier.group)
    rows = sums.select("n", right=pl.col("total").round()).with_columns(
        stratum=pl.Series(stratum), counted=pl.Series(counted)
    )
    # Prompts with the same counts share all numbers, so that a million of them cost what a few hundred kinds do.
    kinds = rows.group_by("stratum", "n", "right", maintain_order=True).agg(times=pl.col("counted").sum())
    home, n, right, times = (kinds[name].to_numpy() for name in ("stratum", "n", "right", "times"))
    made = priors(home, n, right, times.astype(float), strata)
    posterior = Posterior.after(made, home, n, right)
    low, high = posterior.interval(level)
    kinds = kinds.with_row_index("kind").with_columns(
        mean=posterior.mean(),
        low=low,
        high=high,
        signal=posterior.signal(frontier.group),
        open=posterior.signal_variance(frontier.group),
        too_hard=posterior.below(at),
        too_easy=posterior.above(1 - at),
    )
    table = rows.join(kinds, on=["stratum", "n", "right"], how="left", maintain_order="left")
    column = {name: table[name].to_numpy() for name in table.columns}
    misfit = tuple(
        prior.source == "stratum" and misfits(prior, *(x[home == g] for x in (n, right, times.astype(float))))
        for g, prior in enumerate(made)
    )
    parts = Parts(column["kind"].astype(np.int64), home, posterior.signals(frontier.group), posterior.weight)
    return Profile(
        binary=True,
        n=column["n"],
        right=column["right"],
        mean=column["mean"],
        low=column["low"],
        high=column["high"],
        signal=column["signal"],
        open=column["open"],
        hard=column["too_hard"],
        easy=column["too_easy"],
        priors=made,
        parts=parts,
        misfit=misfit,
    )


def _variances(sums: pl.DataFrame, stratum: Ints, strata: int, counted: Bools, frontier: Frontier) -> Profile:
    columns = {name: sums[name].to_numpy() for name in SUMS}
    whole = Sums(*(columns[name] for name in SUMS[:3]))
    half = Sums(*(columns[name] for name in SUMS[3:]))
    if not (counted & (whole.n >= 2)).any():
        raise StratagemError("no prompt has two samples, so that nothing is known of how its reward varies")
    known = variances(whole, half, stratum, strata, counted)
    usual = float(known.value[counted].mean())
    nan = np.full(len(stratum), np.nan)
    with np.errstate(invalid="ignore"):
        mean = whole.total / np.where(whole.n > 0, whole.n, np.nan)
    flat = known.below(frontier.min_signal * usual)
    return Profile(
        False,
        whole.n,
        nan,
        mean,
        nan,
        nan,
        known.value,
        known.open,
        flat,
        np.zeros_like(flat),
        (),
        known.noise,
    )
