"""Whether intervals of the visible shift hold the truth, in made-up worlds.

    python benchmarks/visible.py --studies 200

Worlds are those of tests/visible/worlds.py, of 17 features: one slope for all problems, slopes that vary between
problems, none, and opposite slopes in two strata. A row a world, number of problems and responses a problem.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.visible.worlds import features

from stratagem.stats.uncertainty import percentile
from stratagem.visible.shift import weights
from stratagem.visible.slope import shifts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        f"{given.studies} studies a row, Monte Carlo error {100 * (0.95 * 0.05 / given.studies) ** 0.5:.1f} points"
    )
    print("world    problems samples  truth   mean   RMSE  held, %  width")
    for kind in ("alike", "varied", "none", "routed"):
        for problems, samples in ((100, 4), (300, 2), (300, 4), (1000, 8)):
            values, held, widths = [], 0, []
            for _ in range(given.studies):
                data, truth = features(rng, problems, samples, kind)
                drawn, _ = shifts(data, weights(rng, problems, given.draws), [np.arange(17)])
                estimate = percentile(float(drawn[0]), drawn[1:], n=problems)
                held += estimate.low <= truth <= estimate.high
                values.append(estimate.value)
                widths.append(estimate.high - estimate.low)
            error = np.sqrt(np.mean((np.array(values) - truth) ** 2))
            print(
                f"{kind:8} {problems:8} {samples:7} {100 * truth:6.1f} {100 * np.mean(values):6.1f} {100 * error:6.1f} "
                f"{100 * held / given.studies:8.1f} {100 * np.mean(widths):6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
