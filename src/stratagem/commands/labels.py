"""stratagem validate-labels: a sheet to label by hand, and what it says of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from stratagem.commands.common import console, read
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import read_sheet, sheet, write_sheet
from stratagem.learned.labels import LearnedLabels
from stratagem.learned.merge import merge, write_merged
from stratagem.learned.sheet import is_learned
from stratagem.records import StratagemError, read_table
from stratagem.workspace import make_folder

TABLE, SHEET = "labelled.parquet", ".csv"


@dataclass(frozen=True)
class ValidateLabels:
    """Examples:
    stratagem validate-labels diagnosis --size 200 --out sheet.csv
    stratagem validate-labels sheet.csv
    stratagem validate-labels mine.csv hers.csv --out both.csv
    """

    source: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            help="a diagnosis or its labelled.parquet, to write a sheet; a filled sheet, or one of annotate, to measure"
        ),
    ]
    other: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="[SHEET]",
            help="another person's sheet of annotate: how far the two agree; --out holds what they do not contradict",
            help_behavior_hint="",
        ),
    ] = None
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
    if given.other is not None:
        return compare_sheets(given.source, given.other, given.out, given.level, as_json)
    if given.source.suffix.lower() == SHEET:
        quality = (
            LearnedLabels.read(given.source).quality(given.level)
            if is_learned(given.source)
            else validate(read_sheet(given.source, partial=given.partial), level=given.level)
        )
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
    if not source.exists():
        raise StratagemError(f"{source}: no such file; `stratagem diagnose` writes it")
    table = read_table(source, ())
    if "completion" not in table.columns:
        raise StratagemError(
            f"{source}: holds no completions to label; run `stratagem diagnose` without --no-text"
        )
    made = sheet(table, given.size, np.random.default_rng(given.seed), str(source))
    make_folder(given.out.parent)
    write_sheet(made, given.out)
    console().print(
        f"[green]done[/green] {made.height} responses in {given.out}: fill in the column true_strategy, then "
        f"`stratagem validate-labels {given.out}`",
        highlight=False,
    )
    return {"out": str(given.out), "responses": made.height}


def compare_sheets(
    first: Path, second: Path, out: Path | None, level: float, as_json: bool
) -> dict[str, Any]:
    """How far two people agree, and what they do not contradict as one sheet."""
    for path in (first, second):
        if not is_learned(path):
            raise StratagemError(f"{path}: is no sheet of `stratagem annotate`; only such sheets merge")
    merged = merge(first, second, level)
    if out is not None:
        if out.suffix.lower() != SHEET:
            raise StratagemError(f"--out {out}: a sheet is CSV; choose a name that ends in {SHEET}")
        make_folder(out.parent)
        write_merged(merged, out)
    whole = merged.agreement.overall
    if not as_json:
        print(f"{first} as truth, {second} as labels: {merged.agreement}")
        print(
            f"\n{merged.rows.height} responses in both sheets together, {merged.apart.height} called differently"
        )
        if out is not None:
            console().print(
                f"[green]done[/green] {out}; `stratagem annotate` with --out {out} asks what was called differently",
                highlight=False,
            )
    return {
        "both": whole.labelled,
        "agreement": whole.agreement.as_dict(),
        "kappa": whole.kappa.as_dict(),
        "responses": merged.rows.height,
        "apart": merged.apart.to_dicts(),
        "out": None if out is None else str(out),
    }
