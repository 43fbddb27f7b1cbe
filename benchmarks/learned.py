"""How many labels a learned model needs: agreement with labels that are known, in the page's order and at random.

    python benchmarks/learned.py                         # algebra rollouts, the math rules' labels
    python benchmarks/learned.py --lab runs/before runs/after   # rollouts of the lab, the recogniser's labels

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
sys.path.insert(0, str(ROOT / "src"))

from stratagem.labelling.rules import label_frame, read_rules  # noqa: E402
from stratagem.learned.asking import BATCH, FIRST, Asking, Pool  # noqa: E402
from stratagem.learned.features import read_texts  # noqa: E402
from stratagem.learned.model import fit  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "algebra-rl"
NUMBERS = (50, 100, 150, 200, 400)


def algebra(data: Path) -> pl.DataFrame:
    """The logs before and after RL, as labelled by the rules that ship."""
    rules = read_rules("math")
    tables = [
        pl.read_parquet(data / f"{name}.parquet").with_columns(side=pl.lit(number))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lab", nargs="*", type=Path, default=[])
    parser.add_argument("--without", default="", metavar="WORD,…", help="words taken out")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    table = lab(given.lab, given.without) if given.lab else algebra(given.data)
    print(dict(table["strategy"].value_counts(sort=True).iter_rows()))
    labels, known = table["strategy"].to_list(), table["strategy"].to_numpy()
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
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
