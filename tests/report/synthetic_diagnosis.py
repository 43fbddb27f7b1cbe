"""A made-up diagnosis in the shape of diagnosis.json, and the labelled sample that goes with it.

Every number of a comparison follows from its strategies' shares and accuracies in its strata, so that terms add up.
`python tests/report/synthetic_diagnosis.py page.html [AFTERs]` writes a page to look at.
"""

from __future__ import annotations

import json
import math
import sys
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import numpy as np
import polars as pl

from stratagem.records import Real, Result
from stratagem.result import Findings

STRATEGIES = ("equations", "worked_out", "enumerate", "cases", "backward", "other", "unparsed", "truncated")
BEHAVIOURS = ("verification", "backtracking", "subgoals", "answer_in_latex")
DATASETS = ("gsm8k", "math500", "numina_olympiads")
Z = 1.96


def level(value: float) -> dict[str, Any]:
    """A share or an accuracy, as `diagnosis.compare.strategies` gives it."""
    return {"value": value, "low": max(0.0, value - 0.03), "high": min(1.0, value + 0.03), "se": 0.015}


def estimate(value: float, se: float = 0.011, n: int = 400) -> dict[str, Any]:
    return {"value": value, "low": value - Z * se, "high": value + Z * se, "se": se, "n": n}


def bounded(value: float, room: float = 0.03) -> dict[str, Any]:
    ends = [value - room, value + room]
    return {
        "value": None,
        "low": ends[0] - 0.02,
        "high": ends[1] + 0.02,
        "se": 0.01,
        "n": 400,
        "bounds": ends,
    }


