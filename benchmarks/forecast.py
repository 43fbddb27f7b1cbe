"""How well the course of selection is forecast from the policy that RL starts from, over the runs of finished studies.

    python benchmarks/forecast.py out/table1 out/amplification out/difficulty --fit table1 --out runs/forecast

For every RL stage that starts from several strategies: 480 problems of the RL split at the stage's lengths, 8 responses
each by its start, give shares and accuracies by type and length; gradients of the choice on 48 problems a type give how
far an update on one type moves the other (`coupling`). `stratagem.forecast` makes the course of the shares of them. Its
rate is fitted on the runs of one study; the others are judged: root mean square error of shares by type, strategy and
window of ten updates, beside "nothing changes" and "all to the best of each type".
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from stratagem.forecast import course
from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.sampling.native import generate, token_limit
from stratagem.tasks import Task, make_task, read_mix
from stratagem.workspace import read_json, write_json

PROBLEMS, SAMPLES, PROBED, WINDOW, LEAST_SHARE = 480, 8, 48, 10, 0.02
LR = 3e-4  # to which the rate belongs; steps of Adam grow with the learning rate
Floats = NDArray[np.float64]
Cells = list[list[Any]]  # kind, difficulty, strategy, responses, right ones


@dataclass(frozen=True)
class Run:
    """An RL stage: where it starts, its settings, and what it was seen to do by window, type and strategy."""

    study: str
    name: str
    key: str
    start: Path
    settings: dict[str, Any]
    seen_ukt: Floats  # windows x kinds x strategies
    shares_tk: Floats
    accuracies_tk: Floats
    weights_t: Floats
    coupling_tt: Floats
    kinds_t: tuple[int, ...]

    def forecast(self, rate: float) -> Floats:
        """Shares by window, type and strategy: of each window's middle."""
        windows = len(self.seen_ukt)
        path = course(
            self.shares_tk,
            self.accuracies_tk,
            self.weights_t,
            self.coupling_tt,
            (np.arange(windows, dtype=np.float64) + 0.5) * WINDOW,
            group=self.settings["group"],
            rate=rate * self.settings["lr"] / LR,
            beta=self.settings["beta"],
            scale=self.settings["scale"],
        )
        return self.by_kind(path)

    def by_kind(self, path_utk: Floats) -> Floats:
        kinds = sorted(set(self.kinds_t))
        of_kind = [np.array(self.kinds_t) == kind for kind in kinds]
        return np.stack(
            [
                np.einsum(
                    "t,utk->uk", self.weights_t[chosen] / self.weights_t[chosen].sum(), path_utk[:, chosen]
                )
                for chosen in of_kind
            ],
            axis=1,
        )

    @property
    def unchanged(self) -> Floats:
        start = self.by_kind(self.shares_tk[None])
        return np.repeat(start, len(self.seen_ukt), 0)

    @property
    def to_the_best(self) -> Floats:
        used = np.where(self.shares_tk >= LEAST_SHARE, self.accuracies_tk, -1)
        right = self.by_kind(used[None])[0]
        best = np.eye(right.shape[1])[right.argmax(1)]
        return np.repeat(best[None], len(self.seen_ukt), 0)


