"""How often the intervals of a decomposition hold the truth: simulated studies with known terms.

    python benchmarks/intervals.py --studies 2000
    python benchmarks/intervals.py --only "labels err"

Every study draws problems in two strata or more; a problem has its own shares (Dirichlet) and an ease that raises or
lowers its accuracies both before and after; its responses are drawn from them. The truth is the decomposition
of the expected shares and accuracies. Where labels err, a response is read as its strategy says in ERROR, by
checkpoint and outcome; the truth is that of the true strategies. Prints, for every setting, the responses that the
rarest strategy of a stratum is expected to have before, how many of the 95% intervals hold the truth, in percent
(`together`: all simultaneous ones; `new or rare`: the least of selection, improvement and new strategy over both
readings of strategies that were not seen before; `as seen`: the least of the three where a strategy that was not seen
before in a stratum is new in the truth too; `as told`: the least of the three, over both readings in those studies
whose result warns that a strategy is new or merely rare, by their own intervals in the others), and of how many studies
the result itself says that it is weak. In
worlds with hidden types of problem (those of `levels.py`, all in one stratum) selection and improvement are those of
the headline, so by problem, as its choice and its improvement, and weak is that problems inside a stratum are said to
differ.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import levels
import numpy as np
import polars as pl
from scipy import special

from stratagem.decomposition.decompose import decompose, decompose_pairs
from stratagem.decomposition.leading import leading
from stratagem.decomposition.result import Decomposition
from stratagem.label_error.confusion import Confusion
from stratagem.label_error.correction import Corrected, decompose_corrected
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import sheet
from stratagem.records import StratagemError
from stratagem.stats.pairs import Pairs

NAMES = ("A", "B", "C")
TERMS: tuple[str, ...] = (
    "gain",
    "selection",
    "improvement",
    "new_strategy",
    "reverse_selection",
    "symmetric_selection",
    "together",
    "new_or_rare",
    "as_seen",
    "as_told",
)


@dataclass(frozen=True)
class Setting:
    """Shares and accuracies of A, B, C before and after; `concentration` of a problem's own around them.

    `hidden` is the accuracy after of a strategy that is dropped: the truth that bounds have to hold.
    `strata`: of every second one the accuracies are lower by `shift`. `ushaped`: a problem's accuracies follow a beta
    distribution of sum .4, Beta(.2, .2) where the mean is a half.
    `labels`: `true`, `wrong` (they err, and nobody knows), `known` (they err as is known), or `sheet` (they err, and
    `by_hand` responses are labelled by hand as well).
    """

    name: str
    problems: int
    samples: int
    share: tuple[tuple[float, ...], tuple[float, ...]]
    accuracy: tuple[tuple[float, ...], tuple[float, ...]]
    concentration: float = 3.0
    hidden: float = 0.2
    labels: str = "true"
    by_hand: int = 400
    strata: int = 2
    shift: float = 0.1
    ushaped: bool = False

    @property
    def seen(self) -> float:
        """Responses before that the rarest strategy of a stratum is expected to have."""
        return min(x for x in self.share[0] if x) * self.problems * self.samples / self.strata


Row = tuple[float, ...]


def trace(before: float, after: float) -> tuple[tuple[Row, Row], tuple[Row, Row]]:
    """Shares and accuracies where the third strategy is a trace before."""
    share = (0.6, 0.4 - before, before), (0.5, 0.5 - after, after)
    return share, ((0.4, 0.6, 0.3), (0.5, 0.65, 0.5))


BALANCED = ((0.5, 0.3, 0.2), (0.3, 0.5, 0.2)), ((0.4, 0.6, 0.3), (0.55, 0.65, 0.3))
DROPPED = ((0.5, 0.3, 0.2), (0.4, 0.6, 0.0)), ((0.4, 0.6, 0.3), (0.55, 0.65, 0.2))
NEW = ((0.6, 0.4, 0.0), (0.4, 0.4, 0.2)), ((0.4, 0.6, 0.0), (0.5, 0.6, 0.7))
RARE = ((0.58, 0.4, 0.02), (0.3, 0.6, 0.10)), ((0.4, 0.6, 0.3), (0.5, 0.65, 0.5))
LOW = BALANCED[0], ((0.005, 0.02, 0.01), (0.02, 0.05, 0.01))
HIGH = BALANCED[0], ((0.98, 0.995, 0.99), (0.995, 0.98, 0.99))
HARD = BALANCED[0], ((0.1, 0.2, 0.15), (0.15, 0.25, 0.15))
SETTINGS = (
    Setting("400 problems x 4", 400, 4, *BALANCED),
    Setting("100 problems x 4", 100, 4, *BALANCED),
    Setting("100 problems x 1 (sparse)", 100, 1, *BALANCED),
    Setting("a problem keeps to a strategy", 200, 4, *BALANCED, concentration=0.3),
    Setting("30 problems x 4 (weak)", 30, 4, *BALANCED),
    Setting("rare strategy, 100 x 2 (sparse)", 100, 2, *RARE),
    Setting("new strategy, 200 x 4", 200, 4, *NEW),
    Setting("dropped strategy, 200 x 4", 200, 4, *DROPPED),
    Setting("dropped, after worst (0), 200 x 4", 200, 4, *DROPPED, hidden=0.0),
    *(
        Setting(f"{before:.2%} before, {after:.0%} after, {m} x {n}", m, n, *trace(before, after))
        for before, after, m, n in (
            (0.0003, 0.02, 400, 4),
            (0.0003, 0.10, 400, 4),
            (0.001, 0.05, 400, 4),
            (0.003, 0.02, 400, 4),
            (0.003, 0.10, 400, 4),
            (0.003, 0.10, 1000, 8),
            (0.003, 0.10, 1000, 16),
        )
    ),
    *(
        Setting(f"accuracies .005-.02, {m} x {n}", m, n, *LOW, shift=0.0)
        for m, n in ((100, 4), (400, 4), (400, 16))
    ),
    *(
        Setting(f"accuracies by Beta(.2, .2), {m} x {n}", m, n, *BALANCED, ushaped=True)
        for m, n in ((100, 4), (400, 4), (400, 16))
    ),
    *(Setting(f"20 strata of 10 problems x {n}", 200, n, *BALANCED, strata=20) for n in (4, 16)),
    *(Setting(f"200 problems x {n}", 200, n, *BALANCED) for n in (1, 2, 16, 64)),
    Setting("a problem keeps to a strategy, 200 x 64", 200, 64, *BALANCED, concentration=0.3),
    # Not used to choose how thin cells are treated.
    *(Setting(f"accuracies .98-.995, {m} x {n}", m, n, *HIGH, shift=0.0) for m, n in ((100, 4), (400, 4))),
    Setting("accuracies .005-.02, 200 x 2", 200, 2, *LOW, shift=0.0),
    Setting("accuracies .1-.2, 100 x 1", 100, 1, *HARD, shift=0.0),
    Setting("0.50% before, 20% after, 300 x 4", 300, 4, *trace(0.005, 0.2)),
    Setting(
        "0.50% before, 20% after, 300 x 4, a problem keeps", 300, 4, *trace(0.005, 0.2), concentration=0.3
    ),
    Setting("20 strata of 10 problems x 16, accuracies .005-.02", 200, 16, *LOW, strata=20, shift=0.0),
    *(Setting(f"new strategy, {m} x {n}", m, n, *NEW) for m, n in ((100, 4), (1000, 8))),
    Setting("labels err, not corrected, 200 x 4", 200, 4, *BALANCED, labels="wrong"),
    Setting("labels err, 400 by hand, 200 x 4", 200, 4, *BALANCED, labels="sheet"),
    Setting("labels err, 400 by hand, new strategy, 200 x 4", 200, 4, *NEW, labels="sheet"),
    Setting("labels err as is known, 200 x 4", 200, 4, *BALANCED, labels="known"),
)
# P(label | true strategy): before and after; wrong and right answers; true; label.
ERROR = np.array(
    [
        [
            [[0.85, 0.10, 0.05], [0.10, 0.85, 0.05], [0.10, 0.10, 0.80]],
            [[0.90, 0.05, 0.05], [0.05, 0.95, 0.0], [0.1, 0.0, 0.9]],
        ],
        [
            [[0.80, 0.15, 0.05], [0.05, 0.90, 0.05], [0.15, 0.10, 0.75]],
            [[0.90, 0.10, 0.00], [0.05, 0.90, 0.05], [0.1, 0.1, 0.8]],
        ],
    ]
)
# Of `levels.WORLDS`, those in which problems are of hidden types, and responses to each of 300 problems.
HIDDEN = ("hidden types, routing alone", "hidden types, both", "continuous difficulty")
HIDDEN_SAMPLES = (4, 16, 64)


def truth(setting: Setting, seen_gs: np.ndarray | None = None) -> dict[str, float]:
    """The terms at the expected shares and accuracies, by hand, as the mean of equal strata.

    Args:
        seen_gs: the strategies of every stratum that count as used before; else those with a share.
    """
    total = dict.fromkeys(TERMS, 0.0)
    for g in range(setting.strata):
        p0, p1 = (np.array(share) for share in setting.share)
        a0, a1 = (
            np.maximum(np.array(accuracy) - setting.shift * (g % 2), 0.0) for accuracy in setting.accuracy
        )
        old = p0 > 0 if seen_gs is None else seen_gs[g]
        a1 = np.where((p1 == 0) & old, setting.hidden, a1)
        kept = p1 * old / (p1 * old).sum()
        selection, improvement = ((kept - p0) * old * a0).sum(), (kept * (a1 - a0) * old).sum()
        reverse = ((kept - p0) * old * a1).sum()
        gain = (p1 * a1).sum() - (p0 * a0).sum()
        parts = (
            gain,
            selection,
            improvement,
            gain - selection - improvement,
            reverse,
            (selection + reverse) / 2,
        )
        for name, value in zip(TERMS, parts, strict=False):
            total[name] += value / setting.strata
    return total


def simulate(setting: Setting, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Counts before and after, by true strategy. A problem's ease is shared by both checkpoints."""
    m = setting.problems
    stratum = np.arange(m) % setting.strata
    ease = rng.normal(0, 0.6, m)
    tables = []
    for checkpoint in (0, 1):
        share = np.array(setting.share[checkpoint])
        own = np.zeros((m, len(NAMES)))
        own[:, share > 0] = rng.dirichlet(setting.concentration * share[share > 0], size=m)
        rate = np.array(setting.accuracy[checkpoint]) - setting.shift * (stratum % 2)[:, None]
        rate = np.maximum(rate, 0.0)
        # A mean-preserving spread by `ease`, which is independent of the choice of strategy.
        if setting.ushaped:
            rate = special.betaincinv(0.4 * rate, 0.4 * (1 - rate), special.ndtr(ease / 0.6)[:, None])
        else:
            rate = rate + np.clip(ease, -1, 1)[:, None] * np.minimum(rate, 1 - rate)
        n = rng.multinomial(setting.samples, own)
        p, s = np.nonzero(n)
        tables.append(
            pl.DataFrame(
                {
                    "problem_id": p,
                    "stratum": stratum[p],
                    "strategy": np.array(NAMES)[s],
                    "n": n[p, s],
                    "right": rng.binomial(n[p, s], rate[p, s]).astype(float),
                }
            )
        )
    return tables


