"""Conditions on a result, such as ``selection.low < 0``: what --fail-if takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, get_args, get_type_hints

import polars as pl

from stratagem.conditions import condition, shown, values
from stratagem.diagnosis.side import COUNTS
from stratagem.records import Estimate, Real, Result, StratagemError
from stratagem.result import OF_STRATEGIES, Findings

OPTION = "--fail-if"
NUMBERS = (Real, float, int)


def numbers(kind: type[Result], prefix: str = "") -> Iterator[str]:
    """The dotted names of all numbers of a result, from its types; a table's are none. An estimate stands for its
    value."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        path = f"{prefix}{name}"
        if hint in NUMBERS:
            yield path
            continue
        part = next(
            (t for t in (hint, *get_args(hint)) if isinstance(t, type) and issubclass(t, Result)), None
        )
        if part is not None and hint in (part, part | None):
            if part is Estimate:
                yield path
            yield from numbers(part, f"{path}.")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the numbers of a result, by their dotted names."""

    text: str
    expression: pl.Expr

    @classmethod
    def parse(cls, text: str) -> Condition:
        """
        Raises:
            StratagemError: as `conditions.condition`; the text speaks of a number that no result has, or is neither
                true nor false of any.
        """
        names = dict.fromkeys(numbers(Findings), pl.Float64())
        parsed = cls(text, condition(text, names, OPTION, "number"))
        if not parsed.expression.meta.root_names():
            parsed._of({})
        return parsed

    def holds(self, findings: Findings) -> bool:
        """Whether it is true of a result. A comparison with a number that is not defined is neither true nor false.

        Raises:
            StratagemError: it hangs on what the logs leave open, such as selection where they hold counts alone, or is
                neither true nor false though all its numbers are defined.
        """
        names = sorted(set(self.expression.meta.root_names()))
        held = self._of({name: number(findings, name) for name in names})
        counted = findings.strategies_from == COUNTS
        for name in names if held is None else ():
            if number(findings, name) is None:
                counts = counted and name.split(".")[0] in OF_STRATEGIES
                source = "counts alone; log the completions" if counts else "these logs"
                raise StratagemError(f"{self._where}: {name} is not known from {source}")
        return bool(held)

    def _of(self, known: Mapping[str, float | None]) -> bool | None:
        """What it is of numbers by their names; None where one of them is not defined and all hangs on it.

        Raises:
            StratagemError: it cannot be told of these numbers, or is neither true nor false though all are defined.
        """
        frame = pl.DataFrame(
            {name: [value] for name, value in known.items()}, schema=dict.fromkeys(known, pl.Float64)
        )
        try:
            # Without a name, as in 1 > 0, there is no row of names to look at.
            held = values(frame if known else pl.DataFrame({"": [0]}), self.expression)[0]
        except pl.exceptions.PolarsError as error:
            raise StratagemError(f"{self._where}: {shown(str(error).splitlines()[0])}") from None
        if held is None and None not in known.values():
            raise StratagemError(
                f"{self._where}: neither true nor false, though its numbers are defined; mind NULL and what is no "
                "number, such as 0 / 0 and LN(-1)"
            )
        return held

    @property
    def _where(self) -> str:
        return f"{OPTION} {shown(self.text)!r}"


def whole(findings: Findings, path: str) -> Any:
    """What a dotted name stands for; None where a part on the way is not there."""
    return reduce(lambda part, name: None if part is None else getattr(part, name), path.split("."), findings)


def number(findings: Findings, path: str) -> float | None:
    """The number of that name; None where it is not defined."""
    part = whole(findings, path)
    value = part.value if isinstance(part, Estimate) else part
    return None if value is None or value != value else float(value)
