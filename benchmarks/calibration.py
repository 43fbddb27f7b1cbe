"""Whether a base model can play its part: what SFT on 2-5 steps makes of it, on longer problems. Fixed before any RL.

    python benchmarks/calibration.py BASE --out runs/calibration    # a folder, or a name that ships
    python benchmarks/calibration.py BASE --out … --further         # and how far five strategies and two parts carry
    python benchmarks/calibration.py --train runs/bases --wanted 5  # makes bases, seed by seed, until five pass
    python benchmarks/calibration.py --train runs/base4 --seed 4    # one of them

SFT of F, B and FB as in Table 1 (preset quick, seed 0), then four samples of each of 480 problems of the RL split at
6-9 steps; no problem of the evaluation is looked at. A base passes where its rows look like those of the study
(`CRITERIA`): F is nearly as good as it gets, B has much to gain, and FB chooses evenly and is above chance on both
types. What RL does with it is no part of this. Arms behind the first one that is outside are not trained.

With `--train` the number of updates belongs to what is calibrated: from FIRST on the base is tried every 100 updates
(`--every`), and its training ends at the first that passes. A seed that has not passed by LAST does not, nor one whose
B is above its limit, which later updates only raise.

Everything is kept in folders, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch

from stratagem.models.folder import load_model, model_folder, save_model, shipped_bases
from stratagem.models.transformer import Transformer
from stratagem.models.vocabulary import encode, make_tokenizer, vocabulary
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import BaseConfig, Precision, SFTConfig
from stratagem.studies.study import read_study
from stratagem.tasks import Task, make_task
from stratagem.tasks.finite_field.chain import EVALUATION, INVERSION, KINDS
from stratagem.training import base as base_stage
from stratagem.training import sft
from stratagem.workspace import read_json, write_json

PROBLEMS, SAMPLES, LENGTHS = 480, 4, ((2, 5), (6, 9), (10, 15))
PARTS = ((1, 1), (2, 2), (3, 5), (6, 8))
JUDGED = (6, 9)
FIRST, LAST, MOST_SEEDS = {"finite_field": 2200, "five_ways": 3600}, 6000, 24
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

GROWING = CRITERIA[1]


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
    passed = True
    for arm in study.tree.values():
        if arm.stage != "sft" or not passed:
            continue
        config = study.config("quick", arm, 0)
        assert isinstance(config, SFTConfig)
        mix = str(arm.settings["strategy"])
        rows = taught(task, mix, base, out, config, [JUDGED])[f"{JUDGED[0]}-{JUDGED[1]}"]
        values |= {f"{mix} {name}": value for name, value in rows.items()}
        for limit in CRITERIA:
            if limit.row.partition(" ")[0] == mix:
                value = values[limit.row]
                within = limit.low <= value <= limit.high
                passed &= within
                said = "within" if within else "OUTSIDE"
                print(f"{limit.row:<22} {value:5.1f}%: {said} {limit.low:g}-{limit.high:g}%", flush=True)
    write_json(out / RESULT, {"passed": passed, "rows": values})
    return passed


def sought(config: BaseConfig, place: Path, every: int) -> bool:
    """Train a base until it passes; `place` gets the base and each of its tries, so many updates apart. False where
    none has passed."""
    tokenizer = make_tokenizer(vocabulary(make_task(config.task)))

    def good(model: Transformer, updates: int) -> bool:
        first = FIRST[config.task]
        if updates < first or (updates - first) % every:
            return False
        tried = place / f"at{updates}"
        if not (tried / "model").exists():
            save_model(model, tokenizer, tried / "model")
        result = tried / RESULT
        if not result.exists():
            calibrate(tried / "model", tried)
        judged = read_json(result)
        print(
            f"seed {config.seed}, {updates:,} updates: {'passes' if judged['passed'] else 'does not pass'}",
            flush=True,
        )
        return judged["passed"] or judged["rows"].get(GROWING.row, 0) > GROWING.high

    base_stage.train(config, place / "base", good=good)
    return any(read_json(result)["passed"] for result in place.glob(f"at*/{RESULT}"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", nargs="?", type=Path, default=shipped_bases(make_task("finite_field"))[0])
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--further", action="store_true")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--task", default="finite_field", choices=FIRST)
    parser.add_argument("--precision", default="fp32", choices=get_args(Precision))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--every", type=int, default=100, help="updates between two tries")
    parser.add_argument("--wanted", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.train is not None:
        passed: list[int] = []
        seeds = range(MOST_SEEDS) if given.seed is None else [given.seed]
        for tried, seed in enumerate(seeds, 1):
            config = BaseConfig(task=given.task, updates=LAST, precision=given.precision, seed=seed)
            if sought(config, given.train / f"seed{seed}", given.every):
                passed.append(seed)
            print(f"{len(passed)} of {tried} passed ({', '.join(map(str, passed))})", flush=True)
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
