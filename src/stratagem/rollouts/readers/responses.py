"""Which text of a log is the response, by names and by what the texts do; asked for where both leave it open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stratagem.records import StratagemError

# Names of responses, the most telling first.
NAMES = (
    *("completion", "response", "generation", "model_output", "generated_text", "output_response"),
    *("completions", "responses", "generations", "model_response"),
)
REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thoughts")
# Words in names of what a model wrote, and of what may be that or the answer that is right.
_OWN = frozenset((
    "completion", "completions", "response", "responses", "generation", "generations", "generated", "rollout",
    "rollouts", "continuation", "continuations", "model", "llm", "raw", "assistant", "predict", "reply",
    "sampled",
))  # fmt: skip
_MAYBE = frozenset((
    "output", "outputs", "prediction", "predictions",
))  # fmt: skip
_DOUBTFUL = frozenset((
    "answer", "answers", "text", "texts", "solution", "solutions", "code", "codes", "content",
))  # fmt: skip
# Words in names of texts that no model wrote, or that are no response.
_NEVER = frozenset((
    "gold", "golden", "gt", "gts", "ground", "truth", "reference", "references", "ref", "expected", "target",
    "targets", "label", "labels", "canonical", "correct", "true", "prompt", "prompts", "question",
    "questions", "problem", "problems", "query", "instruction", "instructions", "input", "inputs", "system",
    "template", "feedback", "judge", "judgement", "judgment", "critique", "error", "errors", "trace",
    "traceback", "status", "metadata", "meta", "config", "path", "file", "filename", "url", "hash", "sha",
    "date", "time", "timestamp", "created", "id", "ids", "uid", "uuid", "qid", "name", "alias", "source",
    "dataset", "split", "category", "subject", "topic", "level", "difficulty", "type", "kind", "role", "tag",
    "tags", "language", "lang", "version", "hint", "test", "tests", "starter", "entry", "comment", "stop",
    "finish", "extracted", "parsed", "choice", "choices", "options", "context", "passage", "document",
    "background", "description", "fewshot", "examples", "method", "checkpoint", "strategy", "evidence",
    "result", "grade", "verdict",
))  # fmt: skip
_SHORT = 4  # a text this many times shorter than another is a part of it, such as the extracted answer
LAST = 4


@dataclass(frozen=True, slots=True)
class Response:
    """The column that holds the response, and why it is taken for that."""

    name: str
    why: str


def rank(name: str) -> int | None:
    """How much a column's name speaks of a response, 0 the most; None where it speaks of something else."""
    last = re.sub(r"\.\d+$", "", name).rsplit(".", 1)[-1]
    listed = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last).lower())
    words = set(listed)
    if words & _NEVER or last in REASONING or listed[-1] in ("model", "llm"):
        return None
    if last in NAMES:
        return 0
    return next((i for i, group in enumerate((_OWN, _MAYBE, _DOUBTFUL), 1) if words & group), LAST)


def names_response(name: str) -> bool:
    """Whether a column's name is one that responses have."""
    place = rank(name)
    return place is not None and place < LAST


def is_text(value: Any) -> bool:
    """Whether a value is text or messages with a role."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping) and "role" in value[0]
    return isinstance(value, str) and value != ""


def choose(
    columns: Mapping[str, Sequence[Any]], problems: Sequence[Any], scores: Mapping[str, Sequence[Any]]
) -> Response | None:
    """The column that is the response; None where no column may be.

    Args:
        columns: the texts (or lists of messages) of every candidate, one a record, None where there is none.
        problems: what tells the problem of every record, or None.
        scores: the columns of scores, to tell a text that cannot be what was scored.

    Raises:
        StratagemError: several columns may be; or the only one is the same in all responses of every problem,
            although their scores differ.
    """
    ranks = {name: place for name in columns if (place := rank(name)) is not None}
    ranks = {
        name: place
        for name, place in ranks.items()
        if any(is_text(value) or (value == "" and place == 0) for value in columns[name])
    }
    if not ranks:
        return None
    groups = _groups(problems)
    lengths = {name: _length(columns[name]) for name in ranks}
    varying = {name: ranks[name] for name in ranks if _varies(columns[name], groups)}
    if not varying and groups:
        _check_constant(columns, ranks, groups, scores)
    left = varying or ranks
    longest = max((lengths[name] for name in left if left[name] < 2), default=0.0)
    strong = {n: r for n, r in left.items() if r < 2 and _SHORT * lengths[n] >= longest}
    if strong:
        written = max((lengths[n] for n, place in varying.items() if place < LAST), default=0.0)
        if varying and written <= _SHORT * max(lengths[n] for n in strong):
            left = strong
    elif varying or min(left.values()) < 3:  # without two samples a problem, any text may be the one
        longest = max(lengths[name] for name in left)
        left = {n: r for n, r in left.items() if _SHORT * lengths[n] >= longest}
    best = [name for name in left if left[name] == min(left.values())]
    if not varying and not strong:
        best = [name for name in left if _SHORT * lengths[name] >= max(lengths[n] for n in left)]
    best = [name for name in NAMES if name in best] or best
    if len(best) > 1 and best[0] not in NAMES:
        raise StratagemError(
            f"several columns may be the response: {', '.join(best)}; name one with --columns completion=COLUMN"
        )
    why = "its name says so" if ranks[best[0]] < 2 else "the text that a model may have written"
    dropped = [name for name, place in ranks.items() if place < ranks[best[0]] or name in NAMES]
    if dropped := [name for name in dropped if name != best[0] and varying and name not in varying]:
        why = f"it differs between the responses to a problem, and {', '.join(map(repr, dropped))} does not"
    elif varying and len(varying) == 1:
        why = "the one text that differs between the responses to a problem"
    return Response(best[0], why)


def _groups(problems: Sequence[Any]) -> list[list[int]]:
    """The records of each problem that has several."""
    places: dict[Any, list[int]] = {}
    for place, problem in enumerate(problems):
        if problem is not None:
            places.setdefault(problem, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def _varies(values: Sequence[Any], groups: Sequence[Sequence[int]]) -> bool:
    """Whether a column differs between the records of some problem."""
    return any(len({repr(values[place]) for place in group}) > 1 for group in groups)


def _length(values: Sequence[Any]) -> float:
    texts = [len(value if isinstance(value, str) else repr(value)) for value in values if is_text(value)]
    return sum(texts) / max(len(texts), 1)


def _check_constant(
    columns: Mapping[str, Sequence[Any]],
    ranks: Mapping[str, int],
    groups: Sequence[Sequence[int]],
    scores: Mapping[str, Sequence[Any]],
) -> None:
    """Refuse texts that are the same in all responses of a problem, another for most problems, where scores differ."""
    scored = next((name for name, values in scores.items() if _varies(values, groups)), None)
    several = [
        name
        for name in ranks
        if 2 * len({repr(columns[name][group[0]]) for group in groups}) > len(groups) > 2
    ]
    if scored is not None and len(several) == len(ranks):
        raise StratagemError(
            f"{', '.join(map(repr, several))} has one text for all responses to a problem although {scored!r} differs "
            "between them, so it is no response; name the response with --columns completion=COLUMN"
        )
