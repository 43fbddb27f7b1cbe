"""`stratagem curate prompts`, as a user runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.cli import run
from stratagem.commands.curate import read_target
from stratagem.curation.result import decode
from stratagem.records import StratagemError

Run = Callable[..., CompletedProcess[str]]
Curate = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


# Pass rates by which prompts are made: most teach nothing.
RATES = np.repeat([0.0, 0.02, 0.3, 0.6, 1.0], 40)


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def counts(seed: int, samples: int = 16, shift: float = 0.0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    right = rng.binomial(samples, np.clip(RATES + shift * (RATES > 0), 0, 1))
    return [{"id": f"p{i}", "n": samples, "c": int(c)} for i, c in enumerate(right)]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    domains = rng.permutation(np.repeat(["math", "code"], [150, 50]))
    rows = [
        {"id": f"p{i}", "prompt": f"What is {i} times {i}?", "domain": domain, "answer": i * i}
        for i, domain in enumerate(domains)
    ]
    lines(tmp_path / "pool.jsonl", rows)
    lines(tmp_path / "counts.jsonl", counts(1))
    return tmp_path


@pytest.fixture
def curate(pool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Curate:
    """The command in the pool's folder, in this process."""
    monkeypatch.chdir(pool)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str, log: str = "counts.jsonl", code: int = 0) -> Done:
        ended = run(["curate", "prompts", "pool.jsonl", "--rollouts", *log.split(), *words])
        said = capsys.readouterr()
        assert ended == code, said.err
        return Done(ended, said.out, said.err)

    return call


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_choice_beats_the_random_control_beside_it(curate: Curate, pool: Path) -> None:
    before = hashlib.sha256((pool / "pool.jsonl").read_bytes()).hexdigest()
    done = curate("--size", "60", "--by", "domain")
    assert "60 of 200 prompts are chosen" in done.stdout
    out = pool / "curation"
    chosen, control = rows(out / "chosen.jsonl"), rows(out / "control.jsonl")
    assert len(chosen) == len(control) == 60
    # Whole rows of the pool, in its order, as they were.
    assert [row for row in rows(pool / "pool.jsonl") if row in chosen] == chosen
    for part in (chosen, control):
        assert sum(row["domain"] == "math" for row in part) == 45
    rate = {f"p{i}": rate for i, rate in enumerate(RATES)}
    signal = [
        np.mean([1 - rate[r["id"]] ** 8 - (1 - rate[r["id"]]) ** 8 for r in part])
        for part in (chosen, control)
    ]
    assert signal[0] > 0.9 > 0.6 > signal[1]
    result = decode((out / "curation.json").read_bytes())
    assert abs(result.chosen.signal.value - signal[0]) < 0.05
    assert abs(result.control.signal.value - signal[1]) < 0.1
    assert result.inputs[str(Path("pool.jsonl"))] == before
    assert hashlib.sha256((pool / "pool.jsonl").read_bytes()).hexdigest() == before
    # Every prompt has its reason.
    table = pl.read_parquet(out / "prompts.parquet")
    assert table.height == 200
    assert table["reason"].null_count() == 0
    assert table.filter(decision="chosen")["id"].to_list() == [row["id"] for row in chosen]
    assert table.filter("control")["id"].to_list() == [row["id"] for row in control]
    best = table.filter(decision="less signal")
    for domain in ("math", "code"):
        inside = table.filter(decision="chosen", stratum=domain)["signal"].min()
        assert inside >= best.filter(stratum=domain)["signal"].max()  # type: ignore[operator]


