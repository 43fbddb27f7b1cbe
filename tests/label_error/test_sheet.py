"""The sheet of responses to label by hand: how it is drawn, and what is noticed when it comes back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import CELL, SEALED, read_sheet, sheet, write_sheet
from stratagem.records import StratagemError
from tests.decomposition.tables import two

COMPLETION = '=1+1, "a"\nsecond line'


def log(seed: int = 0, problems: int = 40) -> pl.DataFrame:
    both = pl.concat(two(seed, problems, samples=5))
    return both.with_columns(completion=pl.lit(COMPLETION), prompt=pl.lit("what is it?"))


def filled(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(true_strategy=pl.col("strategy"))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(24, 500))
def test_a_sheet_stands_for_the_whole_log(seed: int, size: int):
    whole = log(seed, 20)
    found = sheet(whole, size, np.random.default_rng(seed))
    assert found.height == min(size, whole.height)
    assert found["id"].n_unique() == found.height
    assert set(found["true_strategy"]) == {""}
    cells = whole.with_columns(
        side=pl.col("checkpoint"),
        outcome=pl.when(pl.col("score") == 1).then(pl.lit("right")).otherwise(pl.lit("wrong")),
    )
    sizes = cells.group_by(CELL).agg(pl.len())
    drawn = found.group_by(CELL).agg(rows=pl.len(), weight=pl.col("weight").sum()).join(sizes, on=CELL)
    assert drawn.height == sizes.height
    assert drawn["weight"].to_numpy() == pytest.approx(drawn["len"].to_numpy())
    assert (drawn["rows"] >= drawn["len"].clip(upper_bound=2)).all()


def test_rows_go_to_cells_by_the_root_of_their_size():
    whole = pl.DataFrame(
        {
            "problem_id": [f"p{i}" for i in range(10_400)],
            "sample": 0,
            "strategy": ["A"] * 10_000 + ["B"] * 400,
            "score": 1.0,
        }
    )
    rows = sheet(whole, 120, np.random.default_rng(0))["strategy"].value_counts().sort("strategy")
    assert rows["count"].to_list() == [100, 20]


def test_every_response_of_a_cell_is_as_likely_to_be_drawn():
    whole = log(1, 8)
    rng = np.random.default_rng(3)
    key = ["checkpoint", "problem_id", "sample"]
    times = (
        pl.concat(
            [sheet(whole, 40, rng).select("side", "problem_id", "sample", "weight") for _ in range(250)]
        )
        .group_by("side", "problem_id", "sample")
        .agg(pl.len(), pl.col("weight").first())
    )
    assert times.height == whole.unique(key).height
    # Drawn with probability 1 / weight: the number of times is binomial.
    p = 1 / times["weight"].to_numpy()
    z = (times["len"].to_numpy() - 250 * p) / np.sqrt(250 * p * (1 - p) + 1e-9)
    assert np.abs(z).max() < 4.5


def test_rows_that_stand_for_several_responses_keep_their_weight():
    whole = log().with_columns(weight=pl.lit(3.0))
    assert sheet(whole, 60, np.random.default_rng(0))["weight"].sum() == pytest.approx(3 * whole.height)


def test_a_sheet_that_is_too_small_or_lacks_a_column_is_refused():
    with pytest.raises(StratagemError, match=r"a sheet of 3 rows is too small: .* cells"):
        sheet(log(), 3, np.random.default_rng(0))
    with pytest.raises(StratagemError, match="no column 'strategy'"):
        sheet(log().drop("strategy"), 60, np.random.default_rng(0))
    with pytest.raises(StratagemError, match="score in"):
        sheet(log().with_columns(score=pl.lit(-1.0)), 60, np.random.default_rng(0))


def test_a_sheet_survives_csv_and_formulas_are_disarmed(tmp_path: Path):
    table = filled(sheet(log(), 60, np.random.default_rng(0)))
    write_sheet(table, tmp_path / "sheet.csv")
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert {row["completion"] for row in rows} == {"'" + COMPLETION}
    back = read_sheet(tmp_path / "sheet.csv")
    assert back["weight"].to_list() == pytest.approx(table["weight"].to_list())
    for name in ("id", "side", "problem_id", "score", "outcome", "strategy", "true_strategy"):
        assert back[name].to_list() == table[name].to_list()
    assert validate(back).overall.agreement.value == 1.0


def edit(path: Path, row: int | None, field: str, value: str) -> None:
    """As a spreadsheet would: row 2 is the first below the header; None changes every row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = ";" if ";" in file.readline() else ","
        file.seek(0)
        rows = list(csv.DictReader(file, delimiter=delimiter))
    for i, one in enumerate(rows):
        if row is None or i == row - 2:
            one[field] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("row", "field", "value", "message"),
    [
        (5, "true_strategy", "", "row 5, true_strategy: is empty"),
        (7, "true_strategy", "Q", "row 7, true_strategy: no strategy 'Q'"),
        (7, "true_strategy", "othr", "did you mean 'other'"),
        (4, "id", "0" * 16, "row 4, id: '0{16}' does not belong to this row"),
        (9, "weight", "many", "row 9, weight: 'many' is not a number"),
        (9, "score", "", "row 9, score: is not a number"),
        *((6, name, "77", "row 6, id") for name in SEALED if name not in ("score", "weight")),
        (6, "score", "0.5", "row 6, id"),
        (6, "weight", "77", "row 6, id"),
        (None, "id", "x", "row 2, id: 'x' stands in two rows"),
    ],
)
def test_a_mistake_in_the_sheet_is_told_by_row_and_field(
    tmp_path: Path, row: int | None, field: str, value: str, message: str
):
    path = tmp_path / "sheet.csv"
    write_sheet(filled(sheet(log(), 60, np.random.default_rng(0))), path)
    edit(path, row, field, value)
    with pytest.raises(StratagemError, match=message) as error:
        read_sheet(path)
    assert str(error.value).startswith(f"{path}: row ")
    assert "\n" not in str(error.value)


