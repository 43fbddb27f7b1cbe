"""An SFT set read once: its rows stay as their file has them; of each it is known what it shows of which problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stratagem.curation.demonstrations import near
from stratagem.curation.demonstrations.columns import STRATEGY, Columns, by_records, settle, texts
from stratagem.curation.demonstrations.labels import Labeller, labeller
from stratagem.curation.held import Held
from stratagem.curation.pool import SAMPLED, read_files
from stratagem.labelling.rules import RuleSet
from stratagem.records import NO_VALUE, StratagemError, content_id
from stratagem.rollouts.problems import normalise
from stratagem.rollouts.readers import naming

PART = 20_000  # rows that are labelled and signed together
LOOKED_AT = 2_000  # by which it is settled where strategies come from
LEVELS = ("difficulty", "level")  # columns that say how difficult a problem is
ALL = "all"
Say = Callable[[int, int], None]


@dataclass(frozen=True)
class Reading:
    """How an SFT set is read.

    Attributes:
        rules: what names strategies; None for the set's own column, the task's recogniser or the usual rules.
        by: columns that make a problem's type together; none for that of the task, or a single type.
        difficulty: the column; None for that of the task or one called so.
        quality: the column, of numbers.
        named: columns that the user names: ``id``, ``prompt``, ``completion``.
        near: whether responses are signed for near-duplicates.
    """

    rules: RuleSet | None = None
    by: tuple[str, ...] = ()
    difficulty: str | None = None
    quality: str | None = None
    named: Mapping[str, str] = field(default_factory=dict[str, str])
    near: bool = True


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Demonstrations in their file's order; row numbers count from 0 here, from 1 in what users see.

    Attributes:
        table: a row each: problem_id (None without an id), by_normalised (of the prompt, None without one), `problem`
            (a number), `kind` (its type), `difficulty` (text, null where it is not known), `quality`, `strategy`,
            `words`, `text` (a hash of the response), `right` (null where it is not known).
        signed: of each row its signature, where near-duplicates are looked for.
    """

    name: str
    files: tuple[Path, ...]
    rows: Held
    columns: Columns
    table: pl.DataFrame
    labeller: Labeller
    signed: near.Signatures | None
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def prompts(self, rows: list[int]) -> list[str]:
        """The prompts of some rows as text; empty where there is none."""
        part = by_records(self.name, self.rows, rows, self.columns)
        return part.select(pl.coalesce("question", "prompt", pl.lit(""))).to_series().to_list()


def read_demonstrations(path: str, reading: Reading, say: Say | None = None) -> Demonstrations:
    """Read an SFT set whole.

    Raises:
        StratagemError: nothing there, a row that cannot be read, or a column that is not there.
    """
    files, held = read_files(path)
    if not len(held):
        raise StratagemError(f"{path}: no demonstration in it")
    sample = held.records(range(min(SAMPLED, len(held))))
    beside = {f"by {name}": (name, "--by") for name in reading.by}
    if reading.quality is not None:
        beside["quality"] = (reading.quality, "--quality")
    usual = (name for name in LEVELS if any(naming.value_at(r, name) is not naming.MISSING for r in sample))
    difficulty = reading.difficulty or next(usual, None)
    if difficulty is not None:
        beside["difficulty"] = (difficulty, "--difficulty")
    has_column = reading.rules is None and any(isinstance(record.get(STRATEGY), str) for record in sample)
    if has_column:
        beside["strategy"] = (STRATEGY, "--strategies")
    columns = settle(path, sample, reading.named, beside)
    first = texts(path, held, range(min(LOOKED_AT, len(held))), columns)
    named = labeller(path, first, reading.rules, has_column)
    parts: list[pl.DataFrame] = []
    signed = np.zeros((len(held), near.NUMBERS), np.uint32) if reading.near else None
    for start in range(0, len(held), PART):
        rows = range(start, min(start + PART, len(held)))
        table = texts(path, held, rows, columns)
        try:
            labelled = named.label(table)
        except StratagemError as error:
            raise StratagemError(f"{path}: rows {rows.start + 1:,} to {rows.stop:,}: {error}") from None
        if signed is not None:
            signed[start : rows.stop], words = near.signatures(table["completion"])
        else:
            words = table["completion"].fill_null("").str.count_matches(r"\S+").to_numpy()
        parts.append(_known(path, labelled, words, reading, start))
        if say is not None:
            say(rows.stop, len(held))
    whole = pl.concat(parts)
    by_id = pl.coalesce("problem_id", "by_normalised") if "id" in reading.named else None
    key = pl.coalesce("by_normalised", "problem_id") if by_id is None else by_id
    problem = (key.rank("dense") - 1).cast(pl.Int64).alias("problem")
    notes = (*columns.notes, *named.notes)
    return Demonstrations(path, files, held, columns, whole.with_columns(problem), named, signed, notes)


def _known(path: str, table: pl.DataFrame, words: Any, reading: Reading, start: int) -> pl.DataFrame:
    """What is kept of labelled rows.

    Raises:
        StratagemError: a row has neither a prompt nor an id, or a quality that is no number.
    """
    bare = (table["id"].is_null() & (table["prompt"].fill_null("") == "")).arg_true()
    if len(bare):
        raise StratagemError(f"{path}: row {start + bare[0] + 1}: neither a prompt nor an id")
    seen: dict[tuple[str, str | None], str] = {}
    normal: list[str | None] = []
    for prompt, question in table.select("prompt", "question").iter_rows():
        if not prompt:
            normal.append(None)
            continue
        if (prompt, question) not in seen:
            seen[prompt, question] = content_id(normalise(prompt, question))
        normal.append(seen[prompt, question])
    kind = pl.lit(ALL)
    if reading.by:
        kind = pl.concat_str(
            [pl.col(f"by {name}").fill_null(NO_VALUE) for name in reading.by], separator=" / "
        )
    elif "kind" in table.columns:
        kind = pl.col("kind")
    known = [name for name in ("difficulty", "level") if name in table.columns]
    if reading.difficulty is None:
        known.reverse()  # what a task says of its problem comes before a column that happens to be there
    quality = pl.lit(None, pl.Float64)
    if reading.quality is not None:
        quality = pl.col("quality").cast(pl.Float64, strict=False)
        odd = table.select((quality.is_null() & pl.col("quality").is_not_null()).arg_true()).to_series()
        if len(odd):
            text = table["quality"][odd[0]]
            raise StratagemError(
                f"--quality {reading.quality}: row {start + odd[0] + 1} holds {text!r}, no number"
            )
    return table.select(
        pl.col("id").alias("problem_id"),
        pl.Series("by_normalised", normal, pl.String),
        kind.alias("kind"),
        (pl.col(known[0]) if known else pl.lit(None, pl.String)).alias("difficulty"),
        quality.fill_nan(None).alias("quality"),
        "strategy",
        pl.Series("words", words, pl.Int64),
        pl.col("completion").fill_null("").hash(near.SEED).alias("text"),
        (pl.col("right") if "right" in table.columns else pl.lit(None, pl.Boolean)).alias("right"),
    )
