"""Numbers as text. A number that is missing or undefined is shown as "–", never as 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from stratagem.records import UNSET, Estimate, points

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Number:
    """A fraction with its interval; None where undefined. `bounds` where only a range is identified."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    bounds: tuple[float, float] | None = None

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None


def number(entry: Any) -> Number:
    """An estimate, or what summary.json holds of one: None, a plain number, or an object with value, low and high."""
    if isinstance(entry, Estimate):
        bounds = None if entry.bounds is UNSET else entry.bounds
        return Number(finite(entry.value), finite(entry.low), finite(entry.high), bounds)
    if not isinstance(entry, dict):
        return Number(finite(entry))
    record = cast(dict[str, Any], entry)
    ends: Sequence[Any] = record.get("bounds") or (None, None)
    low, high = finite(ends[0]), finite(ends[1])
    bounds = None if low is None or high is None else (low, high)
    return Number(finite(record.get("value")), finite(record.get("low")), finite(record.get("high")), bounds)


def finite(x: Any) -> float | None:
    """`x` as a float, or None where it is missing, infinite or not a number."""
    if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
        return None
    return float(x)


def percent(x: float | None, digits: int = 1) -> str:
    """0.957 as ``95.7``."""
    return MISSING if x is None else _tidy(points(x, digits))


def signed(x: float | None, digits: int = 1) -> str:
    """0.031 as ``+3.1``; zero has no sign."""
    return MISSING if x is None else _tidy(points(x, digits, "+"))


def interval(n: Number, digits: int = 1) -> str:
    """``[93.2, 97.0]``, or nothing where there is no interval."""
    return f"[{percent(n.low, digits)}, {percent(n.high, digits)}]" if n.has_interval else ""


def signed_interval(n: Number, digits: int = 1) -> str:
    """``[+2.1, +4.4]``, or nothing where there is no interval."""
    return f"[{signed(n.low, digits)}, {signed(n.high, digits)}]" if n.has_interval else ""


def bounds_text(n: Number, digits: int = 1) -> str:
    """``+12.0 … +46.0``, or nothing where the number is a point."""
    return "" if n.bounds is None else f"{signed(n.bounds[0], digits)} … {signed(n.bounds[1], digits)}"


def plain(x: Any) -> str:
    """A setting or a count as text: lists joined, long decimals cut, None as "–"."""
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return MISSING
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, float):
        return f"{x:.4g}"
    if isinstance(x, int):
        return f"{x:,}" if abs(x) >= 10_000 else str(x)
    if isinstance(x, list | tuple):
        return ", ".join(map(plain, cast(Sequence[Any], x))) or MISSING
    if isinstance(x, dict):
        pairs = cast(dict[Any, Any], x)
        return ", ".join(f"{key} {plain(value)}" for key, value in pairs.items()) or MISSING
    return str(x)


def duration(seconds: float | None) -> str:
    """812 as ``13 min 32 s``."""
    if (seconds := finite(seconds)) is None:
        return MISSING
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def words(name: str) -> str:
    """``operand_lookup`` as ``operand lookup``."""
    return name.replace("_", " ")


def _tidy(text: str) -> str:
    """No "-0.0", no "+0.0", and a true minus sign."""
    if not text.strip("+-0."):
        text = text.lstrip("+-")
    return text.replace("-", "−")
