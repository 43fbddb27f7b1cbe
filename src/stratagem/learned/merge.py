"""Two people's sheets as one, with their agreement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stratagem.label_error.quality import LabelQuality, validate
from stratagem.label_error.sheet import as_spreadsheet_text
from stratagem.learned.asking import RANDOM
from stratagem.learned.sheet import COLUMNS, HEADER, line_of, read_labels
from stratagem.records import StratagemError
from stratagem.workspace import write_bytes

RESPONSE = ("side", "problem_id", "sample", "text_id")


@dataclass(frozen=True)
class Merged:
    """What two sheets hold together.

    Attributes:
        rows: one a response: what both call alike, and what one of them alone has labelled.
        agreement: of the second person (as labels) with the first, over the responses that both labelled.
        apart: responses that they call differently: RESPONSE, first, second. They are in no row, so that `annotate`
            asks them again.
    """

    rows: pl.DataFrame
    agreement: LabelQuality
    apart: pl.DataFrame


def merge(first: Path, second: Path, level: float = 0.95) -> Merged:
    """Merge two sheets of `stratagem annotate` that were made of the same logs.

    A response that either was asked at random counts as random: with the same `--seed` both have the same order.

    Raises:
        StratagemError: as `read_labels`; or the sheets have no response in common, which they would have of the same
            logs and seed.
    """
    one, two = read_labels(first), read_labels(second)
    both = one.join(
        two.select(*RESPONSE, "asked", second="true_strategy"), on=RESPONSE, how="inner", suffix="_two"
    )
    if both.is_empty():
        raise StratagemError(
            f"{first}, {second}: no response stands in both; label the same logs with the same --seed"
        )
    same = both.filter(pl.col("true_strategy") == pl.col("second"))
    random = (pl.col("asked") == RANDOM) | (pl.col("asked_two") == RANDOM)
    same = same.with_columns(asked=pl.when(random).then(pl.lit(RANDOM)).otherwise("asked"))
    alone = [table.join(both, on=RESPONSE, how="anti") for table in (one, two)]
    rows = pl.concat([table.select(COLUMNS) for table in (same, *alone)])
    readers = both.select(strategy="second", true_strategy="true_strategy")
    apart = both.filter(pl.col("true_strategy") != pl.col("second"))
    return Merged(
        rows, validate(readers, level=level), apart.select(*RESPONSE, first="true_strategy", second="second")
    )


def write_merged(merged: Merged, path: Path) -> None:
    """Write the rows as a sheet that `annotate` can go on with.

    Raises:
        StratagemError: the file is there, or cannot be written.
    """
    if path.exists():
        raise StratagemError(f"{path}: exists, and may hold labels; choose another --out or remove it")
    lines = [HEADER]
    for row in merged.rows.iter_rows(named=True):
        texts = {name: as_spreadsheet_text(row[name] or "") for name in ("prompt", "completion")}
        numbers = {name: repr(row[name]) for name in ("score", "weight")}
        lines.append(line_of({name: str(row[name]) for name in COLUMNS} | texts | numbers))
    write_bytes(path, b"".join(lines))
