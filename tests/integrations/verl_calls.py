"""How verl calls a reward function and writes what comes of it, read off 0.9.0 and run with 0.8.0 and 0.9.1.

`STAND_IN` does the same as its sources and is run everywhere; `REAL` drives its own NaiveRewardManager,
process_validation_metrics and the writers of both trainers, where it is installed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Function = Callable[..., Any]
Row = dict[str, Any]  # data_source, ground_truth, extra_info, solution
HERE = find_spec("verl") is not None
INSTALLED = pytest.mark.skipif(not HERE, reason="verl is not installed")
QUIET = pytest.mark.filterwarnings(
    "ignore"
)  # verl and what it imports warn, of parts that are not installed too


def bound(function: Function) -> Function:
    """As trainer/ppo/reward.py, `get_custom_reward_fn`, binds `reward_kwargs`."""

    async def later(raw: Function, extra: dict[str, Any], **arguments: Any) -> Any:
        return await raw(**{**arguments, **extra})

    def now(raw: Function, extra: dict[str, Any], **arguments: Any) -> Any:
        return raw(**{**arguments, **extra})

    return partial(later if inspect.iscoroutinefunction(function) else now, function, {})


class STAND_IN:
    """The calling convention, from its sources."""

    @staticmethod
    def extra(function: Function, rows: Sequence[Row]) -> list[tuple[float, dict[str, Any]]]:
        """`NaiveRewardManager.run_single` for each row: reward and reward_extra_info."""
        compute = bound(function)

        async def one(row: Row) -> tuple[float, dict[str, Any]]:
            info = dict(row["extra_info"]) | {"num_turns": None, "rollout_reward_scores": {}}
            arguments = {"data_source": row["data_source"], "solution_str": row["solution"]}
            arguments |= {"ground_truth": row["ground_truth"], "extra_info": info}
            if inspect.iscoroutinefunction(compute):
                result = await compute(**arguments)
            else:
                result = await asyncio.get_running_loop().run_in_executor(None, lambda: compute(**arguments))
            if isinstance(result, dict):
                return result["score"], dict(result)
            return result, {"acc": result}

        async def every() -> list[tuple[float, dict[str, Any]]]:
            return list(await asyncio.gather(*(one(row) for row in rows)))

        return asyncio.run(every())

    @staticmethod
    def write(
        folder: Path, step: int, rows: Sequence[Row], scores: Sequence[float], extra: dict[str, list[Any]]
    ) -> None:
        """`_write_generations` of either trainer."""
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{step}.jsonl", "w") as file:
            for i, row in enumerate(rows):
                entry = {
                    "input": row["extra_info"]["question"],
                    "output": row["solution"],
                    "gts": row["ground_truth"],
                }
                entry |= {
                    "score": scores[i],
                    "step": step,
                    **{name: values[i] for name, values in extra.items()},
                }
                file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")


class Characters:
    """A tokenizer of characters."""

    @staticmethod
    def decode(ids: Any, **_: Any) -> str:
        return "".join(chr(int(one)) for one in ids)


def response(row: Row, ids: Sequence[int]) -> Any:
    """A response as verl hands it to a reward manager, a DataProto; `row` is as in its data set or as a `Row` here."""
    import torch
    from verl import DataProto

    tokens = torch.tensor([list(ids)])
    fields = {
        "data_source": row["data_source"],
        "reward_model": row.get("reward_model") or {"ground_truth": row["ground_truth"]},
        "extra_info": dict(row["extra_info"]),
    }
    return DataProto.from_dict(
        tensors={"responses": tokens, "attention_mask": torch.ones_like(tokens)},
        non_tensors={name: np.array([value], dtype=object) for name, value in fields.items()},
    )


def trainer(which: str) -> Any:
    """The class of verl's older trainer, v0, or of v1, which 0.9 has beside it."""
    if which == "v0":
        from verl.trainer.ppo.ray_trainer import RayPPOTrainer

        return RayPPOTrainer
    return pytest.importorskip(
        "verl.trainer.ppo.v1.trainer_sync", reason="verl before 0.9 has no v1 trainer"
    ).PPOTrainerSync


class REAL:
    """verl itself."""

    @staticmethod
    def extra(function: Function, rows: Sequence[Row]) -> list[tuple[float, dict[str, Any]]]:
        from omegaconf import OmegaConf
        from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

        async def every() -> list[tuple[float, dict[str, Any]]]:
            manager = NaiveRewardManager(OmegaConf.create({}), Characters(), bound(function))
            rewarded = []
            for row in rows:
                result = await manager.run_single(response(row, [ord(c) for c in row["solution"]]))
                rewarded.append((result["reward_score"], result["reward_extra_info"]))
            return rewarded

        return asyncio.run(every())

    @staticmethod
    def write(
        folder: Path, step: int, rows: Sequence[Row], scores: Sequence[float], extra: dict[str, list[Any]]
    ) -> None:

        inputs, outputs = [row["extra_info"]["question"] for row in rows], [row["solution"] for row in rows]
        gts = [row["ground_truth"] for row in rows]
        write = trainer("v1" if "uid" in extra else "v0")._write_generations
        write(inputs, outputs, gts, list(scores), extra, str(folder), step)


def dumped(extra: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What agent_loop.py, `_postprocess`, and the trainer make of the dicts: all have the keys of the first."""
    return {name: np.array([info[name] for info in extra]).tolist() for name in extra[0]}


def validation(sources: list[str], uids: list[str], extra: dict[str, list[Any]]) -> dict[str, float]:
    """Means of validation by name, as verl logs them: its own function where it is installed."""
    if HERE:
        from verl.trainer.ppo.metric_utils import process_validation_metrics

        metrics = process_validation_metrics(sources, uids, extra)
        return {
            f"{source}/{name}/{metric}": value
            for source, names in metrics.items()
            for name, metrics in names.items()
            for metric, value in metrics.items()
            if metric.startswith("mean@")
        }
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for i, (source, uid) in enumerate(zip(sources, uids, strict=True)):
        for name, values in extra.items():
            groups[source, uid, name].append(values[i])
    means: dict[str, list[float]] = defaultdict(list)
    for (source, _, name), values in groups.items():
        if not isinstance(values[0], str):
            means[f"{source}/{name}/mean@{len(values)}"].append(float(np.mean(values)))
    return {name: float(np.mean(values)) for name, values in means.items()}
