"""Which column is what: settled once for a log, from its first records, by the names that people use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stratagem.records import StratagemError
from stratagem.rollouts.readers import responses, unfold
from stratagem.rollouts.readers.responses import is_text
from stratagem.rollouts.readers.row import ReadOptions, Shape, messages_in
from stratagem.rollouts.readers.scores import is_numeric, leaves, mostly, score_columns

# What a column is for, and the names it goes by, the most telling first.
NAMES: dict[str, tuple[str, ...]] = {
    "id": (
        *("problem_id", "prompt_id", "question_id", "task_id", "example_id", "group_id", "uid", "qid", "id"),
        *("problem_idx", "prompt_idx", "question_idx", "doc_id", "unique_id", "index", "idx", "problem_index"),
    ),
    "prompt": ("prompt", "question", "problem", "input", "query", "instruction", "input_prompt", "full_prompt"),
    "question": ("question", "problem", "query", "raw_prompt"),
    "completion": responses.NAMES,
    "reasoning": responses.REASONING,
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
    "messages": ("messages", "conversation", "conversations", "trajectory", "convo", "chat_completions"),
}  # fmt: skip
MISSING = object()
_PROMPT = re.compile(
    r"(.*[_.])?(prompt|question|problem|query|instruction|inputs?)(_(text|content|str|string|statement|description))?"
)


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """A field by name, or by a path with dots, in which numbers are places in lists; `MISSING` where there is none."""
    if name in record:
        return record[name]
    here: Any = record
    for part in name.split("."):
        if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, Mapping) and part in here:
            here = here[part]
        else:
            return MISSING
    return here


def plan(
    records: Sequence[Mapping[str, Any]],
    options: ReadOptions,
    shape: Shape | None = None,
    texts: bool = True,
) -> ReadOptions:
    """The options with every column named.

    Args:
        texts: whether there are responses to look for.
        shape: how the records were unfolded.

    Raises:
        StratagemError: a column that the user names is in no record, or several texts may be the response.
    """
    names = list(dict.fromkeys(name for record in records for name in record if name != unfold.SAMPLE))
    _check_named(records, names, options)
    columns = {what: name for what, name in options.columns.items() if what != "score"}
    taken = {*columns.values(), *options.scores, *options.columns.values()}
    notes: list[str] = []
    _name_prompt(records, names, columns, taken)
    for what, candidates in NAMES.items():
        if what in columns or what in ("prompt", "completion"):
            continue
        for name in candidates:
            if name not in names or name in taken or not _fits(what, name, records, columns):
                continue
            if (
                what == "id"
                and not options.problem
                and (doubt := _doubt(name, records, columns.get("prompt")))
            ):
                notes.append(f"{name!r} is not taken as the problem's id: {doubt}")
                continue
            columns[what] = name
            taken |= {name} if what not in ("rewards", "count_n", "count_c") else set()
            break
    scores, means = _scores(records, names, taken, shape)
    why = ""
    if texts and "completion" not in columns:
        response = _response(records, names, columns, taken, scores)
        if response is not None:
            columns["completion"], why = response.name, response.why
            scores = [name for name in scores if name != response.name]
    spoken = {"completion", "messages"} & set(columns)
    if spoken:  # texts come first, counts only where there are none
        counted = {"count_n", "count_c", "rewards"} - set(options.columns)
        columns = {what: name for what, name in columns.items() if what not in counted}
    else:
        columns.pop("reasoning", None)
    if {"strategy", "evidence", "length"} <= set(names):  # our own table: length counts tokens
        columns["tokens"] = "length"
    own = [options.columns["score"]] if "score" in options.columns else []
    own += options.scores
    if means and spoken and not scores and not own:
        raise StratagemError(
            f"{', '.join(map(repr, means))} is one number for all responses of a record, a mean and no grade; name the "
            "list that says which responses are right with --score COLUMN"
        )
    return replace(
        options,
        columns=columns,
        scores=tuple(dict.fromkeys(own or scores)),
        shape=shape,
        why=why,
        notes=tuple(notes),
    )


def names_problem(record: Mapping[str, Any]) -> bool:
    """Whether a record has a prompt or an id, by their usual names."""
    usual = (*NAMES["id"], *NAMES["prompt"])
    last = [path.rsplit(".", 1)[-1] for path, _ in leaves(record)]
    return any(record.get(name) is not None for name in usual) or any(map(_PROMPT.fullmatch, last))


def holds_response(record: Mapping[str, Any]) -> bool:
    """Whether a record has a text under a name of responses."""
    names = [name for name, value in leaves(record) if isinstance(value, str | list)]
    return any(map(responses.names_response, names))


def _check_named(records: Sequence[Mapping[str, Any]], names: Sequence[str], options: ReadOptions) -> None:
    for what, name in options.columns.items():
        if what not in NAMES and what != "score":
            raise StratagemError(
                f"column {what!r} is none that a log can have: {', '.join([*NAMES, 'score'])}"
            )
        _check(name, records, names, what)
    for name in options.scores:
        _check(name, records, names, "score")


def _check(name: str, records: Sequence[Mapping[str, Any]], names: Sequence[str], what: str) -> None:
    if all(value_at(record, name) is MISSING for record in records):
        raise StratagemError(f"no column {name!r} to read as {what}; the columns are {', '.join(names)}")


def _name_prompt(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], columns: dict[str, str], taken: set[str]
) -> None:
    """Name the prompt: the first column of its names that is neither empty nor the same everywhere."""
    if "prompt" in columns:
        return
    usual = [name for name in NAMES["prompt"] if name in names]
    others = [name for name in names if name not in usual and _PROMPT.fullmatch(name)]
    fit = [
        name for name in (*usual, *others) if name not in taken and _fits("prompt", name, records, columns)
    ]
    asking = [name for name in fit if len({repr(record.get(name)) for record in records}) > 1]
    if fit:
        columns["prompt"] = (asking or fit)[0]
        taken.add(columns["prompt"])
    elif nested := next(
        (path for path in _paths(records) if path.rsplit(".", 1)[-1] in NAMES["prompt"]), None
    ):
        columns["prompt"] = nested


def _paths(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths of texts inside objects."""
    paths = dict.fromkeys(path for record in records[:20] for path, value in leaves(record) if is_text(value))
    return [path for path in paths if "." in path and path not in records[0]]


