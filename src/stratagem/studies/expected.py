"""How long a study will take on this machine, said before it starts.

A stage's cost is proportional to the words that it samples or trains on; the factors are those of the shipped base on a
machine that multiplies 100 GFLOP/s with one thread in fp32 (LOG.md, 2026-11-26), and are scaled by what this machine
multiplies now. A policy that is not yet sure costs up to three times as much as one that is, so the answer is rough:
within a factor of two.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from graphlib import TopologicalSorter

from stratagem.settings import BaseConfig, GRPOConfig, RolloutConfig, SFTConfig, StageConfig, ValidationConfig
from stratagem.studies.graph import Job
from stratagem.tasks import make_task

# Seconds per word of a response, or per token of a base's batch, at 100 GFLOP/s; and per process, which has to start.
BASE, SFT, RL, ROLLOUT, START = 5e-5, 1.06e-4, 6.3e-5, 3.2e-5, 1.0
REFERENCE = 100e9
REPORT = 16.0  # a study's tables, gains, claims and page


def cost(config: StageConfig) -> float:
    """Seconds of one stage on the reference machine."""
    if isinstance(config, BaseConfig):
        return config.updates * config.tokens * BASE
    task = make_task(config.task)
    words = sum(map(task.demonstration_words, config.steps)) / 2
    match config:
        case SFTConfig():
            return config.size * config.epochs * words * SFT
        case GRPOConfig():
            most = config.updates * config.batch * config.group * words
            return min(most, config.budget or most) * RL * (1 + config.inner) / 2
        case RolloutConfig():
            return config.size * (config.samples + config.greedy) * words * ROLLOUT
        case ValidationConfig():  # forward alone: a third of training
            return config.size * words * SFT / 3


def seconds(
    jobs: Sequence[Job],
    workers: int,
    speed: float,
    everything: bool = False,
    taken: Container[str] = frozenset(),
) -> float:
    """What the jobs that are not done, or all of them, will take with `workers` side by side.

    Args:
        speed: products of this machine, FLOP/s of one thread.
        taken: addresses of what another study beside this one has made, or will have: that costs nothing.
    """
    left = {
        job.name: START + cost(job.config) * REFERENCE / speed
        for job in jobs
        if job.address not in taken and (everything or not job.out.exists())
    }
    chains: dict[str, float] = {}
    by_name = {job.name: job for job in jobs}
    for name in TopologicalSorter({job.name: job.needs for job in jobs}).static_order():
        job = by_name[name]
        chains[job.name] = left.get(job.name, 0.0) + max(
            (chains[needed] for needed in job.needs), default=0.0
        )
    side_by_side = min(workers, os.cpu_count() or 1)
    return max(sum(left.values()) / side_by_side, max(chains.values(), default=0.0))