def test_a_finished_folder_is_taken_as_it_is_and_another_refused(curate: Curate, pool: Path) -> None:
    first = curate("--size", "60", "--json")
    stamp = (pool / "curation" / "chosen.jsonl").stat().st_mtime_ns
    again = curate("--size", "60", "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert (pool / "curation" / "chosen.jsonl").stat().st_mtime_ns == stamp
    refused = curate("--size", "61", code=2)
    assert "made with other settings (size was 60, now 61)" in refused.stderr
    lines(pool / "counts.jsonl", counts(2))
    refused = curate("--size", "60", code=2)
    assert "made with other settings (inputs was" in refused.stderr
    lines(pool / "counts.jsonl", counts(1))
    (pool / "mine").mkdir()
    (pool / "mine" / "thesis.txt").write_text("a")
    assert "not a folder of ours" in curate("--out", "mine", code=2).stderr


def test_flat_prompts_are_dropped_where_samples_show_it(curate: Curate, pool: Path) -> None:
    lines(pool / "counts.jsonl", counts(1, samples=256))
    result = json.loads(curate("--json", "--min-signal", "0.3").stdout)
    # A prompt that is right once in 50 has signal in 15% of groups of 8.
    assert result["dropped"]["all_right"] == 40
    assert 70 <= result["dropped"]["all_wrong"] <= 80
    table = pl.read_parquet(pool / "curation" / "prompts.parquet")
    sure = table.filter(decision="all right")
    assert (sure["too_easy"] >= 0.9).all()
    assert sure["reason"][0].startswith("256 of 256 right: flat with a probability of ")
    # With 16 samples none is surely flat by default, and that is said.
    lines(pool / "counts.jsonl", counts(1))
    few = curate("--out", "few")
    assert "All 200 prompts that may be taken are kept" in few.stdout
    assert "16 samples do not show with 90%" in few.stderr


def test_what_else_is_in_a_pool_is_said(curate: Curate, pool: Path) -> None:
    whole = rows(pool / "pool.jsonl")
    twice = [*whole, whole[3], {"id": "new", "prompt": "What is new?", "domain": "math", "answer": 1}]
    lines(pool / "pool.jsonl", twice)
    lines(
        pool / "eval.jsonl",
        [{"problem": f"<|im_start|>user\n{row['prompt']}<|im_end|>"} for row in whole[80:90]],
    )
    words = ("--size", "60", "--holdout", "eval.jsonl", "--json")
    result = json.loads(curate(*words).stdout)
    assert (result["prompts"], result["eligible"], result["with_rollouts"]) == (202, 191, 201)
    assert result["dropped"]["held_out"] == 10
    assert result["dropped"]["duplicate"] == 1
    table = pl.read_parquet(pool / "curation" / "prompts.parquet")
    assert table["decision"][200] == "duplicate"
    assert table["reason"][200] == "the same prompt as row 4"
    assert table["reason"][80] == "also a prompt of eval.jsonl"
    assert table["reason"][201].startswith("no rollouts, explored: ")
    said = " ".join(result["notes"])
    assert "10 prompts of the pool left out: also prompts of evaluations" in said
    assert "1 row left out: repeat a prompt" in said
    assert "1 prompt without rollouts: compete" in said
    for unseen, there in (("keep", True), ("drop", False)):
        result = json.loads(curate(*words, "--unseen", unseen, "--out", unseen).stdout)
        chosen = [row["id"] for row in rows(pool / unseen / "chosen.jsonl")]
        assert ("new" in chosen) == there
        assert result["dropped"]["no_rollouts"] == (0 if there else 1)
    kept = curate("--size", "60", "--duplicates", "keep", "--out", "kept", "--json")
    assert json.loads(kept.stdout)["eligible"] == 202


@pytest.mark.parametrize("shape", ["plain", "Alpaca", "ShareGPT", "turns"])
def test_evaluations_of_any_shape_are_held_out(curate: Curate, pool: Path, shape: str) -> None:
    def shaped(asked: str) -> dict[str, Any]:
        turns = [("human", "Hello"), ("gpt", "Hi!"), ("human", asked)]
        return {
            "plain": {"question": asked},
            "Alpaca": {"instruction": "Solve this.", "input": asked, "output": "x"},
            "ShareGPT": {"conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": "x"}]},
            "turns": {"conversations": [{"from": who, "value": text} for who, text in turns]},
        }[shape]

    lines(pool / "eval.jsonl", [shaped(row["prompt"]) for row in rows(pool / "pool.jsonl")[80:90]])
    lines(pool / "other.jsonl", [shaped("Hello there")])
    words = ("--size", "60", "--holdout", "eval.jsonl", "other.jsonl", "--json")
    result = json.loads(curate(*words).stdout)
    assert result["dropped"]["held_out"] == 10
    assert "--holdout other.jsonl: none of its problems is in pool.jsonl" in result["notes"]
    assert not any("--holdout eval.jsonl" in note for note in result["notes"])


