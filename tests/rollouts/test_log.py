"""Logs as users have them: real ones, those that the frameworks write, and plain files of every make."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from stratagem.records import ROLLOUT_SCHEMA, StratagemError
from stratagem.rollouts.log import Log, read_rollouts
from stratagem.rollouts.readers.row import ReadOptions
from tests.rollouts.logs import record, rows, write_lines

FIXTURES = Path(__file__).parent / "fixtures"
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data")


@needs_data
@pytest.mark.parametrize("name", ["before", "after_algorithmic", "after_games"])
def test_real_texts_read_by_themselves(name: str) -> None:
    path = DATA / "algebra-rl" / f"{name}.parquet"
    log = read_rollouts(path)
    table = log.read()
    assert (log.format, log.score_names, log.extra) == ("plain", ("score",), ("dataset", "expected"))
    assert (table.height, table["id"].n_unique(), not log.left_out) == (1800, 599, True)
    raw = pl.read_parquet(path)
    for ours, theirs in {
        "id": "prompt_id",
        "prompt": "prompt",
        "completion": "completion",
        "score": "score",
    }.items():
        assert table[ours].to_list() == raw[theirs].to_list()


@needs_data
@pytest.mark.parametrize(("name", "pass_at_1"), [("base", 0.604105), ("rl", 0.680063)])
def test_real_counts_read_by_themselves(name: str, pass_at_1: float) -> None:
    log = read_rollouts(DATA / "deepscaler-counts" / f"{name}.jsonl")
    table = log.read()
    assert (log.format, log.counts_only, log.extra, table.height) == ("counts", True, ("source",), 1060)
    assert set(table["count_n"]) == {128}
    assert (table["count_c"] / table["count_n"]).mean() == pytest.approx(pass_at_1, abs=5e-7)


@pytest.mark.parametrize("version", ["trl-1.10", "trl-1.16"])
@pytest.mark.parametrize("kind", ["text", "chat"])
def test_trl(version: str, kind: str) -> None:
    log = read_rollouts(FIXTURES / "trl" / version / kind)
    table = log.read()
    assert log.format == "trl"
    assert log.score_names == ("correctness_reward", "format_reward")
    assert log.extra == ("answer_found", "advantage")
    assert table["checkpoint"].to_list() == ["1"] * 8 + ["2"] * 8
    assert table["prompt"].n_unique() == 2
    said = table.select(
        right=pl.col("completion").str.contains("four"), form=pl.col("completion").str.contains("answer")
    )
    assert (said["right"].cast(pl.Float64) == table["correctness_reward"]).all()
    assert (said["form"].cast(pl.Float64) / 2 == table["format_reward"]).all()
    asked = {"what is two plus two ?", "what is three plus one ?"}
    if (version, kind) == ("trl-1.16", "chat"):  # as messages; 1.10 renders them by the model's template
        assert set(table["question"]) == asked
        assert all(text.startswith("system: you add\n\nuser: what is") for text in table["prompt"])
    elif kind == "text":
        assert set(table["prompt"]) == asked


def test_the_whole_output_folder_of_trl_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "run/completions").mkdir(parents=True)
    (tmp_path / "run/checkpoint-2").mkdir()
    for file in (FIXTURES / "trl/trl-1.16/chat").iterdir():
        (tmp_path / "run/completions" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run/checkpoint-2/trainer_state.json").write_text(
        json.dumps({"log_history": [{"step": 1, "reward": 0.5}, {"step": 2, "reward": 0.5}]}, indent=2)
    )
    (tmp_path / "run/checkpoint-2/model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0" + b"{}" * 8)
    (tmp_path / "run/README.md").write_text("# A model, trained\n\nwith TRL")
    log = read_rollouts(tmp_path / "run")
    assert (log.format, log.read().height, len(log.skipped)) == ("trl", 16, 3)


def test_verl_v0_groups_by_input_and_reads_numbers_written_as_text() -> None:
    log = read_rollouts(FIXTURES / "verl/v0")
    table = log.read()
    assert (log.format, table.height) == ("verl", 12)
    assert log.score_names == ("score", "acc", "format_reward", "reward")
    assert log.extra == ("gts", "pred", "request_id")
    assert table["id"].null_count() == 12
    assert table["score"].to_list() == [1.0, 1.0, -1.0, 1.0, -1.0, 1.0] * 2
    assert table["acc"].to_list() == table["format_reward"].to_list() == [1.0, 1.0, 0.0, 1.0, 0.0, 1.0] * 2
    assert table["checkpoint"].to_list() == ["5"] * 6 + ["10"] * 6  # 5.jsonl before 10.jsonl
    assert table["completion"][4] == "Five. é €"


def test_verl_v1_groups_by_the_first_part_of_the_uid_and_joins_the_outputs_of_a_session() -> None:
    table = rows(FIXTURES / "verl/v1")
    assert table.height == 12
    assert table["id"].n_unique() == 2
    assert table["sample"].to_list() == [0, 1, 2] * 4
    assert table["completion"][1] == "Then \\boxed{391}."
    assert rows(FIXTURES / "verl/v1", turns="all")["completion"][1] == "First I try.\n\nThen \\boxed{391}."


def test_what_tools_say_in_verl_is_not_the_models() -> None:
    last, every = (rows(FIXTURES / "verl/v0", turns=turns)["completion"][1] for turns in ("last", "all"))
    assert last == "The answer is \\boxed{391}."
    assert every.startswith("I compute it.\n<tool_call>")
    assert every.endswith("</tool_call>\n\nThe answer is \\boxed{391}.")
    assert "391\n</tool_response>" not in every


def test_sessions_are_joined_across_batches(tmp_path: Path) -> None:
    lines = [
        {"input": "q", "output": f"o{i}.{j}", "gts": "1", "score": 1.0, "step": 3, "uid": f"u_{i}_{j}"}
        for i in range(30_000)
        for j in range(2)
    ]
    table = rows(write_lines(tmp_path / "3.jsonl", lines))
    assert table["completion"].to_list() == [f"o{i}.1" for i in range(30_000)]


@pytest.mark.parametrize(
    "names",
    [
        ("prompt", "completion", "score", "problem_id"),
        ("question", "response", "reward", "prompt_id"),
        ("input", "output", "correct", "id"),
        ("problem", "generation", "is_correct", "uid"),
        ("query", "model_output", "acc", "task_id"),
        ("instruction", "generated_text", "passed", "index"),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_columns_name_themselves(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    prompt, completion, score, identity = names
    table = pl.DataFrame(
        {
            identity: [f"p{i // 2}" for i in range(6)],
            prompt: [f"what, {i // 2}?" for i in range(6)],
            completion: [f'He said "{i}"\nand left, é' for i in range(6)],
            score: [bool(i % 2) for i in range(6)],
            "sample": [i % 2 for i in range(6)],
            "level": [i // 3 for i in range(6)],
        }
    )
    path = tmp_path / "log"  # the format is told by what is in the file
    match kind:
        case "jsonl":
            table.write_ndjson(path)
        case "json":
            table.write_json(path)
        case "parquet":
            table.write_parquet(path)
        case _:
            table.write_csv(path, separator="," if kind == "csv" else "\t")
    log = read_rollouts(path)
    read = log.read()
    assert (log.score_names, log.extra) == ((score,), ("level",))
    assert read["id"].to_list() == table[identity].to_list()
    assert read["prompt"].to_list() == table[prompt].to_list()
    assert read["completion"].to_list() == table[completion].to_list()
    assert read[score].to_list() == [0.0, 1.0] * 3
    assert read["sample"].to_list() == table["sample"].to_list()
    assert read["level"].to_list() == table["level"].to_list()
    assert read.schema == pl.Schema(log.schema)


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    lines = [
        {"ask": "q", "said": {"text": f"t{i}"}, "metrics": {"ok": i, "speed": 0.5}, "kind": "sum"}
        for i in (0, 1)
    ]
    path = write_lines(tmp_path / "log.jsonl", lines)
    with pytest.raises(StratagemError, match="no known format; its columns are ask, said, metrics, kind"):
        read_rollouts(path)
    log = read_rollouts(
        path, ReadOptions(columns={"prompt": "ask", "completion": "said.text", "score": "metrics.ok"})
    )
    table = log.read()
    assert table["completion"].to_list() == ["t0", "t1"]
    assert table["metrics.ok"].to_list() == [0.0, 1.0]
    assert log.score_names == ("metrics.ok",)
    with pytest.raises(
        StratagemError, match="no column 'sayd' to read as completion; the columns are ask, said"
    ):
        read_rollouts(path, ReadOptions(columns={"prompt": "ask", "completion": "sayd"}))
    with pytest.raises(StratagemError, match="column 'promt' is none that a log can have: id, prompt"):
        read_rollouts(path, ReadOptions(columns={"promt": "ask", "completion": "said.text"}))


def test_several_scores_are_all_kept(tmp_path: Path) -> None:
    lines = [record(i, format_reward=0.5, rewards={"exact": 1, "style": 0.1}, notes="x") for i in range(4)]
    log = read_rollouts(write_lines(tmp_path / "log.jsonl", lines))
    assert log.score_names == ("score", "format_reward", "rewards.exact", "rewards.style")
    assert log.read()["rewards.style"].to_list() == [0.1] * 4


def test_several_samples_in_a_record(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "prompt": "q", "responses": ["x", "y", "z"], "scores": [1, 0, 1], "temperature": 0.6},
        {"id": "b", "prompt": "r", "responses": ["x", "y"], "scores": [1], "temperature": 0.6},
    ]
    log = read_rollouts(write_lines(tmp_path / "log.jsonl", lines))
    table = log.read()
    assert table.select("id", "sample", "completion", "scores").rows() == [
        ("a", 0, "x", 1.0), ("a", 1, "y", 0.0), ("a", 2, "z", 1.0)
    ]  # fmt: skip
    assert log.left_out == {"scores: not as many as there are completions": 1}
    assert log.facts == {"temperature": {"0.6"}}


def test_messages_and_turns(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    turns = [
        {"role": "assistant", "content": "let me add", "tool_calls": [call]},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": [{"type": "text", "text": "It is 2"}], "reasoning_content": "so 2"},
    ]
    prompt = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "1+1?"}]
    whole = {"messages": prompt + turns, "reward": 1, "id": 7}
    apart = {"prompt": prompt, "completion": turns, "reward": 1, "id": 7}
    last = "<think>\nso 2\n</think>\n\nIt is 2"
    every = 'let me add\n<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>\n\n' + last
    for fields in (whole, apart):
        path = write_lines(tmp_path / "log.jsonl", [fields])
        for option, expected in (("last", last), ("all", every)):
            row = rows(path, turns=option).row(0, named=True)
            assert row["completion"] == expected
            assert (row["id"], row["question"]) == ("7", "1+1?")
            assert row["prompt"] == "system: be brief\n\nuser: 1+1?"


def test_an_id_of_each_row_is_no_id_of_the_problem(tmp_path: Path) -> None:
    own = [record(i, id=f"row{i}") for i in range(6)]
    assert rows(write_lines(tmp_path / "a.jsonl", own))["id"].null_count() == 6
    shared = [record(i, id=f"p{i // 2}") for i in range(6)]
    assert rows(write_lines(tmp_path / "b.jsonl", shared))["id"].n_unique() == 3


def test_our_own_table(tmp_path: Path) -> None:
    row = {
        "problem_id": "p", "kind": "F", "difficulty": 3, "checkpoint": "sft", "sample": 0, "prompt": "q",
        "completion": "c", "score": 1.0, "strategy": "forward", "evidence": "{}", "finish_reason": "stop", "length": 9,
    }  # fmt: skip
    pl.DataFrame([row], schema=ROLLOUT_SCHEMA).write_parquet(tmp_path / "rollouts.parquet")
    read = rows(tmp_path).row(0, named=True)
    renamed = {"problem_id": "id", "length": "tokens"}
    assert read.items() >= {renamed.get(name, name): value for name, value in row.items()}.items()


def test_counts_by_name_and_by_rewards(tmp_path: Path) -> None:
    by_name = write_lines(tmp_path / "a.jsonl", [{"id": 3, "c": 2, "n": 5}, {"id": 4, "c": 6, "n": 5}])
    log = read_rollouts(by_name)
    assert log.read().select("id", "count_n", "count_c").rows() == [("3", 5, 2.0)]
    assert log.left_out == {"c: not between 0 and n": 1}
    by_reward = write_lines(
        tmp_path / "b.jsonl",
        [{"prompt_id": "x", "rewards": [1, 0, True]}, {"prompt_id": "y", "rewards": [1, -1]}],
    )
    log = read_rollouts(by_reward)
    assert log.read().select("id", "count_n", "count_c").rows() == [("x", 3, 2.0)]
    assert list(log.left_out) == ["rewards: outside [0, 1]; write 1 for right and 0 for wrong"]


def test_a_broken_line_costs_that_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [record(i) for i in range(3)])
    good = path.read_text().splitlines()
    nan = '{"prompt": "q", "completion": "nan", "score": NaN}'
    lines = [good[0], "", '{"prompt": "q", "comp', nan, good[1], '{"prompt": "q"}', '["a"]', "null", good[2]]
    lines += ['{"prompt": "q", "completion": "c", "score": 1e999}', '{"completion": "c", "score": 1}']
    path.write_text("\r\n".join(lines))
    log = read_rollouts(path)
    table = log.read()
    assert table["completion"].to_list() == ["text 0", "nan", "text 1", "text 2"]
    assert table["score"].to_list() == [0.0, None, 1.0, 0.0]
    assert log.left_out == {
        "line: not one whole JSON object": 3,
        "completion: missing": 1,
        "score: an infinite or too large number": 1,
        "prompt: missing, and there is no id": 1,
    }
    assert [left_out.row for left_out in log.examples] == [3, 6, 7, 8, 10, 11]
    assert {left_out.file for left_out in log.examples} == {str(path)}
    with pytest.raises(StratagemError, match=r"log.jsonl: row 3: line: not one whole JSON object"):
        rows(path, strict=True)


def test_a_log_can_be_read_again(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [record(0)])
    path.write_text(path.read_text() + "broken\n")
    log = read_rollouts(path)
    assert log.read().equals(log.read())
    assert sum(log.left_out.values()) == 1


def test_columns_that_turn_up_late_are_counted_not_hidden(tmp_path: Path) -> None:
    lines = [record(i, level=1) for i in range(1200)] + [record(1, level="high", late=3)]
    log = read_rollouts(write_lines(tmp_path / "log.jsonl", lines))
    table = log.read()
    assert (table.height, table["level"].null_count()) == (1201, 1)
    assert log.lost == {
        "column 'level': no value of type Int64": 1,
        "column 'late': not among the first records": 1,
    }


def batch_heights(log: Log) -> list[int]:
    return [batch.height for batch in log.batches()]


def test_batches_are_bounded(tmp_path: Path) -> None:
    small = read_rollouts(write_lines(tmp_path / "small.jsonl", [record(i) for i in range(120_000)]))
    heights = batch_heights(small)
    assert sum(heights) == 120_000
    assert max(heights) <= 50_000
    assert len(heights) <= 5
    large = [record(i, text="x" * 1_000_000) for i in range(150)]
    sizes = [
        batch.estimated_size() for batch in read_rollouts(write_lines(tmp_path / "l.jsonl", large)).batches()
    ]
    assert len(sizes) > 1
    assert max(sizes) < 80 << 20


def test_batches_go_on_from_the_first_one_and_then_begin_anew(tmp_path: Path) -> None:
    write_lines(tmp_path / "log.jsonl", [record(i, completion=f"text {i}") for i in range(50_500)])
    log = read_rollouts(tmp_path / "log.jsonl")
    first = log.first()
    assert first is not None
    assert first.height == 50_000
    for _ in range(2):
        assert [batch.height for batch in log.batches()] == [50_000, 500]
    assert log.read()["completion"].to_list() == [f"text {i}" for i in range(50_500)]
    assert not log.left_out
