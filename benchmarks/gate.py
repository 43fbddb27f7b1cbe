"""Whether a base model can play its part: what SFT on 2-5 steps makes of it, on longer problems.

    python benchmarks/gate.py              # the shipped base
    python benchmarks/gate.py runs/base    # another, from `stratagem base train --out runs/base`

SFT of F, B and FB as in Table 1 (preset quick, seed 0), then four samples of each of 480 problems of the RL split at
2-5, 6-9 and 10-15 steps; no problem of the evaluation is looked at. The gate: at 6-9 steps the suited strategy is
right on 30-95% of problems, F in evaluation and B in inversion, so that RL has something to improve and something to
begin with; and FB goes forward on about half of either type.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from stratagem.studies.config import read_study

from stratagem.models.folder import SHIPPED, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.sampling.native import generate, token_limit
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import KINDS
from stratagem.tasks.finite_field.field import STRATEGIES
from stratagem.training import sft

TASK, PROBLEMS, SAMPLES, LOW, HIGH = FiniteField(11), 480, 4, 30, 95


def answered(model: Path, steps: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """By type of problem: percent right, and percent of responses that begin forward."""
    network, tokenizer = load_model(model)
    problems = sorted(TASK.generate("rl", PROBLEMS, steps, seed=7), key=lambda one: one.difficulty)
    found = generate(
        network,
        [encode(tokenizer, one.prompt) for one in problems],
        samples=SAMPLES,
        max_new=token_limit(TASK, steps[1]),
        temperature=0.7,
        generator=torch.Generator().manual_seed(1),
    )
    texts = [tokenizer.decode(one.ids, skip_special_tokens=True).lstrip() for one in found]
    rows = [
        (problem.kind, TASK.verify(problem, text), text.startswith(STRATEGIES["forward"].OPENING))
        for problem, text in zip((one for one in problems for _ in range(SAMPLES)), texts, strict=True)
    ]
    return {
        kind: (
            100 * float(np.mean([right for k, right, _ in rows if k == kind])),
            100 * float(np.mean([forward for k, _, forward in rows if k == kind])),
        )
        for kind in KINDS
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", nargs="?", type=Path, default=SHIPPED)
    base = model_folder(parser.parse_args().base)
    torch.set_num_threads(1)
    study = read_study()
    print("right % [forward %]       " + "".join(f"{kind:>22}" for kind in KINDS))
    gate: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        for strategy in study.strategies:
            model = sft.train(study.sft("quick", strategy, 0), Path(place) / strategy, base) / "model"
            for steps in ((2, 5), (6, 9), (10, 15)):
                found = answered(model, steps)
                cells = "".join(f"{right:>14.1f} [{forward:5.1f}]" for right, forward in found.values())
                print(f"{strategy:<3} {steps[0]:>2}-{steps[1]:<2} steps            {cells}", flush=True)
                if steps == (6, 9):
                    gate |= {f"{strategy} {kind}": value for kind, (value, _) in found.items()}
    for name in ("F evaluation", "B inversion"):
        passed = LOW <= gate[name] <= HIGH
        print(f"{name} {gate[name]:.1f}%: {'within' if passed else 'OUTSIDE'} {LOW}-{HIGH}%")


if __name__ == "__main__":
    main()
