"""Every way to get strategies, on the real rollouts that have labels by hand: agreement, kappa, bias of selection.

    python benchmarks/labellers.py --data FOLDER             # rules, learned labels, discovery
    python benchmarks/labellers.py --data FOLDER --seeds 5
    python benchmarks/labellers.py --data FOLDER --only humaneval math-500
    python benchmarks/labellers.py --data FOLDER --judge http://localhost:8000/v1 --model Qwen/Qwen3-32B

FOLDER holds algebra-rl, gsm8k-rl, humaneval and math-500; benchmarks/public_rollouts.py makes the last two. Agreement
and kappa are with the hand labels, of responses that were not asked. Learned labels come from responses
that the rules label, in the page's order; the bias is that of selection against what the rules' labels of all
responses say, in points, as labelled and corrected. With --judge a model judges the responses that have a hand label,
by the descriptions and examples of the rules, and that is all.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.learned import asked, error  # noqa: E402

from stratagem.discovery.discover import group  # noqa: E402
from stratagem.discovery.space import numbered  # noqa: E402
from stratagem.discovery.stability import rand_index  # noqa: E402
from stratagem.judging.judge import Judge, JudgeConfig  # noqa: E402
from stratagem.judging.rubric import read_rubric  # noqa: E402
from stratagem.label_error.quality import validate  # noqa: E402
from stratagem.labelling.aliases import renamed  # noqa: E402
from stratagem.labelling.rules import STARTERS, label_frame, read_rules  # noqa: E402
from stratagem.learned.asking import Pool  # noqa: E402
from stratagem.learned.features import read_texts  # noqa: E402
from stratagem.learned.model import fit  # noqa: E402
from stratagem.records import content_id  # noqa: E402

HAND = ROOT / "tests" / "labelling" / "fixtures"
NUMBERS = (50, 100, 200, 400)


def algebra(data: Path) -> pl.DataFrame:
    """Both sides with the labels of the math rules, and those by hand where there are some."""
    hand = pl.read_csv(HAND / "algebra_hand_labels.csv", glob=False).rename({"strategy": "by_hand"})
    hand = hand.with_columns(pl.col("by_hand").replace(renamed(hand["by_hand"])))
    tables = [
        pl.read_parquet(data / "algebra-rl" / f"{name}.parquet", glob=False).with_columns(
            file=pl.lit(name), side=pl.lit(side), problem_id="prompt_id"
        )
        for side, name in enumerate(("before", "after_algorithmic"))
    ]
    keys = ["file", "prompt_id", "sample"]
    table = pl.concat(tables).join(
        hand.select(*keys, "by_hand").unique(keys), on=keys, how="left", maintain_order="left"
    )
    return label_frame(table, read_rules("math"), evidence=False)


def gsm8k(data: Path) -> pl.DataFrame:
    """The same of word problems, by their rules and their two readers."""
    hand = pl.read_csv(HAND / "word_problem_labels.csv", glob=False).select("side", "idx", by_hand="strategy")
    tables: list[pl.DataFrame] = []
    for side, name in enumerate(("before", "after")):
        with gzip.open(data / "gsm8k-rl" / f"{name}.jsonl.gz", "rt") as lines:
            rows = [json.loads(line) for line in lines]
        table = pl.DataFrame(
            {
                "idx": [row["idx"] for row in rows],
                "prompt": [row["question"] for row in rows],
                "completion": [row["code"][0] for row in rows],
                "score": [float(row["score"][0]) for row in rows],
            }
        )
        table = table.join(hand.filter(side=name).drop("side"), on="idx", how="left", maintain_order="left")
        tables.append(
            table.with_columns(side=pl.lit(side), sample=0, problem_id=pl.col("idx").cast(pl.String))
        )
    return label_frame(pl.concat(tables), read_rules("word-problems"), evidence=False)


def public(name: str, rules: str) -> Callable[[Path], pl.DataFrame]:
    """The same of what benchmarks/public_rollouts.py makes, by one reader."""

    def read(data: Path) -> pl.DataFrame:
        path = HAND / f"{name.replace('-', '_')}_hand_labels.csv"
        hand = pl.read_csv(path, glob=False, schema_overrides={"problem_id": pl.String})
        tables = [
            pl.read_ndjson(data / name / f"{file}.jsonl").with_columns(file=pl.lit(file), side=pl.lit(side))
            for side, file in enumerate(("before", "after"))
        ]
        hand = hand.select("problem_id", "sample", "text", file="side", by_hand="strategy")
        table = pl.concat(tables).with_columns(text=pl.col("completion").map_elements(content_id, pl.String))
        keys = ["file", "problem_id", "sample", "text"]
        table = table.join(hand, on=keys, how="left", maintain_order="left")
        return label_frame(table, read_rules(rules), evidence=False)

    return read


SETS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "algebra-rl": algebra,
    "gsm8k-rl": gsm8k,
    "humaneval": public("humaneval", "code"),
    "math-500": public("math-500", "math"),
}


RULES = {"algebra-rl": "math", "gsm8k-rl": "word-problems", "humaneval": "code", "math-500": "math"}


def against_hand(given: pl.Series, table: pl.DataFrame) -> tuple[float, float]:
    """Agreement in % and kappa with the hand labels of the rows that have one."""
    rows = table.select("by_hand").with_columns(strategy=given).drop_nulls()
    whole = validate(rows.rename({"by_hand": "true_strategy"})).overall
    return 100 * whole.agreement.value, whole.kappa.value


def show_judge(name: str, table: pl.DataFrame, url: str, model: str, kept: Path) -> None:
    """A judge on the responses that have a hand label; its answers are kept in a file."""
    rows = table.drop("strategy", "behaviours", "evidence", strict=False).filter(
        pl.col("by_hand").is_not_null()
    )
    config = JudgeConfig(
        model, url, max_requests=rows.height, per_minute=1e6, answers=kept / f"{name}.judge.jsonl"
    )
    judge = Judge(read_rubric(STARTERS / f"{RULES[name]}.toml"), config, f"judge:{RULES[name]}")
    strategy = judge.label(rows)["strategy"]
    judge.close()
    agreement, kappa = against_hand(strategy, rows)
    print(f"{name}: {rows.height} responses, agreement {agreement:.1f}, kappa {kappa:.2f}", flush=True)
    for note in judge.notes():
        print(note)


def show(name: str, table: pl.DataFrame, seeds: int) -> None:
    labels = table["strategy"].to_list()
    agreement, kappa = against_hand(table["strategy"], table)
    print(f"{name}: {table.height} responses, {table['by_hand'].drop_nulls().len()} labelled by hand")
    print(f"rules: agreement {agreement:.1f}, kappa {kappa:.2f}", flush=True)
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
    right_r = (table["score"].to_numpy() >= 0.5).astype(np.float64)
    figures: dict[int, list[list[float]]] = {number: [] for number in NUMBERS}
    for seed in range(seeds):
        order = np.random.default_rng([seed, 2]).permutation(len(labels))
        pool = Pool(texts, table["side"].to_numpy().astype(np.int64), right_r, order)
        questions = list(asked(pool, labels, max(NUMBERS)).why.items())
        for number in NUMBERS:
            rows = [row for row, _ in questions[:number]]
            model = fit(texts.of(np.array(rows)), [labels[row] for row in rows])
            left = table.with_row_index().filter(
                ~pl.col("index").is_in(rows) & pl.col("by_hand").is_not_null()
            )
            given = pl.Series(model.label(texts.of(left["index"].to_numpy().astype(np.int64))))
            plain, corrected, low, high, true = error(table, pool, labels, dict(questions[:number]), seed)
            held = float(low <= true <= high)
            figures[number].append([*against_hand(given, left), plain - true, corrected - true, held])
    for number, values in figures.items():
        # Labels that leave most of a side unparsed give no split.
        mean, undefined = np.nanmean(values, axis=0), int(np.isnan(values)[:, 2].sum())
        print(
            f"learned from {number}: agreement {mean[0]:.1f}, kappa {mean[1]:.2f}; selection off by {mean[2]:+.1f} as "
            f"labelled (undefined in {undefined} of {seeds}) and {mean[3]:+.1f} corrected, held in "
            f"{sum(v[4] for v in values):.0f} of {seeds}",
            flush=True,
        )
    grouping, trials = group(table.with_columns(key="problem_id"))
    if grouping is None:
        print(f"discovery: none of {len(trials)} numbers of clusters holds")
        return
    given = pl.Series(grouping.label(table.with_columns(key="problem_id")))
    rows = table.select("by_hand").with_columns(given=given).drop_nulls()
    index = rand_index(numbered(rows["by_hand"].to_list()), rows["given"].to_numpy())
    print(
        f"discovery: {grouping.clusters.groups} proposals, adjusted Rand index with the hand labels {index:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    parser.add_argument("--judge", metavar="URL", help="of an OpenAI-compatible server")
    parser.add_argument("--model", help="that judges, as the server calls it")
    parser.add_argument(
        "--answers", type=Path, default=Path(), help="folder in which a judge's answers are kept"
    )
    given = parser.parse_args()
    for name in given.only:
        if given.judge is not None:
            show_judge(name, SETS[name](given.data), given.judge, given.model, given.answers)
            continue
        show(name, SETS[name](given.data), given.seeds)


if __name__ == "__main__":
    main()