def make(
    afters: int = 1,
    *,
    by: tuple[str, ...] = ("dataset", "difficulty"),
    levels: int = 3,
    strategies: tuple[str, ...] = STRATEGIES,
    names: tuple[str, ...] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """A diagnosis with one side before and `afters` after it."""
    rng = np.random.default_rng(seed)
    called = list(names or ["base", *(f"rl-step-{100 * (i + 1)}" for i in range(afters))])
    strata = [
        {"dataset": dataset, "difficulty": str(level + 1)} for dataset in DATASETS for level in range(levels)
    ]
    strata = [{name: one[name] for name in by} for one in strata] if by else [{}]
    strata = [dict(pairs) for pairs in dict.fromkeys(tuple(one.items()) for one in strata)]
    shape = (len(called), len(strata), len(strategies))
    shares = rng.dirichlet(np.arange(len(strategies), 0, -1) * 0.6, size=shape[:2])
    rates = np.clip(rng.beta(2, 3, size=shape) + 0.12 * np.arange(len(called))[:, None, None], 0, 0.97)
    pairs = sorted(combinations(range(len(called)), 2))
    found = [
        _comparison(called[a], called[b], shares[[a, b]], rates[[a, b]], strata, strategies, by)
        for a, b in pairs
    ]
    steps = [
        {
            "before": called[t],
            "after": called[t + 1],
            "gain": found[pairs.index((t, t + 1))]["gain"],
            "selection": bounded(found[pairs.index((t, t + 1))]["selection"]["value"]),
            "improvement": bounded(found[pairs.index((t, t + 1))]["improvement"]["value"]),
            "new_strategy": estimate(0.0),
        }
        for t in range(afters)
    ]
    whole = found[pairs.index((0, len(called) - 1))]
    ends = {"before": called[0], "after": called[-1]}
    way = {"steps": steps, "along": steps[0] | ends, "endpoints": steps[0] | ends, "paired": True, "weak": []}
    way |= {"problems": [400] * len(called), "left_out": [12] * len(called)}
    summary = {
        "sides": [_side(name, i) for i, name in enumerate(called)],
        "warnings": [
            "temperature differs: base: 0.6; rl-step-100: 1.0",
            "the prompt's text differs for 12 of 400 problems",
        ],
        "join": "prompt",
        "by": list(by),
        "level": 0.95,
        "strategies_from": "math",
        "strategy_names": [{"name": name, "description": f"Solves it by {name}"} for name in strategies[:5]],
        "behaviour_names": list(BEHAVIOURS),
        "comparisons": found,
        "path": way if afters > 1 else None,
    }
    return {**{k: v for k, v in whole.items() if k not in ("before", "after")}, **summary}


def _side(name: str, i: int) -> dict[str, Any]:
    return {
        "name": name,
        "files": [f"runs/{name}/rollouts-{n:05d}.jsonl.gz" for n in range(1 + 6 * (i == 0))],
        "format": "verl",
        "rows": 3200 + i,
        "problems": 412,
        "responses": 3190,
        "samples": {"min": 4, "median": 8.0, "max": 8},
        "score": "column 'acc'",
        "checkpoints": [],
        "facts": {"temperature": ["0.6" if i == 0 else "1.0"], "max_tokens": ["4096"]} if i < 2 else {},
        "left_out": {"line is not JSON": 7, "no score": 3} if i == 0 else {},
        "left_out_examples": [
            {"file": f"runs/{name}/rollouts-00000.jsonl.gz", "row": row, "reason": "line is not JSON"}
            for row in ((17, 18, 19) if i == 0 else ())
        ],
        "length_unit": "tokens",
    }


def _comparison(
    before: str,
    after: str,
    shares: np.ndarray,
    rates: np.ndarray,
    strata: list[dict[str, str]],
    strategies: tuple[str, ...],
    by: tuple[str, ...],
) -> dict[str, Any]:
    problems = 400 // len(strata)
    selection = (shares[1] - shares[0]) * rates[0] / len(strata)
    improvement = shares[1] * (rates[1] - rates[0]) / len(strata)
    accuracy = (shares * rates).sum(axis=2)
    gain = float((accuracy[1] - accuracy[0]).mean())
    terms = {
        "selection": float(selection.sum()),
        "improvement": float(improvement.sum()),
        "new_strategy": 0.0,
    }
    estimates = {name: estimate(value) for name, value in terms.items()}
    split = {"selection": bounded(terms["selection"]), "improvement": bounded(terms["improvement"])}
    split["new_strategy"] = estimates["new_strategy"]
    lead = max(("selection", "improvement"), key=lambda name: abs(terms[name]))

    def cell(g: int, s: int) -> dict[str, Any]:
        return {
            "strategy": strategies[s],
            "share_before": float(shares[0, g, s]),
            "share_after": float(shares[1, g, s]),
            "accuracy_before": float(rates[0, g, s]),
            "accuracy_after": None if s == 4 else float(rates[1, g, s]),
            "accuracy_forced": None,
            "responses_before": int(3200 * shares[0, g, s] / len(strata)),
            "responses_after": int(3200 * shares[1, g, s] / len(strata)),
            "selection": float(selection[g, s]),
            "improvement": float(improvement[g, s]),
            "new_strategy": 0.0,
            "contribution": float(selection[g, s] + improvement[g, s]),
        }

    cells = [{"stratum": strata[g]} | cell(g, s) for g in range(len(strata)) for s in range(len(strategies))]
    totals = []
    for s, name in enumerate(strategies):
        mean = shares[:, :, s].mean(axis=1)
        right = (shares[:, :, s] * rates[:, :, s]).mean(axis=1)
        totals.append(
            {
                "strategy": name,
                "share_before": level(float(mean[0])),
                "share_after": level(float(mean[1])),
                "accuracy_before": level(float(right[0] / mean[0])),
                "accuracy_after": level(float(right[1] / mean[1])),
                "responses_before": int(3200 * mean[0]),
                "responses_after": int(3200 * mean[1]),
                "selection": float(selection[:, s].sum()),
                "improvement": float(improvement[:, s].sum()),
                "new_strategy": 0.0,
                "contribution": float((selection + improvement)[:, s].sum()),
            }
        )
    rows = []
    for g, stratum in enumerate(strata):
        values = {
            "gain": float(accuracy[1, g] - accuracy[0, g]),
            "selection": float(selection[g].sum() * len(strata)),
            "improvement": float(improvement[g].sum() * len(strata)),
            "new_strategy": 0.0,
        }
        row: dict[str, Any] = {"stratum": stratum, "problems": problems}
        row |= {"accuracy_before": float(accuracy[0, g]), "accuracy_after": float(accuracy[1, g])}
        row |= {name: estimate(value, 0.03, problems) for name, value in values.items()}
        rows.append(row)
    room = {"selection": bounded(0.08), "improvement": bounded(0.31), "accuracy": float(accuracy[1].mean())}
    room |= {"problems": 396, "left_out": 4, "halved": 2}
    verb = "rose" if gain > 0 else "fell"
    return {
        "before": before,
        "after": after,
        "gain": estimate(gain),
        **estimates,
        "reverse": split,
        "symmetric": split,
        "threefold": {**split, "interaction": bounded(0.0)},
        "mix": estimate(0.01),
        "routing": estimate(0.0),
        "simultaneous": estimates,
        "accuracy_before": float(accuracy[0].mean()),
        "accuracy_after": float(accuracy[1].mean()),
        "length_before": 812.4,
        "length_after": 1203.9,
        "problems": 400,
        "left_out_before": 12,
        "left_out_after": 9,
        "unsupported_share": 0.021,
        "unsupported": [
            {"stratum": strata[0], "strategy": "cases", "side": side, "share": 0.04, "bound": bound}
            | {"weight": 0.5, "problems": problems}
            for side, bound in (("new", 0.0654), ("dropped", 0.0713))
        ],
        "order_dependent": True,
        "interventional": False,
        "weak": ["2 strata have fewer than 5 problems"],
        "level": 0.95,
        "by": list(by),
        "lead": lead,
        "headroom": {"before": room, "after": room},
        "strategies": sorted(totals, key=lambda row: -row["share_after"]["value"]),
        "strata": rows,
        "cells": cells,
        "behaviours": [
            {
                "behaviour": name,
                "share_before": 0.1 * i,
                "share_after": 0.07 * i + 0.05 * (i > 0),
                "difference": estimate(0.05 - 0.03 * i),
                "accuracy_before": 0.4 if i else None,
                "accuracy_after": 0.6 if i else None,
                "without_before": 0.38,
                "without_after": 0.55,
                "part": estimate(0.002),
                "rest": estimate(gain - 0.002),
            }
            for i, name in enumerate(BEHAVIOURS)
        ],
        "passk": [
            {
                "k": k,
                "before": estimate(1 - 0.6**k),
                "after": estimate(1 - 0.45**k),
                "difference": estimate(0.6**k - 0.45**k),
                "together": {
                    "before": estimate(1 - 0.6**k),
                    "after": estimate(1 - 0.45**k),
                    "difference": estimate(0.6**k - 0.45**k),
                },
            }
            for k in (1, 2, 4, 8)
        ],
        "flips": _flips(shares, rates, strategies),
        "label_error": {
            "sensitivity": {
                "lead": lead,
                "selection": estimates["selection"],
                "limit": 0.3,
                "tried": 9,
                "sentence": "A label error of 12% in one direction would change the verdict.",
                "changes": [
                    label_change("random", "4% of all labels were wrong", None),
                    label_change("pair", "12% of 'cases' were truly 'worked_out'", 0.12),
                ],
            }
        },
        "robustness": [
            {"change": f"merge {one} and {two}", "lead": lead, **estimates}
            for one, two in combinations(strategies[:4], 2)
        ]
        + [{"change": "merge all named strategies", "lead": "undecided", **estimates}],
        "verdict": {
            "sentence": f"In these logs accuracy {verb} by {abs(100 * gain):.1f} points, more by {lead}: "
            f"selection added {100 * terms['selection']:.1f} points and improvement "
            f"{100 * terms['improvement']:.1f} points. "
            "Answers grew from 812 to 1204 tokens.",
            "action": "raise the RL difficulty",
            "evidence": [
                "Choice is exhausted and execution still weak.",
                "Under 7 other groupings of strategies the lead is the same in 6.",
                "What caused this, logs cannot show.",
            ],
            "key": [
                "Answers grew from 812 to 1204 tokens.",
                "3.1 of the 12.3 points (1.1 to 5.1) are answer format: 31.2% of responses before and 2.4% after.",
            ],
            "aim": "Of the 41.2 points still to be won, 21.5 lie in math500 (31.3% right).",
        },
    }


def _flips(shares: np.ndarray, rates: np.ndarray, strategies: tuple[str, ...]) -> dict[str, Any]:
    """As if a problem's responses before and after knew nothing of each other but the stratum."""
    right, wrong = shares * rates, shares * (1 - rates)
    pairs = np.einsum("gs,gt->st", shares[0], shares[1]) / len(shares[0])
    down, up, both, neither = (
        np.einsum("gs,gt->st", a, b) / len(shares[0])
        for a, b in ((right[0], wrong[1]), (wrong[0], right[1]), (right[0], right[1]), (wrong[0], wrong[1]))
    )
    return {
        "right_to_wrong": estimate(float(down.sum())),
        "wrong_to_right": estimate(float(up.sum())),
        "right_both": float(both.sum()),
        "wrong_both": float(neither.sum()),
        "better": 211,
        "worse": 67,
        "same": 122,
        "transitions": [
            {"before": one, "after": other, "share": float(pairs[s, t])}
            | {"right_to_wrong": float(down[s, t]), "wrong_to_right": float(up[s, t])}
            for s, one in enumerate(strategies)
            for t, other in enumerate(strategies)
        ],
    }


def label_change(kind: str, text: str, lead_at: float | None) -> dict[str, Any]:
    nowhere = dict.fromkeys(("side", "outcome", "label", "truth", "zero_at"))
    return {"kind": kind, "share": 1.0, "lead_at": lead_at, "text": text, **nowhere}


def typed(diagnosis: dict[str, Any]) -> Findings:
    """A diagnosis as `diagnose` returns it."""
    return msgspec.convert(diagnosis, Findings)


def undefined(part: Any) -> Any:
    """The same part of a result with every number gone that may be undefined."""
    if isinstance(part, tuple):
        return tuple(map(undefined, part))
    if not isinstance(part, Result):
        return part
    hints = get_type_hints(type(part), include_extras=True)
    return msgspec.structs.replace(
        part,
        **{
            name: math.nan if hints[name] == Real else undefined(getattr(part, name))
            for name in part.__struct_fields__
        },
    )


def rollouts(
    diagnosis: dict[str, Any], problems: int = 30, samples: int = 4, text: str | None = None, seed: int = 1
) -> pl.DataFrame:
    """A labelled sample, in which `text` is every completion where it is given."""
    rng = np.random.default_rng(seed)
    by = diagnosis["by"]
    names = [row["strategy"] for row in diagnosis["comparisons"][0]["strategies"]]
    rows: list[dict[str, Any]] = []
    for side in range(len(diagnosis["sides"])):
        for problem in range(problems):
            for sample in range(samples):
                a, b = problem + 2, 3 * problem + 5
                strategy = str(rng.choice(names))
                right = bool(rng.random() < 0.3 + 0.2 * side)
                said = (
                    f"Let x be the number of apples. Then x + {a} = {a + b}.\nSo x = {b if right else b + 1}."
                )
                completion = said + f"\n\nCheck: {b} + {a} = {a + b}.\n\\boxed{{{b if right else b + 1}}}"
                marks = [[0, 30, strategy], [completion.index("Check"), len(said) + 10, "verification"]]
                rows.append(
                    {
                        "side": side,
                        "problem_id": f"problem-{problem:03d}",
                        "sample": sample,
                        **{
                            name: str(diagnosis["comparisons"][0]["strata"][problem % 3]["stratum"].get(name))
                            for name in by
                        },
                        "prompt": f"Please reason step by step. Question {problem}: what is {a + b} minus {a}?",
                        "completion": completion if text is None else text,
                        "score": float(right),
                        "strategy": strategy,
                        "evidence": json.dumps({"marks": marks if text is None else [[0, 5, strategy]]}),
                        "behaviours": ["verification"] if rng.random() < 0.4 else [],
                        "finish_reason": "length" if strategy == "truncated" else "stop",
                        "length": len(completion),
                    }
                )
    return pl.DataFrame(rows, schema_overrides={"behaviours": pl.List(pl.String), "side": pl.Int32})


if __name__ == "__main__":
    from stratagem.report.diagnosis import render

    made = make(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    Path(sys.argv[1]).write_text(render(typed(made), rollouts(made)), encoding="utf-8")