def read(tables: list[pl.DataFrame], rng: np.random.Generator) -> pl.DataFrame:
    """Every response with a label that errs, as a log: side, problem_id, stratum, sample, strategy, truth, score."""
    parts = []
    for side, table in enumerate(tables):
        true = np.searchsorted(NAMES, table["strategy"].to_numpy())
        right = table["right"].to_numpy().astype(int)
        for score, number in enumerate((table["n"].to_numpy() - right, right)):
            row = np.repeat(np.arange(table.height), number)
            seen = (ERROR[side, score, true[row]].cumsum(axis=1) < rng.random((row.size, 1))).sum(axis=1)
            parts.append(
                table[row].select(
                    pl.lit(str(side)).alias("side"),
                    "problem_id",
                    "stratum",
                    strategy=pl.Series(np.array(NAMES)[np.minimum(seen, len(NAMES) - 1)]),
                    truth="strategy",
                    score=pl.lit(float(score)),
                )
            )
    return pl.concat(parts).with_columns(sample=pl.int_range(pl.len()).over("side", "problem_id"))


def used(setting: Setting, before: pl.DataFrame) -> np.ndarray:
    """Which strategies every stratum shows (g x s)."""
    seen_gs = np.zeros((setting.strata, len(NAMES)), dtype=bool)
    seen_gs[before["stratum"].to_numpy(), np.searchsorted(NAMES, before["strategy"].to_numpy())] = True
    return seen_gs


