"""What sets of demonstrations show, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.demonstrations.diversity import Ints, effective_number, estimate, shown
from stratagem.curation.demonstrations.result import SetFacts, StrategyFacts
from stratagem.curation.passrates import Floats
from stratagem.curation.profile import Bools


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of each row, and how it is summed up.

    Attributes:
        strategy: its number in `names`, -1 for none; named: which of `names` are ways to solve a problem.
        difficulty, quality: NaN where they are not known, or no numbers.
    """

    problem: Ints
    strategy: Ints
    names: tuple[str, ...]
    named: Bools
    words: Floats
    difficulty: Floats
    quality: Floats
    level: float
    draws: int
    seed: int

    def joined(self, other: Facts) -> Facts:
        """With further rows."""
        columns = ("problem", "strategy", "words", "difficulty", "quality")
        both = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in columns}
        return Facts(
            **both, names=self.names, named=self.named, level=self.level, draws=self.draws, seed=self.seed
        )

    def of(self, rows: Ints) -> SetFacts:
        """Of some rows, which all show a strategy."""
        problem, strategy = self.problem[rows], self.strategy[rows]
        counted = np.where(self.named[strategy], strategy, -1)
        by_problem = shown(problem, np.zeros_like(problem), counted, len(self.names))
        several = by_problem.counts.sum(axis=1) >= 2
        traces = pl.Series(problem).value_counts()["count"]
        totals = np.bincount(strategy, minlength=len(self.names))
        known = int(totals[self.named].sum())
        inner = effective_number(by_problem.counts[several])
        return SetFacts(
            demonstrations=len(rows),
            problems=traces.len(),
            several=int((traces >= 2).sum()),
            ways=int((by_problem.ways >= 2).sum()),
            effective=estimate(
                by_problem.counts, self.level, self.draws, np.random.default_rng([self.seed, 3])
            ),
            within=float(inner.mean()) if len(inner) else float("nan"),
            unnamed=1 - known / len(rows) if len(rows) else float("nan"),
            strategies=tuple(
                StrategyFacts(
                    name=name,
                    demonstrations=int(count),
                    share=float(count / known) if known else float("nan"),
                )
                for name, count, named in zip(self.names, totals, self.named, strict=True)
                if named
            ),
            words=_mean(self.words[rows]),
            difficulty=_mean(self.difficulty[rows]),
            quality=_mean(self.quality[rows]),
        )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
