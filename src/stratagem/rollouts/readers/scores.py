"""Which columns of a log may say what is right: by their names, and never what says something else by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stratagem.rollouts.readers.row import BadRecord, number

_SCORE = re.compile(
    r"(.*[_./])?(scores?|rewards?|correct|acc|accuracy|correctness|passed|pass|success|solved|verified|em"
    r"|exact_match|resolved|right)|(score|reward|is_correct|correct|acc)[_.].*|(is_)(pass|solved|right|success)|pass@1",
    re.IGNORECASE,
)
_GRADES = re.compile(
    r"(.*_)?(grades?|graded|labels_correct)(_list)?|(.*_)?(correct|score|reward|pass)s?_?list", re.IGNORECASE
)
_BESIDE = re.compile(
    r"(.*[_.])?(id|ids|index|idx|count|time|len|length|tokens?|weight|epoch|step|rank)", re.IGNORECASE
)
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MAX_DEPTH = 6
# Answers that are right, and what is counted or measured of scores: numbers that say nothing of one response.
_OTHER = re.compile(
    r"(.*[_.])?correct_?(answers?|choices?|options?|labels?|solutions?|index|idx|outputs?|responses?)"
    r"|(.*[_.])?(ground_?truth|gold|golden|reference|target|expected|gts?)([_.].*)?"
    r"|(.*[_.])?(score|reward|acc|accuracy|correct)s?_(std|var|variance|mean|avg|average|min|max|sum|time|ms|seconds|model"
    r"|name|type|id|index|idx|n|num|count|weight|version)"
    r"|(.*[_.])?(mean|avg|average|std|max|min|best|total|num|n|baseline|time|elapsed|advantage)_"
    r"(score|reward|correct|acc|accuracy|pass|passed|solved)s?(_.*)?"
    r"|(.*[_.])?(preds?|predictions?|answers?|outputs?|targets?|labels?)"
    r"|(num|n)_.*",
    re.IGNORECASE,
)


def names_score(name: str) -> bool:
    """Whether a column's name speaks of a score, MathAccuracy as math_accuracy does."""
    name = _HUMPS.sub("_", name)
    return _SCORE.fullmatch(name) is not None and _OTHER.fullmatch(name) is None


def names_grade(name: str) -> bool:
    """Whether the name of a list of numbers speaks of grades."""
    return names_score(name) or _GRADES.fullmatch(name) is not None


def is_numeric(values: Iterable[Any]) -> bool:
    """Whether most values are numbers, numbers in text, truth values or lists of these; None aside."""
    return mostly(_holds_number(value) for value in values if value is not None)


def _holds_number(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_number(item) for item in value if not isinstance(item, list))
    try:
        return number(value, "") is not None or isinstance(value, float)
    except BadRecord:
        return False


def mostly(tests: Iterable[bool]) -> bool:
    """More than half: a broken record among the first must not settle what a column is."""
    results = list(tests)
    return sum(results) * 2 > len(results)


def score_columns(
    names: Sequence[str], records: Sequence[Mapping[str, Any]], taken: set[str], listed: Sequence[str] = ()
) -> list[str]:
    """The columns that may say what is right, those of objects as "name.field".

    Args:
        listed: columns that stood as lists beside the responses, where a list of grades may have a name of its own.
    """
    columns: list[str] = []
    for name in names:
        if name in taken or not (names_score(name) or (name in listed and names_grade(name))):
            continue
        values = [record[name] for record in records if record.get(name) is not None]
        objects = [value for value in values if isinstance(value, Mapping)]
        if len(objects) * 2 > len(values):
            columns += [f"{name}.{path}" for path in _numbers(objects) if not _BESIDE.fullmatch(path)]
        elif values and is_numeric(values):
            columns.append(name)
    if columns:
        return columns
    nested = [
        name for name in names if name not in taken and any(isinstance(r.get(name), Mapping) for r in records)
    ]
    inside = [{name: record.get(name) for name in nested} for record in records]
    return [path for path in _numbers(inside) if names_score(path.rsplit(".", 1)[-1])]


def _numbers(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths of numbers in objects, those aside that say something else than a score."""
    held: dict[str, list[Any]] = {}
    for item in objects:
        for path, value in leaves(item):
            held.setdefault(path, []).append(value)
    return [
        path
        for path, values in held.items()
        if _OTHER.fullmatch(path) is None
        and is_numeric(values)
        and any(value is not None for value in values)
    ]


def leaves(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value that is no object, with its path; a list of one object counts as that object."""
    for name, value in record.items():
        if (
            isinstance(value, list)
            and len(value) == 1
            and isinstance(value[0], Mapping)
            and "role" not in value[0]
        ):
            value, name = value[0], f"{name}.0"
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from leaves(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", value
