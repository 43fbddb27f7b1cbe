"""Named quantities of a study, in a small language of which a claim is made.

    accuracy('FB/RL(6-9)') - accuracy('B/RL(6-9)')            pass@1, on all problems
    accuracy('B/RL(6-9)', 'inversion')                        on one kind
    accuracy('B/RL(6-9)', on='long')                          of another evaluation than the first
    accuracy('B/RL(6-9)', 'inversion', at='end')              in training: the reward at the start or the end of its RL
    selection('FB/RL(2-5)')                                   a term of the gain over the arm that it starts from
    gap('FB/RL(2-5)')                                         |selection| - |improvement|
    share('FB/RL(6-9)', 'forward', 'inversion')               how often a strategy is used; at='end' as above
    forced('FB/SFT', 'backward', 'inversion')                 accuracy where a strategy is forced
    spliced('FB/RL(6-9)', 'after', 'before')                  accuracy where it opens and the arm it starts from goes on
    loss('FB/SFT')                                            cross-entropy on held-out demonstrations, nats a token
    chance + 8                                                the accuracy of a guess; numbers are percentage points

With + and -, and numbers. With one replicate an interval covers the choice of problems (of updates, where training is
meant, since each has problems of its own); with several it is a t interval over replicates.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from stratagem.decomposition.splices import PAIRS
from stratagem.records import ALL, SIDES, Estimate, StratagemError
from stratagem.stats.uncertainty import mean_estimate, quantile, t_interval, within
from stratagem.studies.arm import Arm
from stratagem.tasks import Task

TERMS = ("gain", "selection", "improvement", "new_strategy", "gap")
RATES = ("accuracy", "share", "forced", "spliced")
MEASURES = (*RATES, "loss")
CHANCE = "chance"
ENDS = ("start", "end")  # of training: a tenth of the updates each
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Name:
    """A measure or a term of one arm.

    Attributes:
        kind: ALL or a kind of problem.
        on: an evaluation; None for the first.
        at: one of `ENDS`, where the responses that the arm was trained on are meant.
        pair: of a splice, one of `decomposition.splices.PAIRS`.
    """

    what: str
    arm: str
    strategy: str | None = None
    kind: str = ALL
    on: str | None = None
    at: str | None = None
    pair: str | None = None


class Source(Protocol):
    """Where the values of quantities come from."""

    @property
    def replicates(self) -> int: ...

    @property
    def chance(self) -> float: ...

    def problems(self, name: Name, replicate: int) -> Vector:
        """A measure of each problem, in one order for all arms and measures of a kind and an evaluation."""
        ...

    def updates(self, name: Name, replicate: int) -> Vector:
        """A measure of each update at an end of an arm's training."""
        ...

    def term(self, name: Name, replicate: int | None) -> Estimate:
        """A term of a gain in one replicate, or over all of them, with its interval at 95%."""
        ...


