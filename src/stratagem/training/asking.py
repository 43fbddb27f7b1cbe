"""Which problems an update of native RL asks, and what that has cost so far.

Shapes by suffix: C groups that were asked, G responses of a group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stratagem.curation.held import read_rows
from stratagem.records import Problem, StratagemError
from stratagem.samplers import Frontier, Pools, Random, Sampler, State
from stratagem.sampling.native import Generation
from stratagem.settings import GRPOConfig

SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Response:
    """One response: the number of its problem, what was generated, as text, and its reward."""

    problem: int
    generation: Generation
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The responses of an update, group by group in the order in which they were asked.

    Attributes:
        flat_C: which groups have one score throughout, so that they teach nothing.
        own_s: seconds that choosing the problems took.
    """

    responses: list[Response]
    flat_C: NDArray[np.bool_]
    own_s: float

    def tokens(self, flat: bool = False) -> int:
        """Tokens of all responses, or of those in flat groups."""
        group = len(self.responses) // len(self.flat_C)
        return sum(
            len(response.generation.ids)
            for k, response in enumerate(self.responses)
            if not flat or self.flat_C[k // group]
        )

    def trained_on(self, size: int) -> list[Response]:
        """The responses of `size` groups: those with signal first of all, then as many flat ones as are missing."""
        group = len(self.responses) // len(self.flat_C)
        groups = np.sort(np.argsort(self.flat_C, kind="stable")[:size])
        return [response for c in groups for response in self.responses[c * group : (c + 1) * group]]


class Asking:
    """A run's sampler, with the tokens that it has cost so far (`loop.Kept`)."""

    def __init__(self, config: GRPOConfig, problems: Sequence[Problem]) -> None:
        self.config = config
        self.sampler = sampler_of(config, problems)
        self.spent = 0

    def ask(self, number: int, answer: Callable[[list[int]], list[Response]]) -> Asked:
        """Ask until as many groups have signal as an update trains on, as often as the settings allow.

        Args:
            answer: a group of responses to each of the problems that it is given by number.
        """
        config = self.config
        chosen: list[int] = []
        asked = Asked([], np.zeros(0, np.bool_), 0.0)
        for attempt in range(1 + (config.redraw if config.sampler in ("dapo", "dapo-frontier") else 0)):
            began = time.perf_counter()
            missing = config.batch - int((~asked.flat_C).sum())
            drawn = self.sampler.draw(number, missing, attempt, chosen) if missing else []
            own = time.perf_counter() - began
            if not drawn:
                break
            responses = answer(drawn)
            began = time.perf_counter()
            scores_CG = np.array([response.score for response in responses]).reshape(len(drawn), -1)
            self.sampler.observe(number, drawn, scores_CG.sum(1).tolist(), config.group)
            own += time.perf_counter() - began
            chosen += drawn
            flat_C = (scores_CG == scores_CG[:, :1]).all(1)
            asked = Asked(
                asked.responses + responses, np.concatenate([asked.flat_C, flat_C]), asked.own_s + own
            )
        self.spent += asked.tokens()
        return asked

    def enough(self) -> bool:
        return self.config.budget is not None and self.spent >= self.config.budget

    def state(self) -> State:
        return {**self.sampler.state(), SPENT: [self.spent]}

    def restore(self, state: State) -> None:
        self.sampler.restore(state)
        self.spent = int(state[SPENT][0])


def sampler_of(config: GRPOConfig, problems: Sequence[Problem]) -> Sampler:
    """The sampler that a run's settings name; problems of one kind and difficulty are a stratum."""
    match config.sampler:
        case "frontier" | "dapo-frontier":
            strata: dict[tuple[str, int], int] = {}
            numbers = [strata.setdefault((each.kind, each.difficulty), len(strata)) for each in problems]
            kinds = sorted({each.kind for each in problems})
            return Frontier(
                len(problems),
                config.group,
                seed=config.seed,
                strata=numbers,
                kinds=[kinds.index(each.kind) for each in problems] if config.keep_kinds else None,
                explore=config.explore,
                floor=config.floor,
                half_life=config.half_life,
            )
        case "pools":
            return Pools(len(problems), config.seed)
        case "random" | "dapo":
            return Random(len(problems), config.batch, config.seed)


def named(problems: Sequence[Problem], file: Path, config: GRPOConfig) -> list[Problem]:
    """Those of a run's problems whose ``problem_id`` a file has, such as `curate prompts` wrote, in their own order.

    Raises:
        StratagemError: the file names others, or fewer than an update asks, or cannot be read.
    """
    if not file.exists():
        raise StratagemError(f"--only {file}: no such file")
    rows = read_rows(str(file), [file])
    records = rows.records(range(len(rows)), ["problem_id"])
    for number, record in enumerate(records, 1):
        name = record.get("problem_id")
        if not name:
            raise StratagemError(
                f"--only {file}: row {number} has no problem_id, which `stratagem problems` writes"
            )
        if not isinstance(name, str):
            raise StratagemError(f"--only {file}: row {number}: problem_id has to be a text")
    ids = {record["problem_id"] for record in records}
    chosen = [problem for problem in problems if problem.id in ids]
    if len(chosen) < len(ids):
        raise StratagemError(
            f"--only {file}: {len(ids) - len(chosen):,} of its {len(ids):,} problems are none of the "
            f"--prompts {config.prompts:,} of these --steps, --mix and --seed"
        )
    if len(chosen) < config.batch:
        raise StratagemError(f"--only {file}: {len(chosen)} problems are fewer than --batch {config.batch}")
    return chosen
