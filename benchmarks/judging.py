"""How far the corrected split holds the truth where a judge is wrong in a known way.

    python benchmarks/judging.py                    # 200 studies, sheets of 200 hand labels
    python benchmarks/judging.py --sheet 100

The world of tests/learned/worlds.py: three strategies, 150 problems with four responses on each side. The judge is the
stand-in of tests/judging: it goes through the whole client but for the socket, and confuses strategies as `WRONG` says,
more often where the answer is wrong. The sheet is that of `stratagem validate-labels`, filled in with the truth.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.judging.stand_in import MODEL, Brain  # noqa: E402
from tests.learned import worlds  # noqa: E402

from stratagem.decomposition.decompose import decompose_pairs  # noqa: E402
from stratagem.judging import judge as judging  # noqa: E402
from stratagem.judging.rubric import Rubric  # noqa: E402
from stratagem.label_error.correction import correct_pairs  # noqa: E402
from stratagem.label_error.quality import validate  # noqa: E402
from stratagem.label_error.sheet import outcome, sheet  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.stats.counts import tally  # noqa: E402
from stratagem.stats.pairs import pair  # noqa: E402

# P(label | true strategy) of a right response; of a wrong one the errors are as often again.
WRONG = np.array([[0.92, 0.06, 0.02], [0.03, 0.94, 0.03], [0.09, 0.05, 0.86]])


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16) / 16**12


def errs(study: int, log: pl.DataFrame) -> Brain:
    """A judge that confuses strategies in a known way, the same response always alike."""
    known = {
        text: (true, score)
        for text, true, score in log.select("completion", "true_strategy", "score").iter_rows()
    }

    def said(text: str, vote: int) -> str:
        true, score = known[text]
        t = worlds.NAMES.index(true)
        row = WRONG[t].copy()
        if score < 0.5:
            row *= 2
            row[t] = 0.0
            row[t] = 1 - row.sum()
        return worlds.NAMES[int(np.searchsorted(np.cumsum(row), chance(study, text, vote)))]

    return Brain(truth=said)


def judged(study: int, log: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The log as the judge labels it."""
    rubric = Rubric(worlds.STYLES, dict.fromkeys(worlds.NAMES, ()))
    config = judging.JudgeConfig(
        MODEL, max_requests=log.height, per_minute=1e6, answers=folder / f"{study}.jsonl", parallel=1
    )
    brain = errs(study, log)

    def ask(url: str, method: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        return brain.reply(body)[1]

    with mock.patch.object(judging, "ask", ask):
        judge = judging.Judge(rubric, config, "judge")
        labelled = judge.label(log)
        judge.close()
    return labelled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--sheet", type=int, default=200)
    given = parser.parse_args()
    known = worlds.truth()
    held: dict[str, list[list[bool]]] = {"as labelled": [], "corrected": []}
    off: dict[str, list[list[float]]] = {"as labelled": [], "corrected": []}
    agreement, kappa, refused = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for study in range(given.studies):
            rng = np.random.default_rng([study, 11])
            logs = [worlds.log(rng, side, 150, 4) for side in (0, 1)]
            both = judged(study, pl.concat(logs), Path(folder))
            hand = sheet(both.drop("checkpoint"), given.sheet, rng)
            truth = both.select("side", "problem_id", "sample", "true_strategy")
            hand = hand.drop("true_strategy").join(
                truth, on=["side", "problem_id", "sample"], maintain_order="left"
            )
            quality = validate(
                hand.with_columns(outcome=outcome(pl.col("score"))), names=sorted(worlds.NAMES)
            )
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
