"""verl's data set whose rows are drawn for signal, against a stand-in of RLHFDataset and of the trainer's loop; verl
itself is run in test_verl_trainer.py."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stratagem.integrations.verl_sampler import ROW, FrontierRows, reporting
from stratagem.records import StratagemError

GROUP, BATCH, ROWS = 4, 6, 60


class Rows(list[dict[str, Any]]):
    """What FrontierRows uses of a `datasets.Dataset`."""

    column_names = ("prompt", "extra_info")

    def select_columns(self, name: str) -> list[dict[str, Any]]:
        return [{name: row[name]} for row in self]


class RLHFDataset:
    """What FrontierRows uses of verl's: how it is made, its rows, and that each item is built anew."""

    def __init__(
        self, data_files: Any, tokenizer: Any, config: Any, processor: Any = None, max_samples: int = -1
    ):
        self.original_data_files = copy.deepcopy(data_files if isinstance(data_files, list) else [data_files])
        self.config = config
        self.dataframe = Rows(
            {"prompt": f"p{i}", "extra_info": {"index": i, "level": i % 3}} for i in range(ROWS)
        )

    def __len__(self) -> int:
        return len(self.dataframe)

    def __getitem__(self, item: int) -> dict[str, Any]:
        return dict(self.dataframe[item]) | {"raw_prompt": [], "index": item}


class Prompts(FrontierRows, RLHFDataset):
    pass


def made(place: Path, files: str = "train.parquet", **own: Any) -> Prompts:
    config = {
        "train_files": ["train.parquet"],
        "val_files": "val.parquet",
        "train_batch_size": BATCH,
        "dataloader_num_workers": 0,
        "seed": 3,
        "frontier": {"folder": str(place), "group": GROUP} | own,
    }
    return Prompts(data_files=files, tokenizer=None, processor=None, config=config, max_samples=-1)


def is_right(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict[str, Any], **_: Any
) -> float:
    return float(solution_str == "right")


def step(prompts: Prompts, score: Any, number: int) -> list[int]:
    """One step as the trainer makes it: a batch from the loader, a group each, the reward function for every response.

    Level 0 is never right, level 2 always, level 1 half of the time.
    """
    rng = np.random.default_rng(number)
    batch = [prompts[i] for i in range(BATCH)]  # whatever indices the loader has
    for row in batch:
        for _ in range(GROUP):
            right = rng.random() < row["extra_info"]["level"] / 2
            score(
                data_source="x",
                solution_str="right" if right else "wrong",
                ground_truth="",
                extra_info=row["extra_info"],
            )
    return [row["extra_info"][ROW] for row in batch]


@pytest.mark.parametrize("by", [[], ["level"]])
def test_it_finds_the_signal(tmp_path: Path, by: list[str]) -> None:
    prompts, score = made(tmp_path, by=by), reporting(is_right, tmp_path)
    steps = [step(prompts, score, number) for number in range(40)]
    for asked in steps:
        assert len(set(asked)) == BATCH
    late = [row % 3 for asked in steps[20:] for row in asked]
    assert late.count(1) > (0.6 if by else 0.45) * len(late)


def test_levels_keep_their_shares(tmp_path: Path) -> None:
    prompts, score = made(tmp_path, by=["level"], keep=["level"]), reporting(is_right, tmp_path)
    for number in range(10):
        assert sorted(row % 3 for row in step(prompts, score, number)) == [0, 0, 1, 1, 2, 2]


def test_rows_are_those_of_the_data_set_with_their_number(tmp_path: Path) -> None:
    prompts = made(tmp_path)
    row = prompts[0]
    number = row["extra_info"][ROW]
    assert row["prompt"] == f"p{number}"
    assert row["index"] == row["extra_info"]["index"] == number
    assert ROW not in prompts.dataframe[number]["extra_info"]


def test_a_state_goes_on_and_later_responses_are_not_read_again(tmp_path: Path) -> None:
    whole, score = made(tmp_path / "a"), reporting(is_right, tmp_path / "a")
    for number in range(10):
        step(whole, score, number)
    whole[0]  # in the middle of a batch
    state = json.loads(json.dumps(whole.state_dict()))
    rest = [whole[i]["extra_info"][ROW] for i in range(BATCH - 1)]
    for number in range(10, 14):
        step(whole, score, number)
    resumed = made(tmp_path / "a")
    resumed.load_state_dict(state)
    assert [resumed[i]["extra_info"][ROW] for i in range(BATCH - 1)] == rest
    before = resumed.sampler.right.copy()  # pyright: ignore
    resumed[0]
    assert (resumed.sampler.right <= before).all()  # pyright: ignore