def study(
    setting: Setting, tables: list[pl.DataFrame], rng: np.random.Generator, draws: int
) -> Decomposition | Corrected:
    """One study's result. Raises StratagemError where a correction is refused."""
    if setting.labels == "true":
        return decompose(*tables, by=("stratum",), rng=rng, draws=draws)
    log = read(tables, rng)
    seen = log.group_by("side", "problem_id", "stratum", "strategy").agg(
        n=pl.len(), right=pl.col("score").sum()
    )
    before, after = (seen.filter(pl.col("side") == side).drop("side") for side in ("0", "1"))
    if setting.labels == "wrong":
        return decompose(before, after, by=("stratum",), rng=rng, draws=draws)
    confusion = Confusion.known(NAMES, ERROR)
    if setting.labels == "sheet":
        drawn = sheet(log, setting.by_hand, rng).drop("true_strategy")
        key = ["side", "problem_id", "sample"]
        hand = drawn.join(log.select(*key, true_strategy="truth"), on=key)
        confusion = validate(hand, names=NAMES).confusion()
    return decompose_corrected(before, after, confusion, by=("stratum",), rng=rng, draws=draws)


def coverage(setting: Setting, studies: int, draws: int, seed: int) -> dict[str, float]:
    """The part of the studies whose interval holds the truth, term by term; `weak`, `refused`: of all studies."""
    known = truth(setting)
    held = dict.fromkeys(TERMS, 0)
    refused = weak = 0
    rare, as_seen, as_told = [0, 0, 0], [0, 0, 0], [0, 0, 0]
    for child in np.random.SeedSequence(seed).spawn(studies):
        rng = np.random.default_rng(child)
        tables = simulate(setting, rng)
        try:
            estimate = study(setting, tables, rng, draws)
        except StratagemError:
            refused += 1
            continue
        weak += isinstance(estimate, Decomposition) and bool(estimate.weak)
        terms = {name: getattr(estimate, name) for name in TERMS[:4]}
        terms |= {
            "reverse_selection": estimate.reverse.selection,
            "symmetric_selection": estimate.symmetric.selection,
        }
        for name, term in terms.items():
            held[name] += term.low - 1e-9 <= known[name] <= term.high + 1e-9
        family = [(getattr(estimate.simultaneous, name), known[name]) for name in TERMS[1:4]]
        if isinstance(estimate, Decomposition):
            of_seen = truth(setting, used(setting, tables[0]))
            warned = any("merely rare" in reason for reason in estimate.weak)
            for i, name in enumerate(TERMS[1:4]):
                term, both = getattr(estimate, name), getattr(estimate.new_or_rare, name)
                rare[i] += both.low - 1e-9 <= known[name] <= both.high + 1e-9
                told = both if warned else term
                as_told[i] += told.low - 1e-9 <= known[name] <= told.high + 1e-9
                as_seen[i] += term.low - 1e-9 <= of_seen[name] <= term.high + 1e-9
        held["together"] += all(t.low - 1e-9 <= value <= t.high + 1e-9 for t, value in family)
        assert estimate.reverse.selection.bounds or setting.share[1][2] > 0
    held |= {"new_or_rare": min(rare), "as_seen": min(as_seen), "as_told": min(as_told)}
    if setting.labels in ("sheet", "known"):
        del held["new_or_rare"], held["as_seen"], held["as_told"]  # a corrected split does without
    return {name: count / max(1, studies - refused) for name, count in held.items()} | {
        "weak": weak / studies,
        "refused": refused / studies,
    }


