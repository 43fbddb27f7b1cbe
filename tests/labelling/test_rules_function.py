"""A function of the user's own in place of rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from stratagem.labelling.rules import label_frame, read_rules
from stratagem.records import StratagemError

CODE = '''
import polars as pl

def by_text(text):
    """Long or short.

    More.
    """
    return "long" if len(text) > 5 else "short"

def annotated(rows: pl.DataFrame) -> pl.Series:
    return pl.select(pl.when(rows["completion"].str.len_chars() > 5).then(pl.lit("long"))).to_series()

def bare(rows):
    return rows.with_columns(strategy=pl.lit("all"), behaviours=pl.lit(["b"]))

def number(text):
    return 3

def fails(text):
    raise ValueError("no idea\\nat all")

def frame_as_text(rows):
    return rows.select("completion")

def short_frame(rows: pl.DataFrame):
    return rows["completion"].head(1)

def nothing(rows: pl.DataFrame):
    return None

def lists(rows: pl.DataFrame):
    return rows.with_columns(strategy=pl.lit([1]))

value = 3
'''


@pytest.fixture
def rules_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    (tmp_path / "own_rules.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [""])
    return lambda name: name.replace("own:", "own_rules.py:")


FRAME = pl.DataFrame(
    {"completion": ["short", "a long one", None], "finish_reason": ["stop", "stop", "length"]}
)


@pytest.mark.parametrize(
    ("source", "strategies"),
    [
        ("own:by_text", ["short", "long", "truncated"]),
        ("text:own:by_text", ["short", "long", "truncated"]),
        ("own:annotated", ["other", "long", "other"]),
        ("frame:own:bare", ["all", "all", "all"]),
    ],
)
def test_labels_by_function(source: str, strategies: list[str], rules_of: Callable[[str], str]) -> None:
    rules = read_rules(rules_of(source))
    labelled = label_frame(FRAME, rules)
    assert labelled.columns == ["completion", "finish_reason", "strategy", "behaviours", "evidence"]
    assert labelled["strategy"].to_list() == strategies
    assert labelled["behaviours"].to_list() == [["b"] if "bare" in source else []] * 3
    assert labelled["evidence"].to_list() == ['{"marks":[]}'] * 3


def test_a_module_is_found_in_the_folder_of_the_call(rules_of: Callable[[str], str]) -> None:
    rules = read_rules("own_rules:by_text")
    assert (rules.name, rules.description) == ("own_rules:by_text", "Long or short.")
    assert rules.fingerprint == read_rules("own_rules:by_text").fingerprint
    assert rules.fingerprint != read_rules("own_rules:number").fingerprint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("own:missing", "has no 'missing'"),
        ("own:value", "value is no function"),
        ("no_such_module:f", "cannot be imported: ModuleNotFoundError"),
        ("no_such_file.py:f", "cannot be imported"),
        ("own:number", "row 0: gave int, has to give the name of a strategy or None"),
        ("own:fails", "row 0: ValueError: no idea (it was called with a text"),
        ("own:frame_as_text", "annotate its argument as pl.DataFrame, or write frame:"),
        ("own:short_frame", "gave 1 labels for 3 responses"),
        ("own:nothing", "gave NoneType, has to give a pl.Series or a frame with column 'strategy'"),
        ("frame:own:frame_as_text", "gave a frame of completion, has to give"),
        ("own:lists", "gave labels of a wrong type"),
    ],
)
def test_a_wrong_function_gets_one_clear_line(source: str, said: str, rules_of: Callable[[str], str]) -> None:
    with pytest.raises(StratagemError) as caught:
        label_frame(FRAME, read_rules(rules_of(source)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
