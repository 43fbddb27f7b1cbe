"""How long a study will take on this machine, said before it starts.

A stage's cost is proportional to the operations of the chains that it samples or trains on; the factors are those of
the shipped base on a machine that multiplies 100 GFLOP/s with one thread in fp32 (LOG.md, 2026-11-26), and are scaled
by what this machine multiplies now. A policy that is not yet sure costs up to three times as much as one that is, so
the answer is rough: within a factor of two.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from stratagem.settings import GRPOConfig, RolloutConfig, SFTConfig
from stratagem.studies.jobs import Job

# Seconds per chain and step of it, at 100 GFLOP/s; and per process, which has to start and to load.
SFT, RL, ROLLOUT, START = 5e-4, 2.4e-4, 1.2e-4, 1.0
REFERENCE = 100e9


def cost(config: SFTConfig | GRPOConfig | RolloutConfig) -> float:
    """Seconds of one stage on the reference machine."""
    steps = sum(config.steps) / 2
    match config:
        case SFTConfig():
            return config.size * config.epochs * steps * SFT
        case GRPOConfig():
            return config.updates * config.batch * config.group * steps * RL * (1 + config.inner) / 2
        case RolloutConfig():
            return config.size * (config.samples + config.greedy) * steps * ROLLOUT


def seconds(jobs: Sequence[Job], workers: int, speed: float) -> float:
    """What the jobs that are not done will take with `workers` side by side.

    Args:
        speed: products of this machine, FLOP/s of one thread.
    """
    left = {job.name: START + cost(job.config) * REFERENCE / speed for job in jobs if not job.out.exists()}
    chains: dict[str, float] = {}
    for job in jobs:  # inputs come before what needs them
        chains[job.name] = left.get(job.name, 0.0) + max((chains[name] for name in job.needs), default=0.0)
    side_by_side = min(workers, os.cpu_count() or 1)
    return max(sum(left.values()) / side_by_side, max(chains.values(), default=0.0))
