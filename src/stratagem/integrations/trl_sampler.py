"""Prompts of TRL's GRPO drawn for expected signal (`samplers.Frontier`): a trainer in the place of GRPOTrainer.

    trainer = FrontierTrainer(model, is_right, args, dataset, by=("level",))

A sampler of one's own breaks GRPO, since TRL's repeats each prompt for its group and over processes, and since a data
loader has drawn the next prompts before the last ones are answered. So the data loader stays what it is, and the rows
that it hands over are replaced when completions are about to be generated: every process draws the same prompts from
the same rewards, repeats each for its group and takes its part of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import IterableDataset  # pyright: ignore[reportMissingImports]
from transformers import TrainerCallback
from trl import GRPOTrainer  # pyright: ignore

from stratagem.limits import check_number
from stratagem.records import StratagemError
from stratagem.samplers import Frontier
from stratagem.workspace import read_json, write_json

log = logging.getLogger(__name__)
STATE = "stratagem_sampler.json"
MOST_STRATA = 20  # of which each pass rate is logged


class FrontierSampling:
    """To be mixed into a GRPOTrainer, before it.

    Args:
        by: columns of the data set; prompts alike in them are a stratum, from which comes what is not known of one.
        keep: columns, such as the domain, whose values keep their shares of the data set in every generation.
        correct: from a reward (the weighted sum, where there are several functions) to correctness in [0, 1].
        explore, floor, half_life: as of `Frontier`; an update is one generation of completions.

    Each log has ``sampler/no_signal`` (share of groups whose responses are all right or all wrong),
    ``sampler/flat_tokens`` (share of tokens in them), ``sampler/own_time`` (part of an update that this took) and,
    with `by`, ``sampler/pass_rate/STRATUM``. What the sampler knows is saved with each checkpoint; a run that resumes
    where a generation ended asks the prompts that it would have asked.

    Raises:
        StratagemError: the data set streams or has too few prompts or no such column, or a number is out of its limits.
    """

    def __init__(
        self,
        *given: Any,
        by: Sequence[str] = (),
        keep: Sequence[str] = (),
        correct: Callable[[float], float] | None = None,
        explore: float = 0.1,
        floor: float = 0.25,
        half_life: float = 30,
        **named: Any,
    ) -> None:
        for name, value in (("explore", explore), ("floor", floor), ("half_life", half_life)):
            check_number(name, value)
        super().__init__(*given, **named)
        trainer: Any = self
        data, args = trainer.train_dataset, trainer.args
        if isinstance(data, IterableDataset):
            raise StratagemError(
                "FrontierTrainer: the data set streams; prompts are drawn from one of known length"
            )
        self.asked_at_once = args.generation_batch_size // trainer.num_generations
        if len(data) < self.asked_at_once:
            raise StratagemError(
                f"FrontierTrainer: {len(data)} prompts; a generation asks {self.asked_at_once} different ones"
            )
        if missing := [name for name in (*by, *keep) if name not in data.column_names]:
            raise StratagemError(
                f"FrontierTrainer: the data set has no column {missing[0]!r}; it has {', '.join(data.column_names)}"
            )
        strata, self.strata = grouped(data, by)
        self.correct = correct
        self.sampler = Frontier(
            len(data),
            trainer.num_generations,
            seed=args.seed,
            strata=strata,
            kinds=grouped(data, keep)[0],
            explore=explore,
            floor=floor,
            half_life=half_life,
        )
        self.generation = 0
        self.asked: list[int] = []  # prompts of the generation that is under way
        self._own_s, self._returned = 0.0, 0.0
        trainer.add_callback(Saved(self))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        trainer: Any = self
        above: Any = super()
        if not trainer.model.training:
            return above._generate_and_score_completions(inputs)
        began = time.perf_counter()
        self.asked = self.sampler.draw(self.generation, self.asked_at_once)
        repeated = [row for row in self.asked for _ in range(trainer.num_generations)]
        first = trainer.accelerator.process_index * len(inputs)
        mine = [trainer.train_dataset[row] for row in repeated[first : first + len(inputs)]]
        self._own_s = time.perf_counter() - began
        scored = above._generate_and_score_completions(mine)
        self.generation += 1
        return scored

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], ids: list[list[int]]
    ) -> Any:
        """The rewards of all processes, a row a completion, in the order of the repeated prompts."""
        trainer: Any = self
        above: Any = super()
        rewards = above._calculate_rewards(inputs, prompts, completions, ids)
        if trainer.model.training:
            lengths = torch.tensor([len(each) for each in ids], device=trainer.accelerator.device)
            self._observe(rewards, trainer.accelerator.gather(lengths))
        return rewards

    def _observe(self, rewards: torch.Tensor, lengths: torch.Tensor) -> None:
        began = time.perf_counter()
        trainer: Any = self
        group = trainer.num_generations
        totals = (rewards * trainer.reward_weights.to(rewards.device)).nansum(1).tolist()
        scores = totals if self.correct is None else [float(self.correct(total)) for total in totals]
        if self.generation == 0 and (wrong := [score for score in scores if not 0 <= score <= 1]):
            raise StratagemError(
                f"a reward is {wrong[0]:g}, no number in [0, 1]: give FrontierTrainer a `correct` function, such as "
                "correct=lambda reward: float(reward > 0)"
            )
        scores_CG = torch.tensor(scores, dtype=torch.float64).clamp(0, 1).view(-1, group)
        self.sampler.observe(self.generation, self.asked, scores_CG.sum(1).tolist(), group)
        flat_C = (scores_CG == scores_CG[:, :1]).all(1)
        tokens_C = lengths.cpu().view(-1, group).sum(1)
        measures = {
            "no_signal": flat_C.double().mean().item(),
            "flat_tokens": (tokens_C[flat_C].sum() / tokens_C.sum().clamp(min=1)).item(),
        }
        if 1 < len(self.strata) <= MOST_STRATA:
            of = self.sampler.strata[self.asked]
            measures |= {
                f"pass_rate/{self.strata[stratum]}": scores_CG[of == stratum].mean().item()
                for stratum in set(of.tolist())
            }
        now = time.perf_counter()
        own = self._own_s + now - began
        if self._returned:
            measures["own_time"] = own / (now - self._returned)
        self._returned = now
        for name, value in measures.items():
            trainer._metrics["train"][f"sampler/{name}"].append(value)


class FrontierTrainer(FrontierSampling, GRPOTrainer):
    """A GRPOTrainer whose prompts are drawn for expected signal: `FrontierSampling` has its further arguments."""


def grouped(data: Any, columns: Sequence[str]) -> tuple[list[int], list[str]]:
    """The number of each row's group, of those alike in some columns, and the groups' names."""
    numbers: dict[str, int] = {}
    rows = zip(*(data[name] for name in columns), strict=True) if columns else [()] * len(data)
    of = [numbers.setdefault("/".join(map(str, row)), len(numbers)) for row in rows]
    return of, list(numbers)


class Saved(TrainerCallback):
    """Keeps what the sampler knows beside each checkpoint."""

    def __init__(self, sampling: FrontierSampling) -> None:
        self.sampling = sampling

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            own = {**self.sampling.sampler.state(), "generation": [self.sampling.generation]}
            write_json(folder / STATE, own)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """After a resume, go on from what the checkpoint holds."""
        if not state.global_step:
            return
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE
        if not saved.is_file():
            log.warning("%s: no such file; the sampler begins anew", saved)
            return
        own = read_json(saved)
        self.sampling.sampler.restore(own)
        self.sampling.generation = int(own["generation"][0])