def hidden(name: str, samples: int, studies: int, draws: int, seed: int) -> dict[str, float]:
    """As `coverage`, in a world with hidden types: of the gain, and of choice and improvement of the headline."""
    held = dict.fromkeys(("gain", "selection", "improvement", "weak"), 0)
    # What the continuous world draws is the truth of its own problems; a far larger one has that of the world.
    share0, share1, rate0, rate1 = levels.WORLDS[name](np.random.default_rng(seed), 1_000_000)
    choice = float(((share1 - share0) * rate0).sum(axis=1).mean())
    improvement = float((share1 * (rate1 - rate0)).sum(axis=1).mean())
    known = {"gain": choice + improvement, "selection": choice, "improvement": improvement}
    for child in np.random.SeedSequence([seed, samples]).spawn(studies):
        rng = np.random.default_rng(child)
        shares_rates = levels.WORLDS[name](rng, 300)
        sides = [levels.side(rng, shares_rates[i], shares_rates[i + 2], samples) for i in (0, 1)]
        ids = tuple(map(str, range(300)))
        pairs = Pairs(ids, ("A", "B"), pl.DataFrame(), np.array([300]), sides[0], sides[1], 0, 0)
        estimate = decompose_pairs(pairs, rng=rng, draws=draws, stratified=False)
        x = leading(estimate)
        terms = {"gain": estimate.gain, "selection": x.choice, "improvement": x.improvement}
        for term, truth_ in known.items():
            held[term] += terms[term].low <= truth_ <= terms[term].high
        held["weak"] += bool(estimate.by_problem.disagrees)
    return {term: count / studies for term, count in held.items()} | {"refused": 0.0}


