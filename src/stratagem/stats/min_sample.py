"""How few are too few: the sizes below which nothing is said, and results without what they rule out."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import msgspec

from stratagem.records import Estimate, Result

# Problems of an interval. Five that all go the same way do so by chance in 2 of 32 cases, six in 2 of 64: below that
# no test without a model shows a direction at 95%. Where few problems happen to agree, intervals of any kind have no
# width at all.
MIN_PROBLEMS = 6
MIN_STRATUM = 2  # problems of a stratum on either side, where others are compared: one shows no variance
MIN_NAMED_STRATUM = 20  # problems of a stratum, for a sentence about it alone
MIN_FREEDOM = 8  # degrees of freedom from which Wilson's interval needs no wider quantile to hold the truth
MIN_CELL = 2  # hand-labelled responses of a cell: one shows no variance
MIN_SEEN = 10  # responses before, for the accuracy of a strategy in a stratum to be taken from resampling
MIN_OUTCOME = 5  # of them right, and wrong
NEW_FACTOR = 10  # times the most that an unseen strategy's share may have been, from which it is new alone
MIN_GROUP = 4  # responses of a group, for "all wrong" to say something
MIN_HEADROOM = 16  # responses a problem for its own headroom: below that the bracket does not hold the truth
MIN_SHARE = 0.01  # of all responses, for a strategy that is there to be selected

Value = TypeVar("Value")


def drop_small_intervals(value: Value) -> Value:
    """The same without the intervals of estimates from fewer than `MIN_PROBLEMS` problems; tables stay as they are."""
    return _without(value)


def _without(value: Any) -> Any:
    if isinstance(value, Estimate):
        bare = dict.fromkeys(("low", "high", "se"), math.nan)
        return value if value.n >= MIN_PROBLEMS else msgspec.structs.replace(value, **bare)
    if isinstance(value, tuple):
        return tuple(map(_without, value))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, Result):
        parts = {name: _without(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **parts)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: _without(getattr(value, part.name)) for part in fields(value)})
    return value
