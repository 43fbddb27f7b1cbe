"""Which column is what: settled once for a log, from its first records, by the names that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stratagem.records import StratagemError
from stratagem.rollouts.readers.row import BadRecord, ReadOptions, number

# What a column is for, and the names it goes by, the most telling first.
NAMES: dict[str, tuple[str, ...]] = {
    "id": (
        *("problem_id", "prompt_id", "question_id", "task_id", "example_id", "group_id", "uid", "qid", "id"),
        *("problem_idx", "prompt_idx", "question_idx", "doc_id", "unique_id", "index", "idx", "problem_index"),
    ),
    "prompt": ("prompt", "question", "problem", "input", "query", "instruction", "input_prompt", "full_prompt"),
    "question": ("question", "problem", "query", "raw_prompt"),
    "completion": (
        *("completion", "response", "output", "generation", "model_output", "generated_text", "output_response"),
        *("completions", "responses", "outputs", "generations", "model_response", "prediction", "solution_text"),
    ),
    "sample": ("sample", "sample_id", "sample_idx", "sample_index", "rollout", "rollout_id", "rollout_idx",
               "trial", "epoch", "attempt", "generation_idx", "completion_idx"),
    "checkpoint": ("checkpoint", "step", "global_step", "training_step", "train_step", "ckpt"),
    "finish_reason": ("finish_reason", "stop_reason"),
    "tokens": ("completion_tokens", "output_tokens", "response_tokens", "num_tokens", "n_tokens", "token_count",
               "response_length", "completion_length", "num_output_tokens", "generated_tokens"),
    "count_n": ("n", "num_samples", "n_samples", "total", "attempts", "num_total"),
    "count_c": ("c", "num_correct", "n_correct", "correct_count", "successes"),
    "rewards": ("rewards", "scores", "outcomes", "correct"),
    "truncated": ("is_truncated", "truncated"),
    "messages": ("messages", "conversation", "conversations", "trajectory"),
}  # fmt: skip
LAST_RESORT = ("answer", "text")  # the answer that is right in some logs, the one that was given in others
_SCORE = re.compile(
    r"(.*[_.])?(scores?|rewards?|correct|acc|accuracy|correctness|passed|pass|success|solved|verified|em"
    r"|exact_match|resolved)|(score|reward|is_correct|correct|acc)[_.].*|(is_)(pass|solved|right|success)|pass@1",
    re.IGNORECASE,
)
MISSING = object()


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """A field by name, or by a path with dots; `MISSING` where there is none."""
    if name in record:
        return record[name]
    here: Any = record
    for part in name.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return MISSING
        here = here[part]
    return here


def names_score(name: str) -> bool:
    """Whether a column's name speaks of a score."""
    return _SCORE.fullmatch(name) is not None


def is_numeric(values: Iterable[Any]) -> bool:
    """Whether most values are numbers, numbers in text, truth values or lists of these; None aside."""
    return _mostly(_holds_number(value) for value in values if value is not None)


def _holds_number(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_number(one) for one in value if not isinstance(one, list))
    try:
        return number(value, "") is not None or isinstance(value, float)
    except BadRecord:
        return False


def _mostly(tests: Iterable[bool]) -> bool:
    """More than half: a broken record among the first must not settle what a column is."""
    found = list(tests)
    return sum(found) * 2 > len(found)


def plan(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> ReadOptions:
    """The options with every column named.

    Raises:
        StratagemError: a column that the user names is in no record.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    for what, name in options.columns.items():
        if what not in NAMES and what != "score":
            raise StratagemError(
                f"column {what!r} is none that a log can have: {', '.join([*NAMES, 'score'])}"
            )
        _check(name, records, names, what)
    for name in options.scores:
        _check(name, records, names, "score")
    columns = {what: name for what, name in options.columns.items() if what != "score"}
    taken = {*columns.values(), *options.scores, *options.columns.values()}
    for what, candidates in NAMES.items():
        if what in columns:
            continue
        for name in candidates:
            if name in names and name not in taken and _fits(what, name, records, columns):
                columns[what] = name
                taken |= {name} if what not in ("rewards", "count_n", "count_c") else set()
                break
    if "completion" not in columns and "messages" not in columns and "count_n" not in columns:
        found = [name for name in LAST_RESORT if name in names and name not in taken]
        if found:
            columns["completion"] = found[0]
    if {"completion", "messages"} & set(columns):  # texts come first, counts only where there are none
        counted = {"count_n", "count_c", "rewards"} - set(options.columns)
        columns = {what: name for what, name in columns.items() if what not in counted}
    if {"strategy", "evidence", "length"} <= set(names):  # our own table: length counts tokens
        columns["tokens"] = "length"
    own = [options.columns["score"]] if "score" in options.columns else []
    scores = [*own, *options.scores] or _scores(names, records, set(columns.values()))
    return replace(options, columns=columns, scores=tuple(dict.fromkeys(scores)), planned=True)


def _check(name: str, records: Sequence[Mapping[str, Any]], names: Sequence[str], what: str) -> None:
    if all(value_at(record, name) is MISSING for record in records):
        raise StratagemError(f"no column {name!r} to read as {what}; the columns are {', '.join(names)}")


def _fits(what: str, name: str, records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> bool:
    """Whether a column's values are what its name promises."""
    values = [record[name] for record in records if record.get(name) is not None]
    if not values:
        return False
    match what:
        case "id":
            return _mostly(isinstance(one, str | int | float) for one in values) and not _one_each(
                name, records
            )
        case "question":
            return "prompt" in columns and _mostly(isinstance(one, str) for one in values)
        case "prompt" | "completion":
            return _mostly(isinstance(one, str | list) for one in values)
        case "sample" | "tokens" | "count_n" | "count_c":
            return is_numeric(values) and not _mostly(isinstance(one, list | bool) for one in values)
        case "rewards" | "messages":
            return _mostly(isinstance(one, list) for one in values)
        case _:
            return _mostly(isinstance(one, str | int | float) for one in values)


def _one_each(name: str, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every record has an id of its own while prompts occur several times: no id of problems."""
    prompt = next((one for one in NAMES["prompt"] if any(isinstance(r.get(one), str) for r in records)), None)
    if prompt is None:
        return False
    asked = [record for record in records if isinstance(record.get(prompt), str)]
    ids = {str(record.get(name)) for record in asked}
    return len(ids) == len(asked) > len({record[prompt] for record in asked})


def _scores(names: Sequence[str], records: Sequence[Mapping[str, Any]], taken: set[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        if name in taken or not names_score(name):
            continue
        values = [record[name] for record in records if record.get(name) is not None]
        objects = [one for one in values if isinstance(one, Mapping)]
        if len(objects) * 2 > len(values):
            inner = dict.fromkeys(key for one in objects for key in one)
            found += [f"{name}.{key}" for key in inner if is_numeric(one.get(key) for one in objects)]
        elif is_numeric(values):
            found.append(name)
    return found
