"""Whether a base model can play its part: what SFT on 2-5 steps makes of it, on longer problems. Fixed before any RL.

    python benchmarks/calibration.py BASE --out runs/calibration    # a folder, or a name that ships
    python benchmarks/calibration.py BASE --out … --further         # and how far five strategies and two parts carry
    python benchmarks/calibration.py --train runs/bases --wanted 5  # makes bases, seed by seed, until five pass

SFT of F, B and FB as in Table 1 (preset quick, seed 0), then four samples of each of 480 problems of the RL split at
2-5, 6-9 and 10-15 steps; no problem of the evaluation is looked at. A base passes where its rows look like those of the
study at 6-9 steps (`CRITERIA`): F is nearly as good as it gets, B has much to gain, and FB chooses evenly and is above
chance on both types. What RL does with it is no part of this.

Everything is kept in folders, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from stratagem.models.folder import load_model, model_folder, shipped_bases
from stratagem.models.vocabulary import encode
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import BaseConfig, SFTConfig
from stratagem.studies.study import read_study
from stratagem.tasks import Task, make_task
from stratagem.tasks.finite_field.chain import EVALUATION, INVERSION, KINDS
from stratagem.training import base as base_stage
from stratagem.training import sft
from stratagem.workspace import read_json, write_json

PROBLEMS, SAMPLES, LENGTHS = 480, 4, ((2, 5), (6, 9), (10, 15))
PARTS = ((1, 1), (2, 2), (3, 5), (6, 8))
UPDATES, MOST_SEEDS = 6000, 24
RESULT = "calibration.json"
Rows = Mapping[str, float]


class Limit(NamedTuple):
    """A row of SFT, what is taken of it, and between which percentages it has to lie."""

    row: str
    low: float
    high: float


CRITERIA = (
    Limit(f"F {EVALUATION} right", 85, 100),
    Limit(f"B {INVERSION} right", 25, 75),
    *(Limit(f"FB {kind} forward", 40, 60) for kind in KINDS),
    *(Limit(f"FB {kind} right", 20, 100) for kind in KINDS),
)


def answered(task: Task, model: Path, steps: tuple[int, int]) -> dict[str, float]:
    """By type of problem: percent right, and percent of responses that begin as each strategy does."""
    network, tokenizer = load_model(model)
    problems = sorted(task.generate("rl", PROBLEMS, steps, seed=7), key=lambda problem: problem.difficulty)
    generations = generate(
        network,
        [encode(tokenizer, problem.prompt) for problem in problems],
        samples=SAMPLES,
        max_new=token_limit(task, steps[1]),
        temperature=0.7,
        generator=torch.Generator().manual_seed(1),
    )
    texts = [tokenizer.decode(each.ids, skip_special_tokens=True).lstrip() for each in generations]
    asked = [problem for problem in problems for _ in range(SAMPLES)]
    rows: dict[str, float] = {}
    for kind in task.kinds:
        pairs = [(p, text) for p, text in zip(asked, texts, strict=True) if p.kind == kind]
        rows[f"{kind} right"] = 100 * float(np.mean([task.verify(p, text) for p, text in pairs]))
        for name, strategy in task.strategies.items():
            rows[f"{kind} {name}"] = 100 * float(
                np.mean([text.split()[:1] == [strategy.OPENING] for _, text in pairs])
            )
    return rows


def taught(
    task: Task,
    strategy: str,
    base: Path,
    out: Path,
    config: SFTConfig,
    lengths: Sequence[tuple[int, int]] = LENGTHS,
) -> dict[str, Rows]:
    """The rows of SFT on one strategy or mix, by steps."""
    folder = out / strategy
    model = sft.train(replace(config, task=task.spec, strategy=strategy), folder, base) / "model"
    done = folder / "rows.json"
    rows: dict[str, Rows] = read_json(done) if done.exists() else {}
    for steps in lengths:
        length = f"{steps[0]}-{steps[1]}"
        if length not in rows:
            rows[length] = answered(task, model, steps)
            write_json(done, rows)
        shown: list[str] = []
        for kind in task.kinds:
            begun = " ".join(f"{name} {rows[length][f'{kind} {name}']:.0f}" for name in task.strategies)
            shown.append(f"{kind} {rows[length][f'{kind} right']:5.1f} [{begun}]")
        print(f"{strategy:<10} {length:>5}  {'  '.join(shown)}", flush=True)
    return rows


def calibrate(base: Path, out: Path) -> bool:
    """Whether a base passes; the rows, and what they say, are printed and written to `out`."""
    study = read_study("table1")
    task = study.asked
    values: dict[str, float] = {}
    for arm in study.tree.values():
        if arm.stage == "sft":
            config = study.config("quick", arm, 0)
            assert isinstance(config, SFTConfig)
            mix = str(arm.settings["strategy"])
            rows = taught(task, mix, base, out, config)["6-9"]
            values |= {f"{mix} {name}": value for name, value in rows.items()}
    passed = True
    for limit in CRITERIA:
        value = values[limit.row]
        within = limit.low <= value <= limit.high
        passed &= within
        print(
            f"{limit.row:<22} {value:5.1f}%: {'within' if within else 'OUTSIDE'} {limit.low:g}-{limit.high:g}%"
        )
    write_json(out / RESULT, {"passed": passed, "rows": values})
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", nargs="?", type=Path, default=shipped_bases(make_task("finite_field"))[0])
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--further", action="store_true")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--wanted", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.train is not None:
        passed: list[int] = []
        for seed in range(MOST_SEEDS):
            config = BaseConfig(task="five_ways", updates=UPDATES, seed=seed)
            folder = base_stage.train(config, given.train / f"base{seed}")
            if calibrate(model_folder(folder), given.train / f"calibration{seed}"):
                passed.append(seed)
            print(
                f"seed {seed}: {len(passed)} of {seed + 1} passed ({', '.join(map(str, passed))})", flush=True
            )
            if len(passed) == given.wanted:
                break
        return
    base = model_folder(given.base)
    print("passes" if calibrate(base, given.out) else "does not pass")
    if given.further:
        study, task = read_study("table1"), make_task("five_ways")
        config = study.config("quick", next(iter(study.tree.values())), 0)
        assert isinstance(config, SFTConfig)
        for strategy in task.strategies:
            taught(task, strategy, base, given.out / "five_ways", config)
        composed = make_task("composition")
        taught(composed, "suited", base, given.out / "composition", replace(config, steps=(1, 2)), PARTS)


if __name__ == "__main__":
    main()