@dataclass(frozen=True, slots=True)
class Quantity:
    """A sum of names with signs, and of a number in percentage points. `chances` counts how often chance is added."""

    text: str
    names: tuple[tuple[int, Name], ...]
    number: float = 0.0
    chances: int = 0

    @classmethod
    def parse(cls, text: str | float) -> Quantity:
        """
        Raises:
            StratagemError: it is not of this language.
        """
        try:
            tree = ast.parse(str(text), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise StratagemError(f"{text!r}: not of the form accuracy('ARM') - accuracy('ARM')") from None
        return replace(_sum(tree.body, str(text)), text=str(text))

    @classmethod
    def of(cls, name: Name) -> Quantity:
        """The quantity that is one measure or term."""
        return cls(f"{name.what} of {name.arm}", ((1, name),))

    def check(self, arms: Mapping[str, Arm], task: Task, evaluations: Sequence[str]) -> None:
        """
        Raises:
            StratagemError: it names an arm, a strategy, a kind of problem or an evaluation that there is not.
        """
        for _, name in self.names:
            if name.arm not in arms:
                raise StratagemError(f"{self.text!r}: no arm {name.arm!r}; there are {', '.join(arms)}")
            if name.kind not in (ALL, *task.kinds):
                raise StratagemError(
                    f"{self.text!r}: no kind {name.kind!r}; there are {', '.join(task.kinds)}"
                )
            if name.strategy is not None and name.strategy not in task.strategies:
                raise StratagemError(
                    f"{self.text!r}: no strategy {name.strategy!r}; there are {', '.join(task.strategies)}"
                )
            if name.on is not None and name.on not in evaluations:
                raise StratagemError(
                    f"{self.text!r}: no evaluation {name.on!r}; there are {', '.join(evaluations)}"
                )
            if name.at is not None and name.at not in ENDS:
                raise StratagemError(f"{self.text!r}: at = {name.at!r} must be one of {', '.join(ENDS)}")
            if name.pair is not None and name.pair not in PAIRS:
                raise StratagemError(
                    f"{self.text!r}: who opens and who goes on must be one of {', '.join(map(repr, SIDES))}"
                )
            if name.at is not None and name.on is not None:
                raise StratagemError(f"{self.text!r}: `at` is in training and `on` after it; leave one out")
            if name.at is not None and arms[name.arm].stage != "rl":
                raise StratagemError(
                    f"{self.text!r}: {name.arm!r} is no RL, so that `at` means nothing there"
                )
            if name.what in TERMS and arms[name.arm].start is None:
                raise StratagemError(
                    f"{self.text!r}: {name.arm!r} starts from no arm, so that it has no gain"
                )

    def limit(self, source: Source) -> float:
        """The value of a quantity of numbers and chance alone, as a fraction."""
        return self.chances * source.chance + self.number / 100

    def estimate(self, source: Source, level: float = 0.95) -> Estimate:
        """Its value with an interval, as fractions."""
        constant = self.limit(source)
        if not self.names:
            return Estimate(constant, constant, constant, 0.0)
        if all(name.what in MEASURES for _, name in self.names) and self._one_set(source):
            estimate = self._over_one_set(source, level)
            if all(name.what in RATES for _, name in self.names):
                added = sum(sign > 0 for sign, _ in self.names)
                estimate = within(estimate, float(added - len(self.names)), float(added))
        elif len(self.names) == 1 and self.names[0][0] == 1:
            estimate = at_level(source.term(self.names[0][1], None), level, source.replicates)
        elif source.replicates > 1:
            of_each = [self._value(source, replicate) for replicate in range(source.replicates)]
            estimate = t_interval(of_each, level=level)
        else:  # terms of one replicate together: how they vary together is not kept
            estimate = Estimate(self._value(source, 0))
        if not constant:
            return estimate
        return msgspec.structs.replace(
            estimate,
            value=estimate.value + constant,
            low=estimate.low + constant,
            high=estimate.high + constant,
        )

    def _one_set(self, source: Source) -> bool:
        """Whether all names are over the same problems, or over equally many updates."""
        if all(name.at is not None for _, name in self.names):
            return all(
                len({source.updates(name, replicate).size for _, name in self.names}) == 1
                for replicate in range(source.replicates)
            )
        return len({(name.kind, name.on, name.at, name.what == "loss") for _, name in self.names}) == 1

    def _over_one_set(self, source: Source, level: float) -> Estimate:
        def of_replicate(replicate: int) -> Vector:
            parts = [(sign, values(source, name, replicate)) for sign, name in self.names]
            first = parts[0][1] if parts[0][0] > 0 else -parts[0][1]
            return reduce(lambda a, part: a + part[1] if part[0] > 0 else a - part[1], parts[1:], first)

        if source.replicates == 1:
            return mean_estimate(of_replicate(0), level=level)
        return t_interval([of_replicate(i).mean() for i in range(source.replicates)], level=level)

    def _value(self, source: Source, replicate: int) -> float:
        return math.fsum(
            sign
            * (
                values(source, name, replicate).mean()
                if name.what in MEASURES
                else source.term(name, replicate).value
            )
            for sign, name in self.names
        )


def values(source: Source, name: Name, replicate: int) -> Vector:
    """A measure of each problem, or of each update."""
    return source.problems(name, replicate) if name.at is None else source.updates(name, replicate)


def at_level(estimate: Estimate, level: float, replicates: int) -> Estimate:
    """An estimate that carries a 95% interval with the one of another level, on the scale of its own error."""
    if level == 0.95:
        return estimate
    df = replicates - 1 if replicates > 1 else estimate.n - 1
    reach = quantile(level, df) * estimate.se
    return msgspec.structs.replace(estimate, low=estimate.value - reach, high=estimate.value + reach)


def _sum(node: ast.expr, text: str) -> Quantity:
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            a, b = _sum(left, text), _sum(right, text)
            sign = 1 if isinstance(operator, ast.Add) else -1
            return Quantity(
                text,
                a.names + tuple((sign * other, name) for other, name in b.names),
                a.number + sign * b.number,
                a.chances + sign * b.chances,
            )
        case ast.UnaryOp(ast.USub(), operand):
            a = _sum(operand, text)
            return Quantity(text, tuple((-sign, name) for sign, name in a.names), -a.number, -a.chances)
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return Quantity(text, (), float(number))
        case ast.Name(name) if name == CHANCE:
            return Quantity(text, (), 0.0, 1)
        case ast.Call(ast.Name(what), arguments, keywords) if what in CALLS:
            words = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
            named = {
                word.arg: word.value.value
                for word in keywords
                if word.arg is not None and isinstance(word.value, ast.Constant)
            }
            try:
                if len(words) < len(arguments) or len(named) < len(keywords):
                    raise TypeError
                name = CALLS[what](*words, **named)  # pyright: ignore[reportArgumentType]
            except TypeError:
                raise StratagemError(f"{text!r}: write {FORMS[what]}, each in quotes") from None
            return Quantity(text, ((1, name),))
        case _:
            raise StratagemError(
                f"{text!r}: {ast.unparse(node)!r} is neither a number, {CHANCE}, nor one of {', '.join(FORMS.values())}"
            )


def _text(*values: Any) -> None:
    if not all(isinstance(value, str | None) for value in values):
        raise TypeError


def _accuracy(arm: str, kind: str = ALL, on: str | None = None, at: str | None = None) -> Name:
    _text(arm, kind, on, at)
    return Name("accuracy", arm, None, kind, on, at)


def _share(arm: str, strategy: str, kind: str = ALL, on: str | None = None, at: str | None = None) -> Name:
    _text(arm, strategy, kind, on, at)
    return Name("share", arm, strategy, kind, on, at)


def _forced(arm: str, strategy: str, kind: str = ALL) -> Name:
    _text(arm, strategy, kind)
    return Name("forced", arm, strategy, kind)


def _spliced(arm: str, opener: str, other: str, kind: str = ALL) -> Name:
    _text(arm, opener, other, kind)
    return Name("spliced", arm, None, kind, pair=f"{opener} {other}")


def _loss(arm: str, kind: str = ALL) -> Name:
    _text(arm, kind)
    return Name("loss", arm, None, kind)


def _term(what: str) -> Callable[..., Name]:
    def make(arm: str) -> Name:
        _text(arm)
        return Name(what, arm)

    return make


CALLS: dict[str, Callable[..., Name]] = {
    "accuracy": _accuracy,
    "share": _share,
    "forced": _forced,
    "spliced": _spliced,
    "loss": _loss,
    **{term: _term(term) for term in TERMS},
}
FORMS = {
    "accuracy": "accuracy(ARM, KIND)",
    "share": "share(ARM, STRATEGY, KIND)",
    "forced": "forced(ARM, STRATEGY, KIND)",
    "spliced": "spliced(ARM, OPENER, OTHER, KIND)",
    "loss": "loss(ARM, KIND)",
    **{term: f"{term}(ARM)" for term in TERMS},
}
