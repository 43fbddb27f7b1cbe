"""What the stages of a study left in its folder, as tables over its arms and replicates."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import polars as pl

from stratagem.decomposition.splices import PAIRS
from stratagem.studies.plan import home_of, rollouts_of, splice_of, validation_of
from stratagem.studies.study import Study
from stratagem.tasks.table import label_table

# Tables of training: by arm and replicate, the counts and the scalars of each update.
ARM = {"cell": pl.String(), "seed": pl.Int32()}
CURVES = {
    "update": pl.Int64(),
    "kind": pl.String(),
    "difficulty": pl.Int64(),
    "strategy": pl.String(),
    "n": pl.Int64(),
    "right": pl.Int64(),
}
METRICS = {
    "update": pl.Int64(),
    **dict.fromkeys(("reward", "kl", "entropy", "no_signal", "length", "seconds"), pl.Float64()),
}


def gather(
    study: Study, replicates: int, out: Path
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Labelled evaluations, labelled probes, counts of training rollouts by update, and training metrics."""
    rollouts, probes, curves, metrics = [], [], [], []
    for replicate in range(replicates):
        home = home_of(out, replicate)
        mark = pl.lit(replicate, pl.Int32).alias("seed")
        for arm in study.tree.values():
            for evaluation in study.evaluations:
                for force in (None, *(study.forced(arm) if evaluation == study.main else ())):
                    place = rollouts_of(home, study, arm.name, evaluation, force)
                    table = label_table(pl.read_parquet(place / "rollouts.parquet", glob=False)).with_columns(
                        mark, checkpoint=pl.lit(arm.name), evaluation=pl.lit(evaluation)
                    )
                    if force is None:
                        rollouts.append(table)
                    else:
                        probes.append(table.with_columns(forced=pl.lit(force)))
            if arm.stage == "rl":
                counts, scalars = training_log(home / arm.folder / "metrics.jsonl")
                label = pl.lit(arm.name).alias("cell")
                curves.append(counts.select(label, mark, pl.all()))
                metrics.append(scalars.select(label, mark, pl.all()))
    unasked = rollouts[0].clear().with_columns(forced=pl.lit(""))
    return (
        pl.concat(rollouts),
        pl.concat(probes or [unasked]),
        pl.concat(curves) if curves else pl.DataFrame(schema=ARM | CURVES),
        pl.concat(metrics) if metrics else pl.DataFrame(schema=ARM | METRICS),
    )


def gather_losses(study: Study, replicates: int, out: Path) -> pl.DataFrame:
    """Cross-entropies on held-out demonstrations: cell, seed, problem_id, kind, loss in nats a token."""
    tables = [
        pl.read_parquet(
            validation_of(home_of(out, replicate), study, arm.name) / "losses.parquet", glob=False
        ).select(
            pl.lit(arm.name).alias("cell"),
            pl.lit(replicate, pl.Int32).alias("seed"),
            "problem_id",
            "kind",
            loss=pl.col("nats") / pl.col("tokens"),
        )
        for replicate in range(replicates)
        for arm in study.tree.values()
        if study.validated(arm) is not None
    ]
    none = ARM | {"problem_id": pl.String(), "kind": pl.String(), "loss": pl.Float64()}
    return pl.concat(tables) if tables else pl.DataFrame(schema=none)


def gather_splices(study: Study, replicates: int, out: Path) -> pl.DataFrame:
    """Problems of splices: cell, seed, pair, problem_id, kind, accuracy, surprise."""
    none = ARM | {
        "pair": pl.String(),
        "problem_id": pl.String(),
        "kind": pl.String(),
        "accuracy": pl.Float64(),
        "surprise": pl.Float64(),
    }
    tables = [pl.DataFrame(schema=none)]
    if study.splices:
        from stratagem.sampling.splice import by_problem

        for replicate, name, pair in itertools.product(range(replicates), study.splices, PAIRS):
            home = home_of(out, replicate)
            other = study.tree[name].sides[pair.split()[1]]
            measured = by_problem(
                splice_of(home, study, name, pair),
                home / other.folder / "model",
                study.spliced().temperature,
            )
            mark = {"cell": name, "seed": replicate, "pair": pair}
            tables.append(measured.select(*(pl.lit(v, none[k]).alias(k) for k, v in mark.items()), pl.all()))
    return pl.concat(tables)


def training_log(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An RL stage's log as counts by (update, kind, difficulty, strategy) and as scalars by update."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    counts = [(line["update"], *cell) for line in lines for cell in line["cells"]]
    scalars = [{name: line[name] for name in METRICS} for line in lines]
    return pl.DataFrame(counts, schema=CURVES, orient="row"), pl.DataFrame(scalars, schema=METRICS)
