"""The numbers that users may give, by option: from what makes sense to the largest value that is of use."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from stratagem.records import StratagemError

# Options of one name have the same limits in every command and in every stage's settings.
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    # of intervals and reports
    "draws": (100, 1_000_000),
    "level": (0.01, 0.9999),
    "sample": (0, 1_000_000),
    "window": (1, 1_000_000_000),
    # of problems and responses
    "size": (1, 10_000_000),
    "prompts": (1, 10_000_000),
    "samples": (1, 100_000),
    "max_new": (1, 1_000_000),
    "temperature": (0.001, 100),
    "traces": (1, 1_000),
    "near": (0.3, 1),
    "rare": (0, 1),
    "most": (2, 8),
    # of training
    "updates": (0, 10_000_000),
    "horizon": (1, 10_000_000),
    "tokens": (256, 10_000_000),
    "epochs": (1, 100_000),
    "batch": (1, 1_000_000),
    "group": (2, 10_000),
    "inner": (1, 1_000),
    "lr": (1e-12, 10),
    "weight_decay": (0, 10),
    "beta": (0, 1_000),
    "clip": (0.000_001, 0.999_999),
    "redraw": (0, 1_000),
    "explore": (0, 1),
    "floor": (0, 1),
    "half_life": (0.01, 1_000_000_000),
    "budget": (1, 1e15),
    "rank": (1, 100_000),
    "alpha": (1, 1_000_000),
    "dropout": (0, 0.999),
    "device_batch": (1, 1_000_000),
    "save_every": (1, 10_000_000),
    # of machines
    "vllm_memory": (0.01, 1),
    "parallel": (1, 10_000),
    "timeout": (0.001, 1_000_000),
    "votes": (1, 25),
    "max_requests": (0, 100_000_000),
    "per_minute": (0.1, 1_000_000),
    "port": (0, 65_535),
    "workers": (1, 1_024),
    "ray_gpus": (0, 1_024),
    "replicates": (1, 1_000),
}


def check_numbers(options: object) -> None:
    """See that the numbers of a dataclass, and of those in it, are within their limits.

    Raises:
        StratagemError: one is not; it is named as an option.
    """
    if not is_dataclass(options):
        return
    for field in fields(options):
        value = getattr(options, field.name)
        check_number(field.name, value)
        check_numbers(value)


def check_number(name: str, value: object) -> None:
    """
    Raises:
        StratagemError: a number that is not within the limits of its name.
    """
    if name not in LIMITS or not isinstance(value, int | float):
        return
    low, high = LIMITS[name]
    if not low <= value <= high:
        raise StratagemError(f"--{name.replace('_', '-')} {value}: must be from {low:,} to {high:,}")
