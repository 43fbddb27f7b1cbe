"""Prompts drawn for signal in verl itself, up to what needs a GPU: its config, data set, data loader, batches, reward
manager and checkpoints, by the trainers' own methods. Responses are made up, and no weights are trained."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.integrations.verl_sampler import ROW
from stratagem.records import StratagemError
from tests.integrations.tiny import tiny_qwen2
from tests.integrations.verl_calls import INSTALLED, QUIET, response, trainer

pytestmark = [INSTALLED, QUIET]
Started = Callable[..., "Run"]
Loop = asyncio.AbstractEventLoop
ROWS, BATCH, GROUP = 60, 6, 4
USERS_FILE = """
from verl.utils.dataset.rl_dataset import RLHFDataset
from stratagem.integrations.verl import labelled
from stratagem.integrations.verl_sampler import FrontierRows, reporting

class Prompts(FrontierRows, RLHFDataset):
    pass

def right(data_source, solution_str, ground_truth, extra_info, **_):
    return float(solution_str == ground_truth)

compute_score = reporting(labelled(right, lambda text: text[:1], by=("level",)), {folder!r})
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_qwen2(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def started(tmp_path: Path, tokenizer: Any) -> Iterator[Started]:
    """A run by one of verl's trainers, with these options beside."""
    loop = asyncio.new_event_loop()  # a reward manager keeps the loop that it is made in
    yield lambda which="v1", *overrides: Run(tmp_path, tokenizer, loop, which, *overrides)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


class Run:
    """A run of verl in a folder, as its entry point and then its trainer set it up."""

    def __init__(self, folder: Path, tokenizer: Any, loop: Loop, which: str, *overrides: str) -> None:
        from hydra import compose, initialize_config_module
        from verl.trainer.ppo.reward import load_reward_manager

        cls = trainer(which)  # or skip
        for name in ("train", "val"):
            if not (folder / f"{name}.parquet").exists():
                rows(name).write_parquet(folder / f"{name}.parquet")
        (folder / "prompts.py").write_text(USERS_FILE.format(folder=str(folder / "frontier")))
        with initialize_config_module("verl.trainer.config", version_base=None):
            config = compose(
                "ppo_trainer",
                overrides=[
                    f"data.train_files={folder}/train.parquet",
                    f"data.val_files={folder}/val.parquet",
                    f"data.train_batch_size={BATCH}",
                    "data.filter_overlong_prompts=true",
                    f"data.custom_cls.path={folder}/prompts.py",
                    "data.custom_cls.name=Prompts",
                    "data.dataloader_num_workers=0",
                    f"+data.frontier.folder={folder}/frontier",
                    f"+data.frontier.group={GROUP}",
                    "+data.frontier.by=[level]",
                    f"reward.custom_reward_function.path={folder}/prompts.py",
                    f"trainer.default_local_dir={folder}/checkpoints",
                    "trainer.total_epochs=9",
                    *overrides,
                ],
            )
        made = object.__new__(cls)  # its __init__ asks for processes with models
        made.config, made.tokenizer, made.processor, made.use_critic = config, tokenizer, None, False
        nothing = SimpleNamespace(
            save_checkpoint=lambda *_, **__: None, load_checkpoint=lambda *_, **__: None
        )
        made.actor_rollout_wg, made.global_steps = nothing, 0
        made.checkpoint_callback = SimpleNamespace(on_save=lambda *_, **__: None)
        if which == "v1":
            made.trainer_mode, made.parameter_sync_step = "sync", 1
            made._init_dataloader()
        else:
            made._create_dataloader(None, None, None, None)
            made.batches = endless(made)
        self.which, self.trainer, self.tokenizer = which, made, tokenizer
        self.loop = loop
        self.manager = loop.run_until_complete(later(lambda: load_reward_manager(config, tokenizer)))

    def batch(self) -> list[dict[str, Any]]:
        """The next step's prompts, with all that verl carries to a reward manager."""
        if self.which == "v0":
            from verl import DataProto

            batch = DataProto.from_single_dict(next(self.trainer.batches))
            return [dict(item.non_tensor_batch) for item in batch]
        batch = self.trainer._next_train_batch()
        # As trainer/ppo/v1/agent_loop_tq.py takes a prompt out of it.
        of_prompts = {name: values for name, values in batch.items() if hasattr(values, "tolist")}
        return [
            {name: getattr(values[i], "data", values[i]) for name, values in of_prompts.items()}
            for i in range(len(batch))
        ]

    def reward(self, row: dict[str, Any], text: str) -> dict[str, Any]:
        ids = self.tokenizer.encode(text)
        return self.loop.run_until_complete(self.manager.run_single(response(row, ids)))

    def step(self, number: int) -> list[int]:
        """A step without its update of weights. Level 0 is never right, level 2 always, level 1 half of the time."""
        rng = np.random.default_rng(number)
        prompts = self.batch()
        for row in prompts:
            for _ in range(GROUP):
                right = rng.random() < row["extra_info"]["level"] / 2
                given = self.reward(row, "yes" if right else "no")
                assert given["reward_score"] == given["reward_extra_info"]["acc"] == right
                assert given["reward_extra_info"]["strategy"] == ("y" if right else "n")
        self.trainer.global_steps += 1
        return [row["extra_info"][ROW] for row in prompts]


async def later(make: Callable[[], Any]) -> Any:
    return make()


def endless(trainer: Any) -> Any:
    """Batches as the older trainer's `fit` iterates, epoch after epoch."""
    while True:
        yield from trainer.train_dataloader


def rows(split: str) -> pl.DataFrame:
    """A data set as verl's preprocessing writes them."""
    return pl.DataFrame(
        {
            "data_source": ["made up"] * ROWS,
            "prompt": [[{"role": "user", "content": f"{split} {i}?"}] for i in range(ROWS)],
            "reward_model": [{"style": "rule", "ground_truth": "yes"}] * ROWS,
            "extra_info": [{"split": split, "index": i, "level": i % 3} for i in range(ROWS)],
        }
    )


both = pytest.mark.parametrize("which", ["v0", "v1"])


@both
def test_it_finds_the_signal_over_epochs(tmp_path: Path, started: Started, which: str) -> None:
    """Ten steps are an epoch here; the loader is begun anew twice."""
    run = started(which)
    steps = [run.step(number) for number in range(30)]
    for asked in steps:
        assert len(set(asked)) == BATCH
    late = [row % 3 for asked in steps[15:] for row in asked]
    assert late.count(1) > 0.6 * len(late)
    written = [
        json.loads(line)
        for path in (tmp_path / "frontier").iterdir()
        for line in path.read_text().splitlines()
    ]
    assert [line["row"] for line in written] == [
        row for asked in steps for row in asked for _ in range(GROUP)
    ]


@both
def test_a_run_that_resumes_asks_what_the_straight_one_asks(started: Started, which: str) -> None:
    """By verl's own `_save_checkpoint` and `_load_checkpoint`, in the middle of an epoch."""
    straight = started(which)
    for number in range(13):
        straight.step(number)
    straight.trainer._save_checkpoint()
    lost = straight.step(13)  # the run is killed after this one
    resumed = started(which)
    resumed.trainer._load_checkpoint()
    assert resumed.trainer.global_steps == 13
    assert resumed.step(13) == lost
    for number in range(14, 25):  # over an epoch's end
        assert len(set(resumed.step(number))) == BATCH
    assert resumed.trainer.train_dataset.state_dict()["update"] == 25


def test_groups_drawn_anew_by_verls_dapo_are_drawn_for_signal_too(started: Started) -> None:
    """With filter_groups the v1 trainer fetches prompt by prompt."""
    run = started("v1", "algorithm.filter_groups.enable=true", "algorithm.filter_groups.metric=acc")
    assert run.trainer.config.data.gen_batch_size == 1
    first = run.step(0)
    (again,) = run.trainer._next_train_batch(1)["extra_info"]
    assert len(set(first)) == BATCH
    assert again[ROW] in range(ROWS)


def test_validation_is_left_alone(tmp_path: Path, started: Started) -> None:
    run = started()
    (batch,) = run.trainer.val_dataloader
    infos = list(batch["extra_info"])
    assert sorted(info["index"] for info in infos) == list(range(ROWS))
    assert not any(ROW in info for info in infos)
    row = {"data_source": "d", "ground_truth": "yes", "extra_info": infos[0]}
    assert run.reward(row, "yes")["reward_score"] == 1
    assert not (tmp_path / "frontier").exists()


def test_files_that_verl_copies_are_known_again(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of another machine, and with `use_shm`, are read from a copy; the prompts are still drawn for signal."""

    def copied(src: str, **_: Any) -> str:
        (tmp_path / "cache").mkdir(exist_ok=True)
        return str(shutil.copy(src, tmp_path / "cache"))

    monkeypatch.setattr("verl.utils.fs.copy_to_local", copied)
    run = started("v1")
    assert run.trainer.train_dataset.data_files != [f"{tmp_path}/train.parquet"]
    assert run.trainer.train_dataset.sampler is not None
    assert run.trainer.val_dataset.sampler is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+data.frontier.by=[grade]", "extra_info has no 'grade'; it has"),
        ("data.dataloader_num_workers=8", "dataloader_num_workers: has to be 0"),
        ("data.val_files=${data.train_files}", "data.val_files: are the files of training"),
    ],
)
def test_wrong_options_are_said(started: Started, override: str, said: str) -> None:
    with pytest.raises(StratagemError, match=said):
        started("v1", override.replace("+data.frontier.by", "data.frontier.by"))
