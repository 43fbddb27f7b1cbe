"""How far the corrected split holds the truth where a judge is wrong in a known way.

    python benchmarks/judging.py                    # 200 studies, sheets of 200 hand labels
    python benchmarks/judging.py --studies 300 --first 1000

The world of tests/learned/worlds.py: three strategies, 150 problems with four responses on each side. The judge is the
stand-in of tests/judging/known_error.py: it goes through the whole client but for the socket, and confuses strategies
more often where the answer is wrong. The sheet is that of `stratagem validate-labels`, filled in with the truth.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.judging import known_error  # noqa: E402
from tests.learned import worlds  # noqa: E402

from stratagem.decomposition.decompose import decompose_pairs  # noqa: E402
from stratagem.label_error.correction import correct_pairs  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.stats.counts import tally  # noqa: E402
from stratagem.stats.pairs import pair  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first study's seed")
    parser.add_argument("--sheet", type=int, default=200)
    given = parser.parse_args()
    known = worlds.truth()
    held: dict[str, list[list[bool]]] = {"as labelled": [], "corrected": []}
    off: dict[str, list[list[float]]] = {"as labelled": [], "corrected": []}
    agreement, kappa, refused = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for study in range(given.first, given.first + given.studies):
            rng = np.random.default_rng([study, 11])
            logs = [worlds.log(rng, side, 150, 4) for side in (0, 1)]
            both = known_error.judged(study, pl.concat(logs), Path(folder))
            quality = known_error.measured(both, given.sheet, rng)
            agreement.append(quality.overall.agreement.value)
            kappa.append(quality.overall.kappa.value)
            pairs = pair(*(tally(both.filter(side=str(side)), (), "") for side in (0, 1)), ())
            splits = {"as labelled": decompose_pairs(pairs, rng=rng, draws=400)}
            try:
                splits["corrected"] = correct_pairs(
                    pairs, quality.confusion(), rng=rng, draws=400, stratified=False
                )
            except StratagemError:
                refused += 1
            for name, split in splits.items():
                terms = list(zip((split.selection, split.improvement), known, strict=True))
                held[name].append([term.low <= true <= term.high for term, true in terms])
                off[name].append([100 * (term.value - true) for term, true in terms])
    print(
        f"{given.studies} studies, sheets of {given.sheet}: agreement {100 * np.mean(agreement):.1f}%, ",
        end="",
    )
    print(f"kappa {np.mean(kappa):.2f}; correction refused in {refused}")
    for name in held:
        cover, bias = 100 * np.mean(held[name], axis=0), np.mean(off[name], axis=0)
        error = np.sqrt(np.mean(np.square(off[name]), axis=0))
        for i, term in enumerate(("selection", "improvement")):
            print(f"{name}, {term}: held in {cover[i]:.1f}%, bias {bias[i]:+.2f} points, RMSE {error[i]:.2f}")


if __name__ == "__main__":
    main()
