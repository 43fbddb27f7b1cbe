"""The logs that frameworks wrote (fixtures/*/make*.py), for the tests of their readers."""

import copy
import json
from pathlib import Path

import polars as pl

from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers import inspect_ai, lighteval, lm_eval, skyrl, verifiers, verifiers_results
from stratagem.rollouts.readers.row import ReadOptions

HERE = Path(__file__).parent / "fixtures"
ALL = ReadOptions(turns="all")
LAST = ReadOptions()
LOGS = {
    "verifiers/eval": verifiers,
    "prime_rl/rollouts": verifiers,
    "verifiers/results": verifiers_results,
    "skyrl/dumped_evals": skyrl,
    "inspect_ai/sums.eval": inspect_ai,
    "inspect_ai/sums.json": inspect_ai,
    "lm_eval/sums": lm_eval,
    "lm_eval/sums_repeats": lm_eval,
    "lm_eval/sums_pass": lm_eval,
    "lighteval/sums.parquet": lighteval,
    "lighteval/sums_avg.parquet": lighteval,
    "lighteval/old.parquet": lighteval,
    "lighteval/old_text.parquet": lighteval,
}


def columns(name, *wanted, options=LAST):
    """Some columns of a log, as tuples."""
    return read_rollouts(HERE / name, options).read().select(wanted).rows()


def records(name):
    """The records of a fixture, as its reader gets them."""
    path = HERE / name
    if name.startswith("inspect_ai"):
        return list(inspect_ai.records(path))
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    files = [file for file in files if LOGS[name].belongs(file)]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def damaged(record, path, value):
    """A copy with one field, named with dots, replaced."""
    made = copy.deepcopy(record)
    here = made
    *parents, last = path.split(".")
    for part in parents:
        here = here[int(part) if isinstance(here, list) else part]
    here[int(last) if isinstance(here, list) else last] = value
    return made
