"""Readers of rollouts that verifiers, prime-rl and SkyRL wrote."""

from pathlib import Path

import pytest

from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers import skyrl, verifiers, verifiers_results
from stratagem.rollouts.readers.row import BadRecord
from tests.rollouts.frameworks import ALL, HERE, LAST, columns, damaged, records

EASY = "210d765f314a834d5033ac40a4e322dc21319fb45344908e394326893a692ffd"
HARD = "41e1a7704d8d7993ca21e7454465aeda85a0a5f3a5317623e067d8341a6524cb"


def test_verifiers_episodes():
    rows = columns(
        "verifiers/eval", "id", "completion", "reward", "correct", "style", "finish_reason", "tokens"
    )
    assert rows == [
        (EASY, "<think>\n2 and 3 more\n</think>\n\nIt is 5", 1.125, 1.0, 0.5, "stop", 3),
        (EASY, "Let me count: 1, 2,", 0.0, 0.0, 0.0, "length", 5),
        (HARD, "The tool says 20", 1.25, 1.0, 1.0, "stop", 4),
        (HARD, "Still thinking about", 0.0, 0.0, 0.0, "length", 3),
        (HARD, "It is 21", 0.25, 0.0, 1.0, "stop", 3),
    ]


def test_verifiers_failures_are_left_out_with_their_reason():
    log = read_rollouts(HERE / "verifiers/eval")
    log.read()
    assert dict(log.left_out) == {"errors: ProviderError": 1, "errors: EnvError": 1}
    assert [left_out.row for left_out in log.examples] == [4, 7]


def test_verifiers_prompt_is_what_came_before_the_first_reply():
    rows = columns("verifiers/eval", "prompt", "question")
    assert rows[2] == ("system: Answer.\n\nuser: What is 4*5?", "What is 4*5?")


def test_verifiers_all_turns():
    rows = columns("verifiers/eval", "completion", "tokens", options=ALL)
    assert rows[2] == (
        'I will compute.\n<tool_call>{"name": "times", "arguments": {"a": 4, "b": 5}}</tool_call>\n\nThe tool says 20',
        7,
    )


def test_verifiers_agents_that_are_not_trained_are_no_responses():
    assert columns("verifiers/eval", "agent") == [("agent",)] * 4 + [("solver",)]


def test_verifiers_facts_and_columns_of_the_task():
    log = read_rollouts(HERE / "verifiers/eval")
    stated = {name: log.facts[name] for name in ("model", "temperature", "max_tokens", "environment")}
    assert stated == {
        "model": {"scripted"},
        "temperature": {"0.8"},
        "max_tokens": {"64"},
        "environment": {"sums"},
    }
    assert {"task.level", "metrics.words", "stop_condition"} <= set(log.extra)


def test_prime_rl_training():
    rows = columns("prime_rl/rollouts", "id", "checkpoint", "group", "policy", "work", "reward", "tokens")
    assert rows == [
        (EASY, "12", "g7", "11", "train", 1.0, 3),
        (EASY, "12", "g7", "11", "train", 0.0, 3),
    ]


def test_prime_rl_effective_episodes_are_not_read_twice():
    log = read_rollouts(HERE / "prime_rl/rollouts")
    assert [Path(name).parent.name for name in log.files] == ["all"]
    alone = read_rollouts(HERE / "prime_rl/rollouts/step_12/train/effective/traces.jsonl")
    assert alone.read().height == 2


def test_verifiers_a_failed_trace_beside_good_ones_has_no_score():
    good, bad = records("verifiers/eval")[0], records("verifiers/eval")[3]
    both = {**good, "ok": False, "traces": [good["traces"][0], {**good["traces"][0], "ok": False}]}
    rows = list(verifiers.rows(both, LAST))
    assert [row["scores"]["reward"] for row in rows] == [1.125, None]
    assert rows[1]["finish_reason"] is None
    with pytest.raises(BadRecord, match="errors: ProviderError"):
        list(verifiers.rows(bad, LAST))


def test_verifiers_reward_is_none_where_nothing_was_scored():
    record = damaged(records("verifiers/eval")[0], "traces.0.rewards", {"correct": None, "style": None})
    (row,) = verifiers.rows(record, LAST)
    assert row["scores"] == {"reward": None, "correct": None, "style": None}


def test_verifiers_total_counts_a_weight_of_zero():
    rewards = {
        "correct": {"score": 1.0, "weight": 0.0},
        "reward": {"score": 0.5, "weight": 2.0},
        "late": None,
    }
    (row,) = verifiers.rows(damaged(records("verifiers/eval")[0], "traces.0.rewards", rewards), LAST)
    assert row["scores"] == {"reward": 1.0, "correct": 1.0, "reward.reward": 0.5, "late": None}


