"""Conditions on a result, such as ``selection.low < 0``: what --fail-if takes."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from stratagem.diagnosis.side import COUNTS
from stratagem.records import StratagemError

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
# The numbers of diagnosis.json by their names, level by level; None is a number.
Fields: TypeAlias = Mapping[str, "Fields | None"]


def _each(below: Fields | None, *names: str) -> Fields:
    return dict.fromkeys(names, below)


_TERM = _each(None, "value", "low", "high", "se", "n")
_SPLIT = _each(_TERM, "selection", "improvement", "new_strategy")
_GAIN = {**_each(_TERM, "gain"), **_SPLIT}
_ROOM = {
    **_each(_TERM, "selection", "improvement"),
    **_each(None, "accuracy", "problems", "left_out", "halved"),
}
FIELDS: Fields = {
    **_GAIN,
    **_each(_TERM, "mix", "routing"),
    **_each(_SPLIT, "reverse", "symmetric", "simultaneous"),
    "threefold": {**_SPLIT, "interaction": _TERM},
    **_each(None, "accuracy_before", "accuracy_after", "length_before", "length_after", "unsupported_share"),
    **_each(None, "problems", "left_out_before", "left_out_after", "level"),
    "headroom": _each(_ROOM, "before", "after"),
    "label_error": {
        "level": None,
        "sensitivity": {"selection": _TERM, **_each(None, "limit", "tried")},
        "corrected": {
            **_GAIN,
            **_each(_SPLIT, "reverse", "symmetric", "simultaneous"),
            **_each(None, "condition", "moved", "alone", "problems", "level"),
        },
    },
    "path": _each(_GAIN, "along", "endpoints"),
}
_PART = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=|==|!=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """Comparisons of a result's numbers, joined by ``and`` (binds tighter) and ``or``."""

    text: str
    any_of: tuple[tuple[tuple[str, str, float], ...], ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """
        Raises:
            StratagemError: the text is not of that form, or speaks of a number that is none of `FIELDS`.
        """
        groups = [re.split(r"\band\b", group) for group in re.split(r"\bor\b", text)]
        return cls(text, tuple(tuple(_comparison(part, text) for part in group) for group in groups))

    def holds(self, result: Mapping[str, Any]) -> bool:
        """Whether it is true of a result. A number that is not defined (null) makes its comparison false.

        Raises:
            StratagemError: the logs leave a whole part open, such as selection where they hold counts alone.
        """
        return any(
            all(self._compare(result, path, sign, number) for path, sign, number in group)
            for group in self.any_of
        )

    def _compare(self, result: Mapping[str, Any], path: str, sign: str, number: float) -> bool:
        term, counted = _field(path, self.text) is not None, result.get("strategies_from") == COUNTS
        value: Any = result
        for name in (*path.split("."), *(["value"] if term else [])):
            if not isinstance(value, Mapping) or name not in value:
                source = "counts alone; log the completions" if counted else "these logs"
                raise StratagemError(f"--fail-if {self.text!r}: {path} is not known from {source}")
            value = value[name]
        return value is not None and COMPARE[sign](float(value), number)


def _comparison(part: str, text: str) -> tuple[str, str, float]:
    match = _PART.fullmatch(part)
    try:
        if match is not None:
            _field(match[1], text)
            return match[1], match[2], float(match[3])
    except ValueError:
        pass
    raise StratagemError(f"--fail-if {text!r}: {part.strip()!r} is not of the form 'selection.low < 0'")


def _field(path: str, text: str) -> Fields | None:
    """What is below a path: None for a number, the fields of a term, which stands for its value.

    Raises:
        StratagemError: no such number.
    """
    below: Fields | None = FIELDS
    for name in path.split("."):
        if below is None or name not in below:
            there = list(below or ["nothing below it"])
            near = difflib.get_close_matches(name, there, 1)
            mend = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(there)}"
            raise StratagemError(f"--fail-if {text!r}: no number {name!r} in {path!r}; {mend}")
        below = below[name]
    if below is not None and "value" not in below:
        raise StratagemError(f"--fail-if {text!r}: {path!r} is several numbers: {', '.join(below)}")
    return below