def test_a_number_written_anew_and_spaces_are_no_mistake(tmp_path: Path):
    path = tmp_path / "sheet.csv"
    table = filled(sheet(log(), 61, np.random.default_rng(0)))
    write_sheet(table, path)
    edit(path, 2, "weight", f"{table['weight'][0]:.8g}")
    edit(path, 3, "true_strategy", " F ")
    assert read_sheet(path)["true_strategy"][1] == "F"


def test_a_sheet_done_in_part_still_stands_for_the_log(tmp_path: Path):
    path = tmp_path / "sheet.csv"
    table = filled(sheet(log(), 100, np.random.default_rng(0)))
    write_sheet(table, path)
    big = table.group_by(CELL).agg(pl.len(), pl.col("id").first()).sort("len", descending=True)["id"][0]
    row = table["id"].to_list().index(big) + 2
    edit(path, row, "true_strategy", "")
    back = read_sheet(path, partial=True)
    assert back.height == 99
    assert back["weight"].sum() == pytest.approx(table["weight"].sum())
    with pytest.raises(StratagemError, match=f"row {row}, true_strategy"):
        read_sheet(path)
    edit(path, None, "true_strategy", "")
    with pytest.raises(StratagemError, match="no row has a true_strategy"):
        read_sheet(path, partial=True)


def test_a_file_that_is_no_sheet_is_one_line(tmp_path: Path):
    with pytest.raises(StratagemError, match="no such file"):
        read_sheet(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(StratagemError, match="no column 'id'; there are x, y"):
        read_sheet(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes("id,true_strategy\né,1\n".encode("cp1252"))
    with pytest.raises(StratagemError, match="UTF-8"):
        read_sheet(tmp_path / "b.csv")
    for content in (b"", b"\x00\x01\x02", b'id,"'):
        (tmp_path / "c.csv").write_bytes(content)
        with pytest.raises(StratagemError, match=r"c\.csv: "):
            read_sheet(tmp_path / "c.csv")
