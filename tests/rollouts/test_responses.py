"""Which text is the response, which number the grade, which column the problem: told by what they do, or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.correctness import choose
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers.responses import rank
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.rollouts.readers.scores import names_score
from tests.rollouts.logs import write_lines

GOLD = "We add the numbers of the problem {p}.\n#### {p}"
SAID = "Let me think about {p} in the way {s}, and then I say what it is."


def records(problems: int = 6, samples: int = 4, **columns: str) -> list[dict[str, Any]]:
    """Records with texts made for each problem `p` and sample `s`."""
    return [
        {name: text.format(p=p, s=s) for name, text in columns.items()} | {"correct": s % 2}
        for p in range(problems)
        for s in range(samples)
    ]


def read(path: Path, lines: list[dict[str, Any]], **options: Any) -> Any:
    return read_rollouts(write_lines(path / "log.jsonl", lines), ReadOptions(**options))


@pytest.mark.parametrize("gold", ["answer", "output", "response", "prediction", "solution", "completion"])
@pytest.mark.parametrize(
    "name", ["code", "predict", "model_answer", "generated_solution", "assistant", "text", "zz"]
)
def test_an_answer_that_is_right_is_no_response(gold: str, name: str, tmp_path: Path) -> None:
    log = read(tmp_path, records(question="What is {p}?", **{gold: GOLD, name: SAID}))
    assert log.options.columns["completion"] == name
    assert log.read()["completion"].str.contains("in the way").all()


def test_an_extracted_answer_is_no_response(tmp_path: Path) -> None:
    log = read(tmp_path, records(question="What is {p}?", prediction="{s}", solution=SAID))
    assert log.options.columns["completion"] == "solution"


def test_two_texts_that_may_be_the_response_are_asked_about(tmp_path: Path) -> None:
    lines = records(question="What is {p}?", first_text=SAID, second_text=SAID + " So.")
    with pytest.raises(
        StratagemError, match="several columns may be the response: first_text, second_text; name one"
    ):
        read(tmp_path, lines)
    assert (
        read(tmp_path, lines, columns={"completion": "second_text"})
        .read()["completion"]
        .str.ends_with("So.")
        .all()
    )


def test_without_a_second_sample_a_doubtful_name_is_asked_about(tmp_path: Path) -> None:
    lines = records(problems=9, samples=1, question="What is {p}?", answer=GOLD, code=SAID)
    with pytest.raises(StratagemError, match="several columns may be the response: answer, code"):
        read(tmp_path, lines)


def test_a_text_that_is_the_same_in_all_responses_is_refused_where_scores_differ(tmp_path: Path) -> None:
    with pytest.raises(
        StratagemError, match="'answer' has one text for all responses to a problem although 'correct'"
    ):
        read(tmp_path, records(question="What is {p}?", answer=GOLD))


def test_an_empty_or_constant_prompt_is_none(tmp_path: Path) -> None:
    for name, text in (("input", ""), ("prompt", "Think step by step.")):
        log = read(tmp_path, records(instruction="What is {p}?", **{name: text}, response=SAID))
        assert log.read()["prompt"].n_unique() == 6


def test_reasoning_in_a_column_of_its_own_is_part_of_the_response(tmp_path: Path) -> None:
    lines = records(prompt="What is {p}?", reasoning_content=SAID, content="It is {p}, by {s}.")
    texts = read(tmp_path, lines).read()["completion"]
    assert texts[1] == "<think>\n" + SAID.format(p=0, s=1) + "\n</think>\n\nIt is 0, by 1."


def test_a_response_of_nothing_counts_by_its_score(tmp_path: Path) -> None:
    lines = records(prompt="What is {p}?", completion=SAID)
    lines[0]["completion"] = lines[1]["completion"] = None
    lines[1]["correct"] = None
    log = read(tmp_path, lines)
    assert log.read().row(0, named=True).items() >= {"completion": "", "correct": 0.0}.items()
    assert log.left_out == {"completion: missing": 1}


@pytest.mark.parametrize(
    "name",
    [
        "correct_answer",
        "correct_choice",
        "reward_std",
        "score_time",
        "num_correct",
        "mean_reward",
        "ground_truth_score",
    ],
)
def test_answers_and_statistics_are_no_scores(name: str) -> None:
    assert not names_score(name)


@pytest.mark.parametrize(
    "name", ["score", "is_correct", "accuracy_reward", "pass@1", "metrics.acc", "judge_score"]
)
def test_scores_by_name(name: str) -> None:
    assert names_score(name)


def test_names_of_responses() -> None:
    assert [rank(name) for name in ("completion", "raw_output", "prediction", "answer", "zz")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert {
        rank(name) for name in ("gold_answer", "prompt", "model", "model_name", "reasoning", "judge_response")
    } == {None}


@pytest.mark.parametrize(
    ("grades", "said"),
    [
        ({"verdict": ["correct", "incorrect"]}, "--correct \"verdict = 'correct'\""),
        ({"outcome": ["fail", "pass"]}, "--correct \"outcome = 'pass'\""),
        ({"score": [0, 100]}, "--correct 'score >= 100'"),
        ({"reward": [-1, 1]}, "--correct 'reward > 0'"),
    ],
)
def test_grades_of_other_kinds_are_refused_with_the_condition_for_them(
    grades: dict[str, list[Any]], said: str, tmp_path: Path
) -> None:
    ((name, values),) = grades.items()
    lines = records(prompt="What is {p}?", completion=SAID)
    lines = [
        {k: v for k, v in record.items() if k != "correct"} | {name: values[i % 2]}
        for i, record in enumerate(lines)
    ]
    log = read(tmp_path, lines)
    with pytest.raises(StratagemError) as caught:
        choose(log.score_names, log.read())
    assert said in str(caught.value)


def test_a_reward_for_form_that_never_changes_is_passed_over(tmp_path: Path) -> None:
    lines = [record | {"format": 1.0} for record in records(prompt="What is {p}?", completion=SAID)]
    lines = [
        record | {"rewards": {"accuracy": record.pop("correct"), "format": record.pop("format")}}
        for record in lines
    ]
    log = read(tmp_path, lines)
    assert choose(log.score_names, log.read()).text == "column 'rewards.accuracy'"


def test_ids_that_restart_are_no_ids(tmp_path: Path) -> None:
    lines = [
        record | {"dataset": name, "idx": i // 4}
        for name in ("gsm", "amc")
        for i, record in enumerate(records(prompt=f"What is {{p}} in {name}?", completion=SAID))
    ]
    log = read(tmp_path, lines)
    assert log.read()["id"].null_count() == 48
    assert "6 more prompts than ids" in log.notes[0]
    assert (
        read(tmp_path, lines, problem=("dataset", "idx")).read()["id"].n_unique() == 6
    )  # the user's columns decide


def test_an_id_is_kept_where_few_prompts_repeat(tmp_path: Path) -> None:
    lines = records(problems=40, samples=1, prompt="What is {p}?", completion=SAID)
    lines = [record | {"id": i} for i, record in enumerate(lines)]
    lines[7]["prompt"] = lines[3]["prompt"]
    assert read(tmp_path, lines).read()["id"].n_unique() == 40
