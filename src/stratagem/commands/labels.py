"""stratagem validate-labels: a sheet to label by hand, and what it says of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import tyro

from stratagem.commands.common import console, read
from stratagem.commands.options import make_folder
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import read_sheet, sheet, write_sheet
from stratagem.records import StratagemError

TABLE, SHEET = "labelled.parquet", ".csv"


@dataclass(frozen=True)
class ValidateLabels:
    """Examples:
    stratagem validate-labels diagnosis --size 200 --out sheet.csv
    stratagem validate-labels sheet.csv
    """

    source: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            help="a diagnosis or its labelled.parquet, to write a sheet; a filled sheet, to measure"
        ),
    ]
    size: Annotated[int, tyro.conf.arg(help="responses in the sheet")] = 200
    seed: int = 0
    partial: Annotated[
        bool, tyro.conf.arg(help="leave out rows that are not filled in", help_behavior_hint="")
    ] = False
    level: Annotated[float, tyro.conf.arg(help="of all intervals")] = 0.95
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="SHEET", help="the sheet's file", help_behavior_hint="")
    ] = None


def validate_labels(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(ValidateLabels, "validate-labels", words, text)
    if given.source.suffix.lower() == SHEET:
        quality = validate(read_sheet(given.source, partial=given.partial), level=given.level)
        if not as_json:
            print(quality)
        return quality.as_dict()
    source = given.source / TABLE if given.source.is_dir() else given.source
    if given.out is None:
        raise StratagemError("--out: name the sheet's file, such as sheet.csv")
    if given.out.suffix.lower() != SHEET:
        raise StratagemError(f"--out {given.out}: a sheet is CSV; name it {given.out.with_suffix(SHEET)}")
    if given.out.exists():
        raise StratagemError(f"{given.out}: exists, and may be filled in; choose another --out or remove it")
    try:
        table = pl.read_parquet(source, glob=False)
    except FileNotFoundError:
        raise StratagemError(f"{source}: no such file; `stratagem diagnose` writes it") from None
    except (pl.exceptions.ComputeError, OSError):
        raise StratagemError(f"{source}: neither a labelled table in Parquet nor a sheet in CSV") from None
    if "completion" not in table.columns:
        raise StratagemError(
            f"{source}: holds no completions to label; run `stratagem diagnose` without --no-text"
        )
    made = sheet(table, given.size, np.random.default_rng(given.seed))
    make_folder(given.out.parent)
    write_sheet(made, given.out)
    console().print(
        f"[green]done[/green] {made.height} responses in {given.out}: fill in the column true_strategy, then "
        f"`stratagem validate-labels {given.out}`",
        highlight=False,
    )
    return {"out": str(given.out), "responses": made.height}
