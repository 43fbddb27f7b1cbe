"""How many labels a learned model needs: agreement with labels that are known, in the page's order and at random.

    python benchmarks/learned.py                         # algebra rollouts, the math rules' labels
    python benchmarks/learned.py --lab runs/before runs/after   # rollouts of the lab, the recogniser's labels
    python benchmarks/learned.py --error 150             # what 150 labels make of selection, corrected and not
    python benchmarks/learned.py --world 150 --seeds 200 # coverage of the corrected split where the truth is known

Each seed asks for labels as `stratagem annotate` does, fits the model, and compares its labels of all responses that
were not asked with the known ones. Agreement in %, mean over seeds (standard deviation).

The lab's texts say with their opening words which strategy follows; `--without` takes such words out.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.learned import sessions, worlds  # noqa: E402

from stratagem.decomposition.decompose import decompose_pairs  # noqa: E402
from stratagem.label_error.correction import correct_pairs  # noqa: E402
from stratagem.labelling.rules import label_frame, read_rules  # noqa: E402
from stratagem.learned.asking import BATCH, FIRST, Asking, Pool  # noqa: E402
from stratagem.learned.features import Texts, read_texts  # noqa: E402
from stratagem.learned.labels import LearnedLabels  # noqa: E402
from stratagem.learned.model import fit  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.stats.counts import tally  # noqa: E402
from stratagem.stats.pairs import pair  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "algebra-rl"
NUMBERS = (50, 100, 150, 200, 400)


def algebra(data: Path) -> pl.DataFrame:
    """The logs before and after RL, as labelled by the rules that ship."""
    rules = read_rules("math")
    tables = [
        pl.read_parquet(data / f"{name}.parquet").with_columns(
            side=pl.lit(number), problem_id=pl.col("prompt_id")
        )
        for number, name in enumerate(("before", "after_algorithmic"))
    ]
    return label_frame(pl.concat(tables), rules, evidence=False)


def lab(folders: list[Path], without: str) -> pl.DataFrame:
    """What `stratagem label` wrote, without some words."""
    tables = [
        pl.read_parquet(folder / "labelled.parquet")
        .filter(pl.col("mode") == "sampled")
        .with_columns(side=pl.lit(number))
        for number, folder in enumerate(folders)
    ]
    words = pl.element().filter(~pl.element().is_in(without.split(",")))
    text = pl.col("completion").str.split(" ").list.eval(words).list.join(" ")
    return pl.concat(tables).with_columns(completion=text)


def asked(pool: Pool, labels: list[str], number: int) -> Asking:
    """As many questions as that, answered with the known labels."""
    asking, model = Asking(pool), None
    for done in range(number):
        if done >= FIRST and done % BATCH == 0:
            with contextlib.suppress(StratagemError):  # one strategy so far
                rows = list(asking.why)
                model = fit(pool.texts.of(np.array(rows)), [labels[i] for i in rows])
        question = asking.next(model)
        if question is None:
            break
        asking.took(*question)
    return asking


def table_of(table: pl.DataFrame, labels: list[str]) -> tuple[list[pl.DataFrame], list[str]]:
    """Counts of both logs with these labels, and the strata: data sets, where the logs name them."""
    length = pl.col("completion").str.len_chars()
    whole = table.with_columns(strategy=pl.Series(labels), length=length, checkpoint=pl.lit("log"))
    by = ["dataset"] if "dataset" in table.columns else []
    return [tally(whole.filter(side=side), by, str(side)) for side in (0, 1)], by


def error(
    table: pl.DataFrame, pool: Pool, labels: list[str], questions: dict[int, str], seed: int
) -> list[float]:
    """Selection in points by what the answers to questions teach: as labelled, corrected with its interval, and by the
    known labels.

    Args:
        questions: the rows that were asked, each with why.
    """
    rows = list(questions.items())
    places = np.array([row for row, _ in rows])
    which = pl.when(pl.col("score") >= 0.5).then(pl.lit("right")).otherwise(pl.lit("wrong"))
    hand = table[places].select(
        "prompt",
        "completion",
        "score",
        outcome=which,
        side=pl.col("side").cast(pl.String),
        text_id=pl.Series([str(i) for i in places]),
        asked=pl.Series([why for _, why in rows]),
        true_strategy=pl.Series([labels[i] for i in places]),
    )
    learned = LearnedLabels.of(hand, "labels", pool.texts.of(places))
    given = learned.model.label(pool.texts)
    for place, label in zip(places.tolist(), learned.hand["strategy"], strict=True):
        given[place] = label
    rng = np.random.default_rng(seed)
    (counts, by), (known, _) = table_of(table, given), table_of(table, labels)
    pairs = pair(*counts, by)
    plain = decompose_pairs(pairs, rng=rng, draws=0).selection.value
    _, measured = learned.measured(counts, ("0", "1"), 0.95)
    found = correct_pairs(pairs, measured, rng=rng, draws=400, stratified=False).selection
    true = decompose_pairs(pair(*known, by), rng=rng, draws=0).selection.value
    return [100 * x for x in (plain, found.value, found.low, found.high, true)]


def show_error(table: pl.DataFrame, texts: Texts, labels: list[str], number: int, seeds: int) -> None:
    held, plain_off, off = 0, [], []
    for seed in range(seeds):
        order = np.random.default_rng([seed, 2]).permutation(len(labels))
        right_r = (table["score"].to_numpy() >= 0.5).astype(np.float64)
        pool = Pool(texts, table["side"].to_numpy().astype(np.int64), right_r, order)
        plain, value, low, high, true = error(table, pool, labels, asked(pool, labels, number).why, seed)
        print(
            f"seed {seed}: as labelled {plain:+.1f}, corrected {value:+.1f} ({low:+.1f} to {high:+.1f}), "
            f"true {true:+.1f}",
            flush=True,
        )
        held += low <= true <= high
        plain_off.append(plain - true)
        off.append(value - true)
    rms = [float(np.sqrt(np.mean(np.square(x)))) for x in (plain_off, off)]
    print(f"{number} labels: {held} of {seeds} corrected intervals hold the selection of the known labels")
    print(f"root mean square error in points: as labelled {rms[0]:.1f}, corrected {rms[1]:.1f}")
    print(f"bias in points: as labelled {np.mean(plain_off):+.1f}, corrected {np.mean(off):+.1f}")


def show_world(number: int, studies: int) -> None:
    """Coverage in the world of tests/learned/worlds.py: 150 problems, 4 responses on each side, three strategies."""
    known = worlds.truth()
    held: dict[str, list[tuple[bool, bool]]] = {"as labelled": [], "corrected": []}
    off: dict[str, list[tuple[float, float]]] = {"as labelled": [], "corrected": []}
    agreement: list[float] = []
    told: list[bool] = []
    for study in range(studies):
        rng = np.random.default_rng([study, 9])
        logs = [worlds.log(rng, side, 150, 4) for side in (0, 1)]
        learned = sessions.learn(pl.concat(logs), rng, number)
        labelled = [learned.label(log) for log in logs]
        counts = [tally(table, (), "") for table in labelled]
        pairs = pair(*counts, ())
        quality, measured = learned.measured(counts, ("0", "1"), 0.95)
        both = pl.concat(labelled)
        agreement.append(float((both["strategy"] == both["true_strategy"]).mean() or 0.0))
        told.append(quality.overall.agreement.low <= agreement[-1] <= quality.overall.agreement.high)
        splits = {
            "as labelled": decompose_pairs(pairs, rng=rng, draws=400),
            "corrected": correct_pairs(pairs, measured, rng=rng, draws=400, stratified=False),
        }
        for name, split in splits.items():
            terms = [(split.selection, known[0]), (split.improvement, known[1])]
            held[name].append(tuple(term.low <= true <= term.high for term, true in terms))
            off[name].append(tuple(100 * (term.value - true) for term, true in terms))
    print(f"{studies} studies, {number} labels: agreement {100 * np.mean(agreement):.1f}%")
    print(f"agreement lies in its interval in {100 * np.mean(told):.1f}%")
    for name in held:
        cover, bias = 100 * np.mean(held[name], axis=0), np.mean(off[name], axis=0)
        error = np.sqrt(np.mean(np.square(off[name]), axis=0))
        for i, term in enumerate(("selection", "improvement")):
            print(f"{name}, {term}: held in {cover[i]:.1f}%, bias {bias[i]:+.2f} points, RMSE {error[i]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lab", nargs="*", type=Path, default=[])
    parser.add_argument("--without", default="", metavar="WORD,…", help="words taken out")
    parser.add_argument(
        "--error", type=int, default=0, metavar="LABELS", help="selection as labelled and corrected instead"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--world", type=int, default=0, metavar="LABELS", help="coverage in a made-up world; --seeds studies"
    )
    given = parser.parse_args()
    if given.world:
        show_world(given.world, given.seeds)
        return
    table = lab(given.lab, given.without) if given.lab else algebra(given.data)
    print(dict(table["strategy"].value_counts(sort=True).iter_rows()))
    labels, known = table["strategy"].to_list(), table["strategy"].to_numpy()
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
    if given.error:
        show_error(table, texts, labels, given.error, given.seeds)
        return
    for name, ordered in (("the page's order", True), ("random order", False)):
        start, right = time.monotonic(), {n: [] for n in NUMBERS}
        for seed in range(given.seeds):
            order = np.random.default_rng(seed).permutation(len(labels))
            right_r = (table["score"].to_numpy() >= 0.5).astype(np.float64)
            pool = Pool(texts, table["side"].to_numpy().astype(np.int64), right_r, order)
            random = np.random.default_rng([seed, 1]).permutation(len(labels)).tolist()
            rows = list(asked(pool, labels, max(NUMBERS)).why) if ordered else random
            for n in (n for n in NUMBERS if n <= len(rows)):
                model = fit(texts.of(np.array(rows[:n])), [labels[i] for i in rows[:n]])
                rest = np.setdiff1d(order, rows[:n])
                right[n].append(float((np.array(model.label(texts.of(rest))) == known[rest]).mean()))
        figures = [
            f"{n}: {100 * np.mean(x):.1f} ({100 * np.std(x, ddof=1):.1f})" for n, x in right.items() if x
        ]
        print(f"{name}: {', '.join(figures)}; {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