def test_a_run_that_resumes_knows_the_last_update(tmp_path: Path) -> None:
    """Saved after an update's responses and before the next draw, which is that of the straight run."""
    straight, score = made(tmp_path), reporting(is_right, tmp_path)
    for number in range(3):
        step(straight, score, number)
    saved = json.loads(json.dumps(copy.deepcopy(straight).state_dict()))
    drawn = step(straight, score, 3)  # the copy was saved, so the straight run has taken nothing in early
    resumed = made(tmp_path)
    resumed.load_state_dict(saved)
    assert step(resumed, score, 3) == drawn


def test_a_line_that_is_under_way_waits(tmp_path: Path) -> None:
    prompts = made(tmp_path)
    path = tmp_path / "host-1.jsonl"
    path.write_text('{"row": 3, "right": 1.0}\n{"row": 4, "ri')
    prompts[0]
    assert prompts.sampler.right[3] == 1  # pyright: ignore
    with open(path, "a") as file:
        file.write('ght": 1.0}\n')
    for i in range(BATCH):
        prompts[i]
    assert prompts.sampler.right[4] == 1  # pyright: ignore


def test_validation_is_left_alone(tmp_path: Path) -> None:
    prompts = made(tmp_path, files="val.parquet")
    assert [prompts[i]["index"] for i in range(5)] == list(range(5))
    assert prompts.state_dict() == {}
    prompts.load_state_dict({})
    score = reporting(is_right, tmp_path)
    assert (
        score(data_source="x", solution_str="right", ground_truth="", extra_info=prompts[0]["extra_info"])
        == 1
    )
    assert not list(tmp_path.iterdir())


def test_rewards_are_handed_on_plain_and_async(tmp_path: Path) -> None:
    call: dict[str, Any] = {
        "data_source": "x",
        "solution_str": "",
        "ground_truth": "",
        "extra_info": {ROW: 5},
    }

    async def later(**_: Any) -> dict[str, Any]:
        return {"score": 3.0, "acc": 1.0}

    assert asyncio.run(reporting(later, tmp_path)(**call)) == {"score": 3.0, "acc": 1.0}
    shaped = reporting(lambda **_: -1.0, tmp_path, correct=lambda score: float(score > 0))
    assert shaped(**call) == -1
    assert [json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()] == [
        {"row": 5, "right": 1.0},
        {"row": 5, "right": 0.0},
    ]
    with pytest.raises(StratagemError, match="a score is -1, no number in"):
        reporting(lambda **_: -1.0, tmp_path)(**call)


def test_the_data_set_can_be_sent_to_another_process(tmp_path: Path) -> None:
    prompts = made(tmp_path)
    again = pickle.loads(pickle.dumps(prompts))
    assert [again[i]["index"] for i in range(9)] == [prompts[i]["index"] for i in range(9)]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"folder": ""}, "data.frontier.folder"),
        ({"grpup": 8}, "data.frontier.grpup: there are folder, group"),
        ({"explore": 3}, "explore 3: must be from 0 to 1"),
        ({"by": ["grade"]}, "extra_info has no 'grade'; it has index, level"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    with pytest.raises(StratagemError, match=said):
        made(tmp_path, **own)


def test_validation_on_the_files_of_training_is_refused(tmp_path: Path) -> None:
    config = {"train_files": ["a"], "val_files": "a", "frontier": {"folder": "x"}}
    with pytest.raises(StratagemError, match=r"data.val_files: are the files of training"):
        Prompts("a", None, config)


def test_workers_are_refused(tmp_path: Path) -> None:
    config = {
        "train_files": "t",
        "train_batch_size": 2,
        "dataloader_num_workers": 8,
        "frontier": {"folder": "x"},
    }
    with pytest.raises(StratagemError, match="dataloader_num_workers: has to be 0"):
        Prompts("t", None, config)