def test_verifiers_results():
    rows = columns(
        "verifiers/results", "id", "completion", "reward", "correct", "finish_reason", "tokens", "question"
    )
    assert rows == [
        ("0", "2+3 is 5.", 1.1, 1.0, "stop", 3, "What is 2+3?"),
        ("0", "I think it is 6", 0.0, 0.0, "stop", 5, "What is 2+3?"),
        ("0", "Let me count: 1, 2,", 0.0, 0.0, "length", 5, "What is 2+3?"),
        ("1", "4*5 = 20", 1.1, 1.0, "stop", 3, "What is 4*5?"),
        ("1", "20", 1.1, 1.0, "stop", 1, "What is 4*5?"),
    ]


def test_verifiers_results_facts_are_in_the_file_beside():
    log = read_rollouts(HERE / "verifiers/results/results.jsonl")
    log.read()
    assert {name: log.facts[name] for name in ("model", "temperature", "max_tokens")} == {
        "model": {"scripted"},
        "temperature": {"0.7"},
        "max_tokens": {"32"},
    }
    assert dict(log.left_out) == {"error: ModelError": 1}  # its reward of 0 is not that of a wrong answer
    assert log.score_names == ("reward", "correct", "short")  # num_turns is no score


def test_verifiers_results_of_version_0_1():
    """The columns of `make_dataset` of 0.1.9: errors as text, metrics as columns, no word on truncation."""
    record = {
        "example_id": 3,
        "prompt": [{"role": "user", "content": "2+3?"}],
        "completion": [{"role": "assistant", "content": "5"}],
        "task": "sums",
        "reward": 1.0,
        "error": None,
        "generation_ms": 1.0,
        "scoring_ms": 1.0,
        "total_ms": 2.0,
        "answer": "5",
        "correct": 1.0,
        "num_turns": 1,
    }
    assert verifiers_results.recognises(record)
    (row,) = verifiers_results.rows(record, LAST)
    assert (row["id"], row["prompt"], row["completion"]) == ("3", "2+3?", "5")
    assert row["scores"] == {"reward": 1.0, "correct": 1.0}
    assert row["finish_reason"] is None
    assert row["tokens"] is None
    with pytest.raises(BadRecord, match=r"^error: ModelError$"):
        list(verifiers_results.rows({**record, "error": "ModelError('busy')"}, LAST))


def test_skyrl():
    rows = columns(
        "skyrl/dumped_evals", "question", "completion", "score", "finish_reason", "checkpoint", "data_source"
    )
    assert rows == [
        ("What is 7-7?", "Is it 0", 0.75, "stop", "4", "other/set"),  # a score a token: their sum
        ("What is 2+3?", "It is 5", 1.0, "stop", "4", "sums"),
        ("What is 2+3?", "Let me count: 1, 2,", 0.0, "length", "4", "sums"),
        ("What is 4*5?", "It is 20", 1.0, "stop", "4", "sums"),
        ("What is 4*5?", "It is 21", 0.0, "length", "4", "sums"),
    ]


def test_skyrl_failures_and_averages_are_left_out():
    log = read_rollouts(HERE / "skyrl/dumped_evals")
    log.read()
    assert dict(log.left_out) == {"stop_reason: error": 1}
    assert [Path(name).name for name, _ in log.skipped] == ["aggregated_results.jsonl"]


def test_skyrl_all_turns_are_without_what_tools_said():
    assert columns("skyrl/dumped_evals", "completion", options=ALL)[3] == ("I ask: 4*5\n\nIt is 20",)


def test_skyrl_marks_of_llama():
    record = records("skyrl/dumped_evals")[0] | {
        "input_prompt": "<|start_header_id|>user<|end_header_id|>\n\n2+3?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "output_response": "First<|eot_id|><|start_header_id|>tool<|end_header_id|>\n\n5<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nSo 5<|eot_id|>",
    }
    (row,) = skyrl.rows(record, ALL)
    assert (row["question"], row["completion"]) == ("2+3?", "First\n\nSo 5")


def test_skyrl_marks_at_the_end_are_no_text():
    record = records("skyrl/dumped_evals")[0]
    for said, read in [
        ("5<|im_end|>\n<|endoftext|>", "5"),
        ("5 </s> ", "5"),
        ("5 \n", "5 \n"),
        ("<|im_end|>", ""),
    ]:
        (row,) = skyrl.rows(record | {"output_response": said}, LAST)
        assert row["completion"].rstrip(" ") == read.rstrip(" ")


def test_skyrl_long_white_space_takes_no_time():
    record = records("skyrl/dumped_evals")[0]
    (row,) = skyrl.rows(record | {"output_response": " " * 2_000_000 + "5" + "<|im_end|>" * 20_000}, LAST)
    assert row["completion"].strip() == "5"
