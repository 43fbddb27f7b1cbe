"""Made-up responses whose visible shift is known."""

from __future__ import annotations

import numpy as np
import polars as pl

from stratagem.visible.slope import Moments, moments

SLOPE = np.array([0.10, -0.06, 0.04])
CHANGE = np.array([0.8, -0.5, 0.0, 0.7])


def features(
    rng: np.random.Generator, problems: int, samples: int, kind: str, width: int = 17
) -> tuple[Moments, float]:
    """A study as moments, and its true shift.

    Args:
        kind: `alike`, one slope for all problems; `varied`, slopes that differ between problems; `none`, nothing that
            is seen goes with being right; `routed`, opposite slopes and changes in two strata.
    """
    stratum_p = rng.integers(0, 2, problems) if kind == "routed" else np.zeros(problems, int)
    side = np.where(stratum_p == 0, 1.0, -1.0)
    slope_pf, change_pf = np.zeros((problems, width)), np.zeros((problems, width))
    if kind == "routed":
        slope_pf[:, 0], change_pf[:, 0], truth = 0.12 * side, 0.8 * side, 0.12 * 0.8
    else:
        slope_pf[:, : len(SLOPE)] = 0 if kind == "none" else SLOPE
        if kind == "varied":
            slope_pf[:, : len(SLOPE)] += rng.normal(0, 0.04, (problems, len(SLOPE)))
        change_pf[:, : len(CHANGE)] = CHANGE
        change_pf += rng.normal(0, 0.3, (problems, width))
        truth = 0.0 if kind == "none" else float(SLOPE @ CHANGE[: len(SLOPE)])
    home_r = np.repeat(np.arange(problems), 2 * samples)
    after_r = np.tile(np.repeat([False, True], samples), problems)
    own_rf = rng.normal(0, 1, (len(home_r), width)) + after_r[:, None] * change_pf[home_r]
    chance_r = np.clip(
        rng.uniform(0.4, 0.6, problems)[home_r] + (own_rf * slope_pf[home_r]).sum(axis=1), 0, 1
    )
    score_r = (rng.random(len(home_r)) < chance_r).astype(float)
    z_rf = own_rf + rng.normal(0, 2, (problems, width))[home_r]  # of the problem, which is taken out
    return moments(z_rf, score_r, home_r, after_r, stratum_p), truth


STYLES = {
    "terse": "so {n} plus {m} gives {k} .",
    "careful": "first we note that {n} and {m} are given . let us add them : {n} + {m} = {k} . we check : it holds .",
}
RIGHT = {"terse": 0.3, "careful": 0.8}


def texts(
    rng: np.random.Generator, problems: int = 150, samples: int = 4, shares: tuple[float, float] = (0.3, 0.8)
) -> tuple[pl.DataFrame, float]:
    """Responses in two styles of writing, one right more often; RL writes more in that. With the true shift.

    Args:
        shares: of the careful style before and after.
    """
    rows: list[dict[str, object]] = []
    for problem in range(problems):
        n, m = (int(x) for x in rng.integers(10, 99, 2))
        for after, share in zip((False, True), shares, strict=True):
            for sample in range(samples):
                style = "careful" if rng.random() < share else "terse"
                filler = " ".join(rng.choice(["thus", "now", "here", "then", "well"], 3))
                rows.append(
                    {
                        "after": after,
                        "problem_id": f"p{problem}",
                        "sample": sample,
                        "prompt": f"What is {n} plus {m} ?",
                        "completion": f"{filler} {STYLES[style].format(n=n, m=m, k=n + m)}",
                        "score": float(rng.random() < RIGHT[style]),
                    }
                )
    return pl.DataFrame(rows), (shares[1] - shares[0]) * (RIGHT["careful"] - RIGHT["terse"])
