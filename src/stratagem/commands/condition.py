"""Conditions on a result, such as ``selection.low < 0``: what --fail-if takes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stratagem.records import StratagemError

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
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
            StratagemError: the text is not of that form.
        """
        groups = [re.split(r"\band\b", group) for group in re.split(r"\bor\b", text)]
        return cls(text, tuple(tuple(_comparison(part, text) for part in group) for group in groups))

    def holds(self, result: Mapping[str, Any]) -> bool:
        """Whether it is true of a result. A number that is not defined (null) makes its comparison false.

        Raises:
            StratagemError: the result has no such number.
        """
        return any(
            all(self._compare(result, path, sign, number) for path, sign, number in group)
            for group in self.any_of
        )

    def _compare(self, result: Mapping[str, Any], path: str, sign: str, number: float) -> bool:
        value: Any = result
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                there = ", ".join(value) if isinstance(value, Mapping) else "nothing below it"
                raise StratagemError(f"--fail-if {self.text!r}: no {name!r} in the result; there is {there}")
            value = value[name]
        if isinstance(value, Mapping) and "value" in value:
            value = value["value"]
        if value is None:
            return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StratagemError(f"--fail-if {self.text!r}: {path} is not a number")
        return COMPARE[sign](float(value), number)


def _comparison(part: str, text: str) -> tuple[str, str, float]:
    match = _PART.fullmatch(part)
    try:
        if match is not None:
            return match[1], match[2], float(match[3])
    except ValueError:
        pass
    raise StratagemError(f"--fail-if {text!r}: {part.strip()!r} is not of the form 'selection.low < 0'")
