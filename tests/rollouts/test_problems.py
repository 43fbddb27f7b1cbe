"""Which rows are about the same problem."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts.problems import join, local_keys, normalise, problem_rows


def side(ids, prompts, questions=None, **columns) -> pl.DataFrame:
    batch = pl.DataFrame(
        {"id": ids, "prompt": prompts, "question": questions or [None] * len(ids), **columns},
        schema_overrides={"id": pl.String, "prompt": pl.String, "question": pl.String},
    )
    return problem_rows(local_keys(batch), list(columns))


def joined(*sides, method="auto"):
    matched = join(sides, method)
    keys = [set(table["key"]) for table in matched.keys]
    return matched, set.intersection(*keys)


def test_by_id_where_the_prompts_agree_but_for_the_template() -> None:
    a = side(["1", "2"], ["<|im_start|>user\nAdd 1<|im_end|>", "<|im_start|>user\nAdd 2<|im_end|>"])
    b = side(["1", "3"], ["add  1", "add 3"])
    matched, common = joined(a, b)
    assert (matched.method, common, matched.notes) == ("id", {"1"}, ())


def test_row_numbers_of_other_data_are_not_taken_for_ids() -> None:
    a = side(["0", "1", "2"], ["A", "B", "C"])
    b = side(["0", "1", "2"], ["B", "C", "A"])
    matched, common = joined(a, b)
    assert matched.method == "prompt"
    assert len(common) == 3
    assert "3 of 3 ids have another prompt" in matched.notes[0]
    assert len(joined(a, b, method="id")[1]) == 3


def test_an_id_that_restarts_within_a_log_is_refused_and_prompts_tell_apart() -> None:
    a = side(["0", "0"], ["A", "B"])
    with pytest.raises(
        StratagemError, match="2 different prompts share an id within one log: use --join prompt"
    ):
        join([a, a])
    batch = pl.DataFrame({"id": ["0", "0"], "prompt": ["A", "B"], "question": [None, None]})
    keyed = local_keys(batch, "prompt")
    assert keyed["problem_id"].n_unique() == 2
    rows = problem_rows(keyed, [])
    assert len(joined(rows, rows, method="prompt")[1]) == 2


def test_another_system_prompt_is_normalised_away() -> None:
    a = side([None], ["system: be brief\nuser: What is 1+1?"], ["What is 1+1?"])
    b = side([None], ["<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\nWhat is  1+1?<|im_end|>"])
    matched, common = joined(a, b)
    assert matched.method == "normalised"
    assert len(common) == 1


def test_named_columns() -> None:
    a = side([None, None], ["A", "B"], dataset=["x", "y"], row=["1", "1"])
    b = side([None, None], ["C", "D"], dataset=["x", "y"], row=["1", "2"])
    assert joined(a, b, method="dataset,row")[1] == {"x / 1"}


def test_nothing_in_common_says_what_to_do() -> None:
    with pytest.raises(StratagemError, match="name the columns that identify a problem with --join COLUMNS"):
        joined(side(["a"], ["A"]), side(["b"], ["B"]))
    with pytest.raises(StratagemError, match="--join prompt: no problem occurs in all sides"):
        joined(side(["a"], ["A"]), side(["a"], ["B"]), method="prompt")


def test_a_row_without_id_and_prompt_is_refused() -> None:
    with pytest.raises(StratagemError, match="neither a problem id nor a prompt"):
        side([None], [None])


@given(st.text(max_size=200))
def test_normalising_is_idempotent_and_blind_to_case_and_space(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert normalise(f"  {text}\n") == once


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30),
    st.lists(st.sampled_from("abcdef"), min_size=1),
)
def test_joins_are_symmetric_and_one_key_a_problem(first: list[str], second: list[str]) -> None:
    a, b = side([None] * len(first), first), side([None] * len(second), second)
    if not set(first) & set(second):
        return
    matched, common = joined(a, b)
    assert common == joined(b, a)[1]
    assert len(common) == len(set(first) & set(second))
    assert all(table["problem_id"].is_unique().all() for table in matched.keys)
