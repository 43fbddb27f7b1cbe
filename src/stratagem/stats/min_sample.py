"""What a handful of problems cannot show: no interval is made of fewer than `LEAST`."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from stratagem.records import Estimate
from stratagem.stats.uncertainty import Bounded

# Five that all go the same way do so by chance in 2 of 32 cases, six in 2 of 64: below that no test without a model
# tells a direction at 95%. Where few problems happen to agree, intervals of any kind have no width at all.
LEAST = 6

Found = TypeVar("Found")


def settled(found: Found) -> Found:
    """The same without the intervals of estimates from fewer than `LEAST` problems; tables are left as they are."""
    value: Any = found
    if isinstance(value, Estimate | Bounded):
        bare = dict.fromkeys(("low", "high", "se"), math.nan)
        return value if value.n >= LEAST else replace(value, **bare)  # pyright: ignore[reportReturnType]
    if isinstance(value, tuple):
        return tuple(map(settled, value))  # pyright: ignore[reportReturnType, reportUnknownArgumentType]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: settled(getattr(value, part.name)) for part in fields(value)})  # pyright: ignore[reportReturnType]
    return found