def line(name: str, seen: str, rates: dict[str, float]) -> str:
    """A row of the table."""
    refused = f" ({rates['refused']:.1%} refused)" if rates["refused"] else ""
    cells = [f"{100 * rates[column]:.1f}" if column in rates else "" for column in (*TERMS, "weak")]
    return f"| {name}{refused} | {seen} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the intervals of a decomposition.")
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies a setting")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws a study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="settings whose name holds this")
    args = parser.parse_args()
    columns = ("seen", *TERMS, "weak")
    titles = [name.replace("_", " ") for name in columns]
    print("| setting | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(columns), flush=True)
    start = time.monotonic()
    for setting in (setting for setting in SETTINGS if args.only in setting.name):
        rates = coverage(setting, args.studies, args.draws, args.seed)
        print(line(setting.name, f"{setting.seen:.2g}", rates), flush=True)
    for name in (name for name in HIDDEN if args.only in name):
        for samples in HIDDEN_SAMPLES:
            rates = hidden(name, samples, args.studies, args.draws, args.seed)
            print(line(f"{name}, 300 x {samples}", "", rates), flush=True)
    error = 100 * np.sqrt(0.95 * 0.05 / args.studies)
    print(
        f"\n{args.studies} studies a setting, {args.draws} draws: Monte Carlo error {error:.1f} percentage points; "
        f"{time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