def test_a_target_moves_the_shares(curate: Curate, pool: Path) -> None:
    result = json.loads(curate("--size", "40", "--by", "domain", "--target", "code=0.5", "--json").stdout)
    assert {stratum["name"]: stratum["chosen"] for stratum in result["strata"]} == {"code": 20, "math": 20}
    refused = curate("--size", "150", "--by", "domain", "--target", "code=0.9", "--out", "b", code=2)
    assert "would meet the target" in refused.stderr


def test_a_curriculum_in_stages_and_in_weights(curate: Curate, pool: Path) -> None:
    curate("--size", "60", "--curriculum", "stages", "--stages", "4")
    out = pool / "curation"
    parts = [rows(out / f"stage-{number}.jsonl") for number in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [15] * 4
    assert sorted(r["id"] for part in parts for r in part) == sorted(
        r["id"] for r in rows(out / "chosen.jsonl")
    )
    known = dict(pl.read_parquet(out / "prompts.parquet").select("id", "pass_rate").rows())
    for easier, harder in pairwise(parts):
        assert min(known[row["id"]] for row in easier) >= max(known[row["id"]] for row in harder)
    curate("--size", "60", "--curriculum", "weights", "--out", "weighted")
    weights = [row["weight"] for row in rows(pool / "weighted" / "chosen.jsonl")]
    assert np.mean(weights) == pytest.approx(1)
    assert all("weight" not in row for row in rows(pool / "weighted" / "control.jsonl"))


def test_again_says_what_left_the_frontier_and_chooses_by_it(curate: Curate, pool: Path) -> None:
    lines(pool / "counts.jsonl", counts(1, samples=64))
    lines(pool / "after.jsonl", counts(3, samples=64, shift=0.5))
    words = ("--size", "40", "--again", "after.jsonl")
    shown = curate(*words)
    said = " ".join(shown.stdout.split())
    assert "prompts left the frontier" in said
    result = json.loads(curate(*words, "--json").stdout)
    moves = result["moves"]
    counted = np.array(moves["counts"])
    assert counted.sum() == moves["prompts"] == 200
    assert counted[1, 2] >= 35  # those of pass rate .6 are too easy now
    assert moves["left"] == counted[1, 0] + counted[1, 2]
    table = pl.read_parquet(pool / "curation" / "prompts.parquet")
    moved = table.filter(lay="frontier", lies="too easy")
    assert moved.height == counted[1, 2]
    assert set(moved["decision"].unique()) <= {"less signal", "all right"}
    # Chosen by the rollouts after training: prompts of .02 then (.52 now) are the best.
    assert np.mean([int(name[1:]) // 40 == 1 for name in table.filter(decision="chosen")["id"]]) > 0.8


def test_rewards_of_any_size_are_chosen_by_their_variance(curate: Curate, pool: Path) -> None:
    rng = np.random.default_rng(1)
    scale = np.repeat([0.0, 0.1, 2.0], [100, 60, 40])
    made = [{"id": f"p{i}", "rewards": (3 + s * rng.normal(size=8)).tolist()} for i, s in enumerate(scale)]
    lines(pool / "rewards.jsonl", made)
    done = curate("--size", "40", "--reward", "rewards", log="rewards.jsonl")
    assert "the variance of the reward within a group" in " ".join(done.stdout.split())
    table = pl.read_parquet(pool / "curation" / "prompts.parquet")
    assert np.mean([int(name[1:]) >= 160 for name in table.filter(decision="chosen")["id"]]) > 0.85
    assert "pass_rate" not in table.columns
    assert "shrunk towards the stratum's" in done.stderr


def test_rollouts_with_texts_are_matched_by_their_prompts(curate: Curate, pool: Path) -> None:
    rng = np.random.default_rng(2)
    log = [
        {
            "prompt": f"<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n{row['prompt']}<|im_end|>\n",
            "completion": f"after long thought {rng.integers(1_000_000)} comes to mind",
            "reward": 1.0 if rng.random() < RATES[i] else -1.0,
        }
        for i, row in enumerate(rows(pool / "pool.jsonl"))
        for _ in range(4)
    ]
    lines(pool / "log.jsonl", log)
    refused = curate("--size", "20", log="log.jsonl", code=2)
    assert "--correct 'reward > 0'" in refused.stderr
    result = json.loads(curate("--size", "20", "--correct", "reward > 0", "--json", log="log.jsonl").stdout)
    assert result["logs"][0]["join"] == "normalised"
    assert result["logs"][0]["matched"] == 200
    # Two logs are added up.
    lines(pool / "more.jsonl", log)
    both = curate("--correct", "reward > 0", "--json", "--out", "both", log="log.jsonl more.jsonl")
    assert json.loads(both.stdout)["samples"] == [8, 8.0, 8]


def test_one_sample_a_prompt_invents_no_interval(curate: Curate, pool: Path) -> None:
    lines(pool / "counts.jsonl", counts(1, samples=1))
    done = curate("--size", "20")
    assert "a guess with the weight of one sample" in done.stderr
    table = pl.read_parquet(pool / "curation" / "prompts.parquet")
    assert (table["high"] - table["low"]).min() > 0.5  # type: ignore[operator]


BAD = [
    ((), "counts.jsonl", "no such file", {"pool": None}),
    ((), "nope.jsonl", "nope.jsonl: no such file", {}),
    ((), "other.jsonl", "no prompt of pool.jsonl has rollouts in other.jsonl", {}),
    (("--by", "domian"), "counts.jsonl", "--by domian: no such column in pool.jsonl; there are id, prompt", {}),
    (("--target", "code=0.5"), "counts.jsonl", "name the column whose value that is with --by", {}),
    (("--by", "domain", "--target", "cod=0.5"), "counts.jsonl", "there are code, math", {}),
    (("--size", "0"), "counts.jsonl", "--size 0: must be", {}),
    (("--size", "9", "--keep-signal", "0.5"), "counts.jsonl", "give one of them", {}),
    (("--group", "1"), "counts.jsonl", "--group 1: must be", {}),
    (("--min-signal", "1"), "counts.jsonl", "--min-signal 1: has to lie between 0 and 0.992188", {}),
    (("--holdout", "pool.jsonl"), "counts.jsonl", "no prompt is left to choose from", {}),
    (("--again", "counts.jsonl"), "counts.jsonl", "is given twice", {}),
    (("--again", "fractions.jsonl"), "counts.jsonl", "say for all what is right with --correct", {}),
    (("--reward", "c"), "counts.jsonl", "holds counts of right samples", {}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "log", "said", "change"), BAD)
def test_bad_input_is_one_clear_line(
    curate: Curate, pool: Path, words: tuple[str, ...], log: str, said: str, change: dict[str, None]
) -> None:
    lines(pool / "other.jsonl", [{"id": "q1", "n": 4, "c": 2}])
    lines(pool / "fractions.jsonl", [{"id": f"p{i}", "rewards": [0.5, 0.25]} for i in range(9)])
    if change:
        (pool / "pool.jsonl").unlink()
    done = curate(*words, log=log, code=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (pool / "curation").exists()


def test_what_is_curated_has_to_be_named(stratagem: Run, pool: Path) -> None:
    assert "there is 'curate prompts'" in stratagem("curate", "prompt", "pool.jsonl").stderr
    assert "--rollouts: name the log" in stratagem("curate", "prompts", "pool.jsonl").stderr
    words = ("curate", "prompts", "pool.jsonl", "--rollouts", "counts.jsonl", "--unseen", "maybe")
    assert "invalid choice 'maybe'" in stratagem(*words).stderr
    shown = stratagem("curate", "--help")
    assert shown.returncode == 0
    assert "--keep-signal" in shown.stdout


@pytest.mark.parametrize("text", ["math", "math=", "=0.4", "math=much", "math=0.4,math=0.5"])
def test_a_target_that_is_none(text: str) -> None:
    with pytest.raises(StratagemError, match="--target"):
        read_target(text)


def test_a_target_in_words() -> None:
    assert read_target("math=0.6, a = b=0.4") == {"math": 0.6, "a = b": 0.4}


def test_a_pool_of_conversations_is_chosen_from_as_its_prompts_are(curate: Curate, pool: Path) -> None:
    """ShareGPT's shape; its rows come out as they went in."""
    curate("--size", "40", "--out", "plain")
    talks = [
        {
            "id": row["id"],
            "conversations": [{"from": "human", "value": row["prompt"]}, {"from": "gpt", "value": "?"}],
        }
        for row in rows(pool / "pool.jsonl")
    ]
    lines(pool / "pool.jsonl", talks)
    curate("--size", "40", "--out", "talks")
    chosen = rows(pool / "talks" / "chosen.jsonl")
    assert [row["id"] for row in chosen] == [row["id"] for row in rows(pool / "plain" / "chosen.jsonl")]
    assert all(row in talks for row in chosen)
