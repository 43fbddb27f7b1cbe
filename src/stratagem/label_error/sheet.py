"""A sheet of responses to label by hand: a stratified random sample, as CSV for any spreadsheet.

Cells are side x outcome x label; every row weighs as many responses as it stands for.
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.labelling.aliases import renamed
from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError, check_file, content_id
from stratagem.stats.min_sample import MIN_CELL
from stratagem.stats.pairs import Floats
from stratagem.workspace import write_bytes

CELL = ("side", "outcome", "strategy")
FORMULA = r"^[=+\-@\t\r]"  # how a text begins that a spreadsheet would run
# What the sheet's id is made of: a spreadsheet that rewrites one of them is noticed.
SEALED = ("side", "problem_id", "sample", "score", "strategy", "weight")


def sheet(
    labelled: pl.DataFrame, size: int, rng: np.random.Generator, name: str = "labelled"
) -> pl.DataFrame:
    """A stratified random sample of responses to label by hand.

    Args:
        labelled: one row a response: problem_id, sample, strategy, score in [0, 1]; optionally `side` (else
            `checkpoint`, else all are of one side), prompt, completion, and `weight`, how many responses the
            row stands for (else 1).
        size: rows of the sheet. Every cell gets 2 (or all it has); the rest goes to cells in proportion to the
            root of their size, between equal shares, which serve the strategies, and proportional ones, which
            serve the totals.
        name: what the table is called in messages.

    Returns:
        Rows in random order: id, true_strategy (empty, to be filled), prompt, completion, then what the
        labeller had better not see: side, problem_id, sample, score, outcome, strategy, weight.

    Raises:
        StratagemError: a column is missing, a score is not in [0, 1], or the size is too small for the cells.

    Source: power allocation with exponent 1/2, Bankier 1988, American Statistician 42, 174.
    """
    for column in ("problem_id", "sample", "strategy", "score"):
        if column not in labelled.columns:
            raise StratagemError(f"{name}: no column {column!r}; there are {', '.join(labelled.columns)}")
    side = next((name for name in ("side", "checkpoint") if name in labelled.columns), None)
    rows = labelled.with_columns(
        side=pl.col(side).cast(pl.String) if side else pl.lit(""),
        outcome=outcome(pl.col("score")),
        weight=pl.col("weight").cast(pl.Float64) if "weight" in labelled.columns else pl.lit(1.0),
    )
    if not rows["score"].is_between(0.0, 1.0).fill_null(False).all() or rows["strategy"].null_count():
        raise StratagemError(f"{name}: every row needs a strategy and a score in [0, 1]")
    cells = rows.group_by(CELL).agg(available=pl.len(), _whole=pl.col("weight").sum()).sort(CELL)
    wanted = _allocate(cells["available"].to_numpy(), cells["_whole"].to_numpy(), size)
    cells = cells.with_columns(wanted=pl.Series(wanted)).drop("_whole")
    order = pl.Series("_order", rng.permutation(rows.height))
    taken = (
        rows.with_columns(order)
        .join(cells, on=CELL)
        .filter(pl.col("_order").rank("ordinal").over(CELL) <= pl.col("wanted"))
        .sort("_order")
        .with_columns(
            weight=pl.col("weight") * pl.col("available") / pl.col("wanted"), true_strategy=pl.lit("")
        )
    )
    texts = [name for name in ("prompt", "completion") if name in rows.columns]
    return taken.with_columns(id=seals(taken)).select(
        "id",
        "true_strategy",
        *texts,
        "side",
        "problem_id",
        "sample",
        "score",
        "outcome",
        "strategy",
        "weight",
    )


def _allocate(available: NDArray[Any], population: Floats, size: int) -> NDArray[np.int64]:
    """Rows of every cell, the last ones going where root(population) / (rows + 1) is largest."""
    wanted = np.minimum(available, MIN_CELL).astype(np.int64)
    if size < wanted.sum():
        raise StratagemError(
            f"a sheet of {size} rows is too small: {available.size} cells of side, outcome and strategy "
            f"need {wanted.sum()}"
        )
    root = np.sqrt(population)
    for _ in range(min(size, int(available.sum())) - int(wanted.sum())):
        wanted[np.argmax(np.where(wanted < available, root / (wanted + 1), -1.0))] += 1
    return wanted


def outcome(score: pl.Expr) -> pl.Expr:
    """`right` or `wrong`: a score between counts as the nearer one, for drawing only."""
    return pl.when(score >= 0.5).then(pl.lit("right")).otherwise(pl.lit("wrong"))


def seals(table: pl.DataFrame) -> pl.Series:
    """Sixteen hexadecimal digits a row; numbers to six digits, as a spreadsheet may write them anew."""

    def plain(value: object) -> str:
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    return pl.Series("id", [content_id(*map(plain, row)) for row in table.select(SEALED).iter_rows()])


def write_sheet(table: pl.DataFrame, path: Path) -> None:
    """The sheet as CSV (UTF-8 with a byte-order mark, as spreadsheets like it).

    A text that a spreadsheet would run as a formula gets an apostrophe in front.

    Raises:
        StratagemError: it cannot be written.
    """
    texts = [name for name in ("prompt", "completion") if name in table.columns]
    safe = [
        pl.when(pl.col(name).str.contains(FORMULA)).then("'" + pl.col(name)).otherwise(pl.col(name))
        for name in texts
    ]
    content = io.BytesIO()
    table.with_columns(name.alias(text) for name, text in zip(safe, texts, strict=True)).write_csv(
        content, include_bom=True
    )
    write_bytes(path, content.getvalue())


def as_spreadsheet_text(text: str) -> str:
    """A single text, as `write_sheet` writes it."""
    return f"'{text}" if re.match(FORMULA, text) else text


def read_sheet(path: Path, names: Collection[str] | None = None, *, partial: bool = False) -> pl.DataFrame:
    """A filled sheet, checked.

    Args:
        names: the strategies there are; without it, those that the sheet's labels use and other, mixed,
            unparsed, truncated, or any where the sheet says why each response was asked (a column `asked`).
        partial: leave out rows whose true_strategy is empty; the others of their cell then weigh more, but not where
            the sheet says why each response was asked, since cells are then made later, of what was learned.

    Raises:
        StratagemError: names the file, the row (the header is row 1) and the field.
    """
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        table = pl.read_csv(
            path,
            infer_schema=False,
            separator=";" if header.count(";") > header.count(",") else ",",
            glob=False,
        )
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise StratagemError(f"{path}: not UTF-8; save it as 'CSV UTF-8'") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StratagemError(f"{path}: not a readable CSV ({str(error).splitlines()[0][:200]})") from None
    for name in ("id", "true_strategy", *SEALED):
        if name not in table.columns:
            raise StratagemError(f"{path}: no column {name!r}; there are {', '.join(table.columns)}")
    typed = table.with_columns(
        pl.col("side", "problem_id", "strategy").fill_null(""),
        pl.col("score", "weight").cast(pl.Float64, strict=False),
        true_strategy=pl.col("true_strategy").fill_null("").str.strip_chars(),
    )
    for name in ("score", "weight"):
        _refuse(path, table, typed[name].is_null(), name, "is not a number")
    _refuse(path, table, typed["id"].is_duplicated(), "id", "stands in two rows")
    _refuse(
        path,
        table,
        typed["id"] != seals(typed),
        "id",
        f"does not belong to this row: one of {', '.join(SEALED)} was changed; copy true_strategy into the "
        "sheet as it was written",
    )
    if not partial:
        _refuse(
            path,
            table,
            typed["true_strategy"] == "",
            "true_strategy",
            "is empty: fill it in, or leave out such rows with --partial",
        )
    known = set(names) if names is not None else set(typed["strategy"]) | {OTHER, MIXED, UNPARSED, TRUNCATED}
    if names is None and "asked" in table.columns:  # to be learned from: the sheet says which there are
        known |= set(typed["true_strategy"])
    given = typed.with_row_index("_row", offset=2).filter(
        ~pl.col("true_strategy").is_in([*known, ""], nulls_equal=True)
    )
    for row, name in given.select("_row", "true_strategy").iter_rows():
        near = difflib.get_close_matches(name, sorted(known), 1)
        fix = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
        raise StratagemError(f"{path}: row {row}, true_strategy: no strategy {name!r}; {fix}")
    older = renamed([*typed["strategy"], *typed["true_strategy"].replace("", None)])
    typed = typed.with_columns(pl.col("strategy", "true_strategy").replace(older))
    typed = typed.with_columns(outcome=outcome(pl.col("score")))
    whole = pl.col("weight").sum().over(CELL)
    done = typed.with_columns(_whole=whole).filter(pl.col("true_strategy") != "")
    if done.is_empty():
        raise StratagemError(f"{path}: no row has a true_strategy")
    if "asked" in table.columns:
        return done.drop("_whole")
    share = pl.col("weight") / pl.col("weight").sum().over(CELL)
    return done.with_columns(weight=share * pl.col("_whole")).drop("_whole")


def _refuse(path: Path, table: pl.DataFrame, bad: pl.Series, field: str, what: str) -> None:
    where = bad.fill_null(True).arg_true()
    if where.len():
        row = int(where[0])
        value = table[field][row]
        shown = "" if value in (None, "") else f" {str(value)[:40]!r}"
        raise StratagemError(f"{path}: row {row + 2}, {field}:{shown} {what}")