def answered(task: Task, model: Path, steps: tuple[int, int], temperature: float, kept: Path) -> Cells:
    """Counts of the start's responses, by (kind, difficulty, strategy)."""
    if kept.exists():
        return read_json(kept)
    network, tokenizer = load_model(model)
    problems = sorted(task.generate("rl", PROBLEMS, steps, seed=11), key=lambda problem: problem.difficulty)
    generations = generate(
        network,
        [encode(tokenizer, problem.prompt) for problem in problems],
        samples=SAMPLES,
        max_new=token_limit(task, steps[1]),
        temperature=temperature,
        generator=torch.Generator().manual_seed(1),
    )
    n: Counter[tuple[str, int, str]] = Counter()
    right: Counter[tuple[str, int, str]] = Counter()
    for place, generation in enumerate(generations):
        problem = problems[place // SAMPLES]
        text = tokenizer.decode(generation.ids, skip_special_tokens=True)
        cell = (
            problem.kind,
            problem.difficulty,
            task.label(problem, text, generation.finish_reason).strategy,
        )
        n[cell] += 1
        right[cell] += int(task.verify(problem, text))
    cells = [[*cell, n[cell], right[cell]] for cell in sorted(n)]
    write_json(kept, cells)
    return cells


def coupling(task: Task, model: Path, steps: tuple[int, int], temperature: float, kept: Path) -> Floats:
    """How far an update on one type moves the choice on another: kinds x kinds, 1 on the diagonal.

    The cosine of the types' mean gradients of the log odds of the first two openings, each weight's gradient divided by
    its root mean square over problems, as Adam divides it, to the power of a half on each side.
    """
    if kept.exists():
        return np.array(read_json(kept))
    network, tokenizer = load_model(model)
    parameters = [weight for weight in network.parameters() if weight.requires_grad]
    first, second = (
        encode(tokenizer, strategy.OPENING)[-1] for strategy in list(task.strategies.values())[:2]
    )
    problems = task.generate("rl", PROBED * len(task.kinds), steps, seed=12)
    gradients: list[torch.Tensor] = []
    for problem in problems:
        logits = network.logits(network.hidden(torch.tensor([encode(tokenizer, problem.prompt)])))[0, -1]
        parts = torch.autograd.grad(
            (logits[first] - logits[second]) / temperature, parameters, allow_unused=True
        )
        zeros = (
            torch.zeros_like(weight) if part is None else part
            for part, weight in zip(parts, parameters, strict=True)
        )
        gradients.append(torch.cat([part.flatten() for part in zeros]).detach())
    all_pg = torch.stack(gradients)
    all_pg /= (all_pg.square().mean(0).sqrt() + 1e-12).sqrt()
    halves = [
        [
            all_pg[[i for i, problem in enumerate(problems) if problem.kind == kind][half::2]].mean(0)
            for half in (0, 1)
        ]
        for kind in task.kinds
    ]
    # Within a type over two halves of its problems: else noise would be taken for what they share.
    products = np.array([[float(a[0] @ b[1] + a[1] @ b[0]) / 2 for b in halves] for a in halves])
    scale = np.sqrt(np.abs(np.diag(products)))
    coupled = np.clip(products / np.outer(scale, scale), 0, 1)
    np.fill_diagonal(coupled, 1)
    write_json(kept, coupled.tolist())
    return coupled


def read_run(folder: Path, study: str, starts: dict[str, Path], out: Path, coupled: str) -> Run | None:
    """A finished RL stage; None where its start uses one strategy alone."""
    config = json.loads((folder / "config.json").read_text())
    settings = config["settings"]
    start = starts[settings["model"]]
    task, steps = make_task(settings["task"]), tuple(settings["steps"])
    place = f"{settings['model']}_{steps[0]}-{steps[1]}_{settings['temperature']}"
    cells = answered(task, start, steps, settings["temperature"], out / f"start_{place}.json")
    names = [*task.strategies, *sorted({cell[2] for cell in cells} - set(task.strategies))]
    strata = sorted({(kind, difficulty) for kind, difficulty, *_ in cells})
    n, right = np.zeros((2, len(strata), len(names)))
    for kind, difficulty, strategy, responses, correct in cells:
        at = strata.index((kind, difficulty)), names.index(strategy)
        n[at], right[at] = responses, correct
    used = (n.sum(0) / n.sum())[: len(task.strategies)] >= LEAST_SHARE
    if used.sum() < 2:
        return None
    kinds = list(task.kinds)
    kinds_t = tuple(kinds.index(kind) for kind, _ in strata)
    of_kinds = {"same": np.ones((len(kinds), len(kinds))), "apart": np.eye(len(kinds))}.get(coupled)
    if of_kinds is None:
        of_kinds = coupling(task, start, steps, settings["temperature"], out / f"coupling_{place}.json")
    mix = read_mix(settings["mix"], task) or [1.0] * len(kinds)
    weights = np.array([mix[kind] for kind in kinds_t]) * n.sum(1)
    seen: dict[int, Floats] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        counts = seen.setdefault((row["update"] - 1) // WINDOW, np.zeros((len(kinds), len(names))))
        for kind, _, strategy, responses, _ in row["cells"]:
            if strategy in names:
                counts[kinds.index(kind), names.index(strategy)] += responses
    seen_ukt = np.array([counts / counts.sum(1, keepdims=True) for _, counts in sorted(seen.items())])
    return Run(
        study,
        f"{folder.parent.name}/{folder.name}",
        config["key"],
        start,
        settings,
        seen_ukt,
        n / n.sum(1, keepdims=True),
        np.where(n > 0, right / np.maximum(n, 1), 0),
        weights / weights.sum(),
        of_kinds[np.ix_(kinds_t, kinds_t)],
        kinds_t,
    )


def read_runs(folders: list[Path], out: Path, coupled: str) -> list[Run]:
    runs: dict[str, Run] = {}
    for study in folders:
        for home in sorted(study.glob("seed*")):
            arms = [path.parent for path in sorted(home.glob("*/config.json"))]
            starts = {
                fingerprint(model_folder(arm)): arm / "model" for arm in arms if (arm / "model").is_dir()
            }
            for arm in arms:
                if (arm / "metrics.jsonl").exists() and read_json(arm / "config.json")["stage"] == "rl":
                    run = read_run(arm, study.name, starts, out, coupled)
                    if run is not None:
                        runs.setdefault(run.key + run.settings["model"], run)
    return list(runs.values())


def rmse(runs: list[Run], told: list[Floats]) -> float:
    """Each run counts alike."""
    return float(
        np.sqrt(np.mean([np.mean((a - run.seen_ukt) ** 2) for run, a in zip(runs, told, strict=True)]))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--fit", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/forecast"))
    parser.add_argument("--coupling", choices=("measured", "same", "apart"), default="measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    runs = read_runs(given.studies, given.out, given.coupling)
    fitted = [run for run in runs if run.study == given.fit]
    judged = [run for run in runs if run.study != given.fit]
    best = minimize_scalar(
        lambda log: rmse(fitted, [run.forecast(float(np.exp(log))) for run in fitted]),
        bounds=(-4, 4),
        method="bounded",
    )
    rate = float(np.exp(best.x))
    print(
        f"coupling {given.coupling}; rate {rate:.3f} logits an update, fitted on {len(fitted)} runs of {given.fit}"
    )
    for title, some in (("fitted", fitted), ("judged", judged)):
        if some:
            told = [run.forecast(rate) for run in some]
            print(
                f"{title} ({len(some)} runs): RMSE of shares {100 * rmse(some, told):.1f} points, nothing changes "
                f"{100 * rmse(some, [run.unchanged for run in some]):.1f}, all to the best "
                f"{100 * rmse(some, [run.to_the_best for run in some]):.1f}"
            )
    for run in runs:
        told, last = run.forecast(rate), run.seen_ukt[-1]
        print(
            f"{run.study} {run.name}: RMSE {100 * rmse([run], [told]):.1f} ({100 * rmse([run], [run.unchanged]):.1f}, "
            f"{100 * rmse([run], [run.to_the_best]):.1f}); first strategy at the end by type, told and seen: "
            + ", ".join(
                f"{100 * a:.0f} {100 * b:.0f}" for a, b in zip(told[-1, :, 0], last[:, 0], strict=True)
            )
        )


if __name__ == "__main__":
    main()
