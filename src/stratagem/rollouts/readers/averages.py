"""Files of averages, or of responses without grades, each with where what is missing stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stratagem.rollouts.readers.scores import leaves

TRAINING = (
    "responses of training are written with log_completions=True (TRL), trainer.rollout_data_dir (verl) or "
    "Live(write=FOLDER)"
)
EVENT = frozenset(("run_id", "event_id", "sample_id", "type", "data"))  # of OpenAI's evals
_OF_HELM = "statistics of HELM and no responses; give the run's scenario_state.json, with this file beside it"
# By the fields that a file of a framework has: what it is, and where the responses are.
_KNOWN: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset(("results", "versions", "n-shot")),
        "results of lm-evaluation-harness: averages and no responses; run it with --log_samples, and give the files "
        "samples_*.jsonl beside this one",
    ),
    (
        frozenset(("config_general", "results")),
        "results of lighteval: averages and no responses; run it with --save-details, and give the files "
        "details_*.parquet",
    ),
    (
        frozenset(("dataset_name", "model_name", "score", "metrics")),
        "a report of evalscope: averages and no responses; give the folder reviews/ beside reports/",
    ),
    (
        frozenset(("env_id", "num_examples", "rollouts_per_example")),
        "metadata of verifiers: no responses; give results.jsonl beside it, which vf-eval writes with --save-results",
    ),
    (
        frozenset(("log_history", "global_step")),
        f"the state of a trainer: averages and no responses; {TRAINING}",
    ),
    (
        frozenset(("date", "hash", "eval")),
        "results of an EvalPlus before 0.2: no responses; evaluate them again with a newer one, which writes them too",
    ),
    (
        EVENT,
        "events of OpenAI's evals without the line of the run's spec, which is the first; give the file as oaieval "
        "wrote it",
    ),
    (frozenset(("instance_id", "stats")), _OF_HELM),
    (frozenset(("name", "count", "mean", "sum")), _OF_HELM),
)
_MEAN = re.compile(
    r"(.*[_/. -])?(acc|accuracy|avg|average|mean|score|pass@\d+|pass_at_\d+|exact_match|em|f1|reward|symbolic_correct|"
    r"pass_rate|solve_rate|success_rate|loss)([_/., @-].*)?"
)
_LONGEST = 80  # characters of a text that is a name and no response


def is_ungraded(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of responses whose grades stand elsewhere."""
    return set(record) >= EVENT


def said_of(record: Mapping[str, Any]) -> str | None:
    """What a file of averages is and where its responses are; None where its first record may be something else."""
    for fields, said in _KNOWN:
        if fields <= set(record):
            return said
    held = list(leaves(record))
    if any(
        isinstance(value, list) or (isinstance(value, str) and len(value) > _LONGEST) for _, value in held
    ):
        return None
    means = [path for path, value in held if isinstance(value, int | float) and _MEAN.fullmatch(path.lower())]
    if not means:
        return None
    step = any(name.lstrip("_") in ("step", "global_step", "runtime") for name in record)
    named = ", ".join(repr(path) for path in means[:3])
    where = TRAINING if step else "give the file with one record a response that was written beside it"
    return f"averages ({named}) and no responses; {where}"
