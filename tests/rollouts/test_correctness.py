"""What counts as right is asked for where a log leaves it open, and never guessed."""

from __future__ import annotations

import polars as pl
import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.correctness import choose

SAMPLE = pl.DataFrame(
    {
        "acc": [1.0, 0.0, None],
        "score": [1.0, -1.0, -1.0],
        "format_reward": [0.5, 0.5, 0.0],
        "reward": [1.0, 0.0, None],
        "odd name": [2.0, 0.0, 1.0],
        "text": ["a", "b", "c"],
    }
)


def values(chosen) -> list[float | None]:
    return SAMPLE.select(chosen.expression.alias("x"))["x"].to_list()


def test_a_single_column_within_0_and_1_is_taken() -> None:
    chosen = choose(["acc"], SAMPLE)
    assert values(chosen) == [1.0, 0.0, None]
    assert chosen.text == "column 'acc'"


def test_columns_of_the_same_values_count_once() -> None:
    assert choose(["reward", "acc"], SAMPLE).text == "column 'reward'"


def test_fractions_are_said() -> None:
    chosen = choose(["format_reward"], SAMPLE, score="format_reward")
    assert chosen.text == "column 'format_reward' (fractions count as such)"


@pytest.mark.parametrize(
    "name", ["format_reward", "xmlcount_reward_func", "tag_count_reward", "soft_overlong_punishment"]
)
def test_a_reward_for_form_alone_is_asked_about(name: str) -> None:
    sample = pl.DataFrame({name: [1.0, 0.0], "reward": [1.0, 0.0]})
    with pytest.raises(StratagemError) as error:
        choose([name], sample, where="before")
    assert str(error.value) == (
        f"before: the only score looks like a reward for form, not for the answer: {name} (form; 0, 1); "
        f"--score {name} takes it all the same"
    )
    # A total that is that reward is no more.
    with pytest.raises(
        StratagemError, match=rf"looks like a reward for form.*reward \(0, 1\), {name} \(form; 0, 1\)"
    ):
        choose(["reward", name], sample)
    assert choose([name], sample, score=name).text == f"column '{name}'"
    assert choose([name], sample, correct="reward > 0").text == "condition 'reward > 0'"


@pytest.mark.parametrize("name", ["percentage_correct", "stage_reward", "acc_lenient", "strict_accuracy"])
def test_a_name_that_only_sounds_like_form_is_taken(name: str) -> None:
    assert choose([name], pl.DataFrame({name: [1.0, 0.0]})).text == f"column '{name}'"


def test_several_columns_are_asked_about_with_what_they_hold() -> None:
    with pytest.raises(StratagemError) as error:
        choose(["acc", "format_reward", "score"], SAMPLE, where="before")
    assert str(error.value) == (
        "before: several columns may say what is right: acc (0, 1), format_reward (form; 0, 0.5), score (-1, 1); "
        "name one with --score COLUMN, or give a condition with --correct 'COLUMN > 0'"
    )


@pytest.mark.parametrize(("names", "score"), [(["score"], None), (["acc", "score"], "score")])
def test_a_score_of_minus_one_is_never_taken_in_silence(names: list[str], score: str | None) -> None:
    with pytest.raises(StratagemError, match=r"holds -1, outside \[0, 1\].*--correct 'score > 0'"):
        choose(names, SAMPLE, score=score)


def test_a_condition_makes_right_and_wrong_and_keeps_null() -> None:
    assert values(choose(["score"], SAMPLE, correct="score > 0")) == [1.0, 0.0, 0.0]
    assert values(choose([], SAMPLE, correct="acc == 1")) == [1.0, 0.0, None]
    assert values(choose([], SAMPLE, correct='acc > 0 AND "odd name" >= 2')) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"score": "nope"}, "no such column"),
        ({"score": "text"}, "holds no numbers"),
        ({"correct": "nope > 0"}, "the columns are"),
        ({"correct": "acc +"}, "--correct"),
        ({"correct": "acc + 1"}, "it has to be a condition"),
        ({"correct": "acc > 0", "score": "acc"}, "give one of them"),
        ({}, "no column says what is right"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, str], said: str) -> None:
    with pytest.raises(StratagemError, match=said) as error:
        choose([], SAMPLE, **options)
    assert "\n" not in str(error.value)


def test_scores_that_are_all_above_0_are_not_advised_a_condition_that_all_meet() -> None:
    with pytest.raises(StratagemError, match=r"holds 2, outside \[0, 1\].*--correct 'score >= 2'"):
        choose([], pl.DataFrame({"score": [0.5, 2.0, 0.5]}), score="score")