def _response(
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    columns: Mapping[str, str],
    taken: set[str],
    scores: Sequence[str],
) -> responses.Response | None:
    """The column of the response, among the texts of the records, or, where none may be, of the objects in them."""
    problems = [_problem(record, columns) for record in records]
    held = {name: [value_at(record, name) for record in records] for name in scores}
    for candidates in (names, [] if "messages" in columns else _paths(records)):
        texts = {
            name: [None if (value := value_at(record, name)) is MISSING else value for record in records]
            for name in candidates
            if name not in taken and name not in scores
        }
        texts = {
            name: values
            for name, values in texts.items()
            if mostly(isinstance(value, str) or is_text(value) for value in values if value is not None)
        }
        held_by = {name: sum(value is not None for value in values) for name, values in texts.items()}
        most = max((held_by[name] for name in texts if responses.names_response(name)), default=0)
        # A text of a few records, such as one whose field has a damaged name, is no response of the others.
        texts = {name: values for name, values in texts.items() if 2 * held_by[name] >= most}
        if (
            "messages" in columns
        ):  # the response stands there, unless a name says that it stands elsewhere too
            texts = {name: values for name, values in texts.items() if responses.rank(name) == 0}
        if (response := responses.choose(texts, problems, held)) is not None:
            return response
    return None


def _problem(record: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    parts = [value_at(record, columns[what]) for what in ("id", "prompt") if what in columns]
    return repr(parts) if parts and MISSING not in parts else None


def _scores(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], taken: set[str], shape: Shape | None
) -> tuple[list[str], list[str]]:
    """The columns that may say what is right; and those that are one number for several responses of a record."""
    scores = score_columns(names, records, taken, shape.lists if shape else ())
    if shape is None:
        return scores, []
    means = [name for name in scores if name.split(".")[0] in shape.shared]
    return [name for name in scores if name not in means], means


def _fits(what: str, name: str, records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> bool:
    """Whether a column's values are what its name promises."""
    values = [record[name] for record in records if record.get(name) is not None]
    if not values:
        return False
    match what:
        case "id":
            return mostly(isinstance(value, str | int | float) for value in values)
        case "question":
            return "prompt" in columns and mostly(isinstance(value, str) for value in values)
        case "prompt":
            return mostly(is_text(value) for value in values)
        case "reasoning":
            return mostly(isinstance(value, str) for value in values)
        case "sample" | "tokens" | "count_n" | "count_c":
            return is_numeric(values) and not mostly(isinstance(value, list | bool) for value in values)
        case "rewards":
            return mostly(isinstance(value, list) for value in values)
        case "messages":
            return mostly(messages_in(value) is not None for value in values)
        case _:
            return mostly(isinstance(value, str | int | float) for value in values)


def _doubt(name: str, records: Sequence[Mapping[str, Any]], prompt: str | None) -> str | None:
    """Why a column is no id of problems: every record has its own though prompts repeat, or one has several prompts."""
    if prompt is None:
        return None
    asked = [
        (str(record.get(name)), repr(value_at(record, prompt)))
        for record in records
        if record.get(name) is not None
    ]
    times = Counter(asked)
    ids, prompts = {problem for problem, _ in times}, {text for _, text in times}
    if len(ids) == len(asked) and 2 * len(prompts) <= len(ids):
        return "every record has another although the prompts repeat"
    # A prompt that stands once under an id may be a damaged one, or the few-shot examples of one sample.
    again = [pair for pair, number in times.items() if number > 1]
    more = len(again) - len({problem for problem, _ in again})
    if more > 1 and 10 * more > len(ids):
        return f"{more} more prompts than ids; problems are identified by their prompts (or --join COLUMN,…)"
    return None
